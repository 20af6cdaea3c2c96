# copy between any two kinds of store: a chain through all of them, at the end of which everything is as it was.
load helpers
load repo
load stores

setup() {
	common_setup
	unset NIGHTJAR_CACERT NIGHTJAR_REST_USERNAME NIGHTJAR_REST_PASSWORD http_proxy https_proxy all_proxy
	unset NIGHTJAR_FROM_REPOSITORY NIGHTJAR_FROM_PASSWORD_FILE NIGHTJAR_FROM_PASSWORD_COMMAND NIGHTJAR_FROM_KEY_FILE
	need_libcurl
	make_repo
	unset NIGHTJAR_REPOSITORY NIGHTJAR_KEY_FILE
}

teardown() {
	end_servers
	common_teardown
}

# facts LOCATION KEY: what manifests say that a copy keeps
facts() {
	nightjar -r "$1" --key-file "$2" manifests --json | jq 'map({time, hostname, username, tags, paths, program_version, files, bytes, unreadable,
		databases: [.databases[] | del(.bytes_stored)]})'
}

ids() { # LOCATION KEY FIELD
	nightjar -r "$1" --key-file "$2" manifests --json | jq -r "map(.$3) | join(\" \")"
}

summary() {
	jq -r "select(.message_type == \"summary\") | .$1" <<<"$output"
}

# at NAME: its location
at() {
	case $1 in
	repo | local) echo "$WORK/$1" ;;
	s3) echo "$S3/a copy" ;;
	rest) echo "${REST/127/me:hush@127}/copy/" ;;
	sftp) echo "$SFTP/far" ;;
	esac
}

# copy FROM TO: copied, with every fact; the second time nothing
copy() {
	local from to before
	from=$(at "$1") to=$(at "$2")
	nightjar -q -r "$to" --key-file "$2.key" init
	run --separate-stderr nightjar -r "$to" --key-file "$2.key" copy --json --from-repo "$from" --from-key-file "$1.key"
	assert_status 0
	[ "$(summary manifests_copied)" -eq 2 ] && [ "$(summary manifests_skipped)" -eq 0 ]
	facts "$from" "$1.key" >a && facts "$to" "$2.key" >b && diff a b
	[ "$(ids "$to" "$2.key" original)" = "$FIRST $SECOND" ]
	[[ $output$stderr != *hush* ]]
	before=$(ids "$to" "$2.key" id)
	run --separate-stderr nightjar -r "$to" --key-file "$2.key" copy --json --from-repo "$from" --from-key-file "$1.key"
	assert_status 0
	[ "$(summary manifests_copied)" -eq 0 ] && [ "$(summary manifests_skipped)" -eq 2 ] && [ "$(summary data_stored)" -eq 0 ]
	[ "$(ids "$to" "$2.key" id)" = "$before" ]
	run --separate-stderr nightjar -r "$to" --key-file "$2.key" check --read-data
	assert_status 0
}

@test "local to s3 to rest to sftp to local: everything is as it was" {
	rest_server --user me:hush
	s3_server
	sftp_server
	mv key repo.key
	while read -r from to; do
		echo "$from to $to"
		copy "$from" "$to"
	done <<-END
		repo s3
		s3 rest
		rest sftp
		sftp local
	END
	for i in 0 1; do
		nightjar -q -r repo --key-file repo.key restore "$(nightjar -r repo --key-file repo.key manifests --json | jq -r ".[$i].id")" --target "a$i"
		nightjar -q -r local --key-file local.key restore "$(nightjar -r local --key-file local.key manifests --json | jq -r ".[$i].id")" --target "b$i" --verify
		diff -r "a$i" "b$i"
	done
	cmp src/two.bin "b1$SRC/two.bin"
}

@test "a copy between two rest servers: what the file says of one is not told to the other" {
	rest_server --user me:hush
	at_me=$REST/app/
	mv rest.pid one.pid
	mkdir two && (cd two && rest_server --user you:other && echo "$REST" >../two.location && cp rest.pid ../two.pid)
	at_you=$(cat two.location)/app/
	printf hush >me.password && printf other >you.password && chmod 600 ./*.password
	for who in me you; do
		where=at_$who
		printf '[repository "%s"]\nlocation = %s\nkey-file = %s\nrest-username = %s\nrest-password-file = %s\n' \
			$who "${!where}" "$WORK/$who.key" $who "$WORK/$who.password"
	done >c.ini
	chmod 600 c.ini
	export NIGHTJAR_CONFIG=$WORK/c.ini
	nightjar -q -r "$at_me" init
	nightjar -q -r "$at_you" init
	nightjar -q -r "$at_me" backup src
	run --separate-stderr nightjar -r "$at_you" copy --json --from-repo "$at_me" --from-key-file me.key
	assert_status 0
	[ "$(summary manifests_copied)" -eq 1 ]
	# Said of one only, the other gets nothing.
	sed -i '1,/^rest-password-file/{/^rest-/d}' c.ini
	: >rest.log
	fails 1 "*$at_me*wants a user and a password*" -r "$at_you" copy --from-repo "$at_me" --from-key-file me.key
}
