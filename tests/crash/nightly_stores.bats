# A night to several repositories behind different servers: how each is reached stands in its section, and each fails for itself.
load ../cli/helpers
load ../cli/repo
load ../cli/stores

setup() {
	common_setup
	unset NIGHTJAR_CACERT NIGHTJAR_REST_USERNAME NIGHTJAR_REST_PASSWORD NIGHTJAR_SSH_COMMAND http_proxy https_proxy all_proxy
	need_libcurl
	mkdir -p src/sub
	head -c 300000 /dev/urandom >src/photo.jpg
	echo small >src/sub/a.txt
	sqlite3 src/app.db "CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t(b) VALUES('one'),('two')"
	export NIGHTJAR_CONFIG=$WORK/n.ini
}

teardown() {
	end_servers
	common_teardown
}

# three: a folder, a rest server with a password and a bucket; and n.ini for them, rest in the middle
three() {
	rest_server --user me:hush
	s3_server
	printf 'hush\n' >password && chmod 600 password
	printf '[repository "%s"]\nlocation = %s\nkey-file = %s\n' disk "$WORK/disk" "$WORK/disk.key" >n.ini
	printf '[repository "%s"]\nlocation = %s\nkey-file = %s\n' away "$REST/app/" "$WORK/away.key" >>n.ini
	printf 'rest-username = me\nrest-password-file = %s\noption = retry-seconds=3\n' "$WORK/password" >>n.ini
	printf '[repository "%s"]\nlocation = %s\nkey-file = %s\n' bucket "$S3/app" "$WORK/bucket.key" >>n.ini
	printf '[source "app"]\npath = %s\n[retention]\nkeep-last = 1\nprune = yes\n[checks]\nread-data-days = 1\ndrill-days = 1\n' "$WORK/src" >>n.ini
	chmod 600 n.ini
	for place in "$WORK/disk" "$REST/app/" "$S3/app"; do
		name=$(sed -n "\|^location = $place$|{x;s/.*\"\(.*\)\".*/\1/p};h" n.ini)
		nightjar -q -r "$place" init
		[ -s "$name.key" ]
	done
}

step() { # NAME REPOSITORY: its exit code in night.json, or "skipped"
	jq -r --arg n "$1" --arg r "$2" '.repositories[] | select(.name == $r) | .steps[] | select(.name == $n) |
		if .skipped then "skipped" else .exit_code end' night.json | tr '\n' ' '
}

# night CODE: runs it with --json, keeps the summary in night.json, and the seconds that it took in TOOK
night() {
	local code=0 began=$SECONDS
	nightjar --json nightly >all.json 2>err.json || code=$?
	TOOK=$((SECONDS - began))
	jq -c 'select(.message_type == "nightly_summary")' all.json >night.json
	[ "$code" -eq "$1" ] || { cat all.json err.json && return 1; }
}

all_ok() { # REPOSITORY…: has had every step
	local name
	for name; do
		for s in backup forget prune check; do
			[ "$(step $s "$name")" = "0 " ] || { echo "$s of $name" && cat night.json err.json && return 1; }
		done
	done
}

@test "three stores, each with what its section says; the others' passwords go to nobody else" {
	three
	night 0
	all_ok disk away bucket
	[ "$(step drill away)" = "0 " ]
	[ "$(jq -r '.repositories[] | select(.name == "away") | .requests > 5' night.json)" = true ]
	[ "$(jq -r '.repositories[] | select(.name == "disk") | has("requests")' night.json)" = false ]
	! grep -r hush all.json err.json state cache
	# A command knows as much, and a variable beats the file.
	nightjar -r "$REST/app/" manifests
	NIGHTJAR_REST_USERNAME=me NIGHTJAR_REST_PASSWORD=wrong fails 1 "*refuses this user and password*" -r "$REST/app/" manifests
	# Without the file there is none.
	NIGHTJAR_CONFIG=/dev/null fails 2 "*is no file*" -r "$REST/app/" manifests
	fails 1 "*wants a user and a password*" -r "$REST/app/" --key-file away.key manifests
}

@test "a repository of the file may be named as messages name it, without its user" {
	three
	at=${REST/127/me:hush@127}
	sed -i "/^rest-/d; s|^location = rest:.*|location = $at/app/|" n.ini
	nightjar -r "$REST/app" manifests
	fails 1 "*refuses this user and password*" -r "${REST/127/you:hush@127}/app" manifests
	printf '[repository "again"]\nlocation = %s\n' "$REST/app" >>n.ini
	fails 2 "*the repository 'again' is where 'away' of line 4 is*" -r "$REST/app" manifests
	[[ $stderr != *hush* ]]
}

@test "a server that is down at the beginning: the others have their night, the summary tells" {
	three
	kill "$(cat rest.pid)" && rm rest.pid
	night 1
	all_ok disk bucket
	[ "$(step open away)" = "1 " ]
	for s in backup forget prune check drill; do
		[ "$(step $s away)" = "skipped " ]
	done
	[ "$TOOK" -lt 20 ]
	nightjar -q -r "$S3/app" restore latest --target back --verify
	run nightjar nightly
	assert_status 1
	assert_output "*repository disk*backup app  *ok*repository away*open *exit code 1*backup app * not done: not open*repository bucket*backup app *ok*NOT all is well*"
}

@test "a server that goes down in the night costs its time to retry once, not once a step" {
	three
	sed -i 's/^option = .*/option = retry-seconds=6/; s,^\[retention],before = kill $(cat '"$WORK"'/rest.pid)\n[source "second"]\npath = '"$WORK"'/src/sub\n&,' n.ini
	night 1
	rm rest.pid
	[ "$(step backup disk)" = "0 0 " ] && [ "$(step backup bucket)" = "0 0 " ]
	[ "$(step check disk)" = "0 " ] && [ "$(step check bucket)" = "0 " ] && [ "$(step forget bucket)" = "0 " ]
	[ "$(step backup away)" = "1 skipped " ]
	for s in forget prune check drill; do
		[ "$(step $s away)" = "skipped " ]
	done
	[ "$(jq -r '.repositories[] | select(.name == "away") | .steps | last | .skipped' night.json)" = "the repository can no longer be reached" ]
	[ "$(jq -r '[.repositories[] | select(.name == "away") | .steps[].seconds] | add < 10' night.json)" = true ]
	run nightjar -r "$REST/app/" status
	assert_status 1
}

@test "a password file that is open to others, or not there, is that repository's failure alone" {
	three
	chmod 644 password
	night 2
	all_ok disk bucket
	[ "$(step open away)" = "2 " ] && [ "$(step backup away)" = "skipped " ]
	grep -q "password: is open to others: 'chmod 600 $WORK/password'" err.json
	rm password
	night 1
	all_ok disk bucket
	grep -q "password file $WORK/password: No such file" err.json
}

@test "limits are of their repository alone" {
	three
	head -c 600000 /dev/urandom >src/more.bin
	sed -i '/^rest-username/i limit-upload = 300' n.ini
	night 0
	[ "$(jq -r '.repositories[] | select(.name == "away") | .steps[] | select(.name == "backup") | .seconds > 2' night.json)" = true ]
	[ "$(jq -r '.repositories[] | select(.name != "away") | .steps[] | select(.name == "backup") | .seconds < 2' night.json | sort -u)" = true ]
	# An option beats the file.
	head -c 900000 /dev/urandom >src/more.bin
	began=$SECONDS
	nightjar -q -r "$REST/app/" --limit-upload 0 backup src
	[ $((SECONDS - began)) -lt 3 ]
}

@test "what cannot be meant is refused with its line, when the file is read" {
	local n=0
	while IFS='|' read -r line words keys; do
		n=$((n + 1))
		printf "[repository]\nlocation = rest:https://h/x/\n$keys\n" >bad.ini
		[ "$n" -ne 10 ] || sed -i 's,^location = .*,location = /x,' bad.ini
		[ "$n" -ne 11 ] || sed -i 's,^location = .*,location = rest:https://you@h/x/,' bad.ini
		fails 2 "nightjar: bad.ini:$line: *$words*" --config bad.ini manifests
	done <<-'END'
		3|'limit-upload' needs a number of KiB a second|limit-upload = fast
		3|'limit-download' needs a number of KiB a second|limit-download = 99999999999999999999
		4|'limit-upload' comes twice|limit-upload = 1\nlimit-upload = 2
		3|'option' connections= needs a number from 1 to 32|option = connections=99
		4|'option' takes KEY=VALUE with one of these keys|option = connections=2\noption = speed=9
		3|'cacert' needs a path that begins with|cacert = server.pem
		4|'rest-password-file' needs a path|rest-username = me\nrest-password-file = p
		1|both rest-username and rest-password-file|rest-username = me
		1|both rest-username and rest-password-file|rest-password-file = /p
		1|rest-username is for a location that begins with rest:|rest-username = me\nrest-password-file = /p
		1|names a user, and so does rest-username|rest-username = me\nrest-password-file = /p
	END
	[ "$n" -eq 11 ]
}
