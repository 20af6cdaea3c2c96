# status: what monitors ask, without a key and without the repository.
load helpers
load repo

# The newest backup that was seen, for an outside record
RECORD="+([0-9a-f]):+([0-9]):+([0-9a-f])"

setup() {
	common_setup
	export XDG_CONFIG_HOME=$WORK/config
	make_repo
	rm -rf state
}

# age SECONDS: as if everything that is noted had happened so much earlier
age() {
	local f
	for f in state/*/status; do
		awk -v s="$1" '$1 ~ /_at_s$/ && $2 > 0 {$2 -= s} {print}' "$f" >"$f.new" && mv "$f.new" "$f"
	done
}

@test "never: 1 and one line, with and without a repository named" {
	unset NIGHTJAR_REPOSITORY NIGHTJAR_KEY_FILE
	fails 1 "nightjar: no backup was ever made from this host" status
	fails 1 "nightjar: $WORK/repo: no backup into it was ever made from this host" -r repo status
	[ ! -e state/x ]
	[ "$(nightjar --json status 2>/dev/null | jq -c '[.fresh, .repositories]')" = '[false,[]]' ]
}

@test "fresh: 0 after a backup, 1 when it is older than --max-age" {
	nightjar -q backup src
	unset NIGHTJAR_REPOSITORY NIGHTJAR_KEY_FILE
	run --separate-stderr nightjar status
	assert_status 0
	assert_output "$WORK/repo: last backup ? s ago, manifest ????????"$'\n'"$RECORD"
	[ -z "$stderr" ]
	age 90000 # 25 h
	run nightjar status
	assert_status 0
	assert_output "*25 h ago*"
	fails 1 "nightjar: $WORK/repo: the last backup is 25 h old, more than 24 h" status --max-age 24h
	age 7200
	fails 1 "*27 h old, more than 26 h" status
	run nightjar status --max-age 2d
	assert_status 0
	for bad in 26 h 2x -1h 1h30m ''; do
		run nightjar status "--max-age=$bad"
		assert_status 2
	done
	mv repo gone && rm key # neither is needed
	run nightjar status --max-age 30h
	assert_status 0
}

@test "JSON: every time as one, null for what never was" {
	nightjar -q backup src
	nightjar -q check
	run --separate-stderr nightjar --json status
	assert_status 0
	[ "$(jq -r '.message_type, .fresh, .max_age_seconds' <<<"$output" | tr '\n' ' ')" = "status_summary true 93600 " ]
	[ "$(jq -r '.repositories[0] | .fresh, .trouble, .location, .backup_exit_code, .check_exit_code, .last_nightly, .last_good_drill' <<<"$output" |
		tr '\n' ' ')" = "true null $WORK/repo 0 0 null null " ]
	[ "$(jq -r '.repositories[0].manifest_id' <<<"$output")" = "$(nightjar manifests --json | jq -r '.[-1].id')" ]
	jq -e '.repositories[0] | .last_success == .last_backup and (.last_check | test("^20..-"))' <<<"$output" >/dev/null
	age 1000000
	run --separate-stderr nightjar --json status
	assert_status 1
	[ "$(jq -r '.repositories[0] | .fresh, (.trouble | length > 0)' <<<"$output" | tr '\n' ' ')" = "false true " ]
	[ "$(jq -r .message_type <<<"$stderr" | tr '\n' ' ')" = "error exit_error " ]
}

@test "how it ended: 1 naming the code and whose it is; after a mere 3 only with --strict" {
	nightjar -q backup src
	file=$(echo state/*/status)
	ended() { # WHAT CODE: as if the last one had ended so
		sed -i -e "s/^$1_exit .*/$1_exit $2/" -e "s/^$1_at_s .*/$1_at_s $(date +%s)/" "$file"
		[ "$1" = backup ] || sed -i "s/^nightly_good_at_s .*/nightly_good_at_s $(date +%s)/" "$file"
	}
	for what in backup nightly; do
		name=${what/nightly/night}
		for code in 1 2 10 11 12 20 21 22 23 24 130; do
			ended $what $code
			fails 1 "nightjar: $WORK/repo: the last $name ended with exit code $code (?*); its log says why; the last backup is ? s old" status
			[ "$(nightjar --json status 2>/dev/null | jq -c '[.ok, .fresh, (.repositories[0] | .ok, .fresh)]')" = "[false,true,false,true]" ]
		done
		ended $what 3
		run --separate-stderr nightjar status
		assert_status 0
		assert_output "$WORK/repo: last backup ? s ago, manifest ????????; the last $name ended with exit code 3 (a source could not be read)"$'\n'"$RECORD"
		[ -z "$stderr" ]
		fails 1 "*the last $name ended with exit code 3 (a source could not be read)*" status --strict
		ended $what 0
		run nightjar status --strict
		assert_status 0
	done
}

@test "the exit code of what never ended is null" {
	rm -rf state && nightjar -q backup src
	[ "$(nightjar --json status | jq -c '.repositories[0] | [.backup_exit_code, .nightly_exit_code, .check_exit_code, .immutable_alarms]')" = "[0,null,null,0]" ]
	rm -rf state
	[ "$(nightjar -r repo --json status 2>/dev/null | jq -c '.repositories[0] | [.ok, .fresh, .backup_exit_code, .nightly_exit_code, .check_exit_code, .immutable_alarms]')" = "[false,false,null,null,null,null]" ]
}

@test "a damaged file: 1 naming it, and the next backup writes it anew" {
	nightjar -q backup src
	file=$(echo state/*/status)
	for how in "truncate -s 40" "truncate -s 0" "flip"; do
		if [ "$how" = flip ]; then printf 'x\n' >"$file"; else $how "$file"; fi
		fails 1 "*/status: damaged; the next backup writes it anew" status
		nightjar -q backup src
		run nightjar status
		assert_status 0
	done
}

@test "a backup that is not made, or only tried, is none" {
	run nightjar -q backup nowhere
	assert_status 1
	nightjar -q backup --dry-run src
	fails 1 "*no backup into it was ever made*" status
	nightjar -q backup src
	age 200000
	run nightjar -q backup nowhere
	nightjar -q backup --dry-run src
	fails 1 "*the last backup is 2 days old*" status
}

@test "a state folder that cannot be written: the backup is made, and a warning" {
	need_root
	chmod 777 . && mkdir nobody && chmod 755 "$WORK" && chown -R 65534:65534 repo key src
	mkdir -p nobody/s && chmod 555 nobody/s && chown 65534:65534 nobody && chown 0:0 nobody/s
	run --separate-stderr as_nobody -r "$WORK/repo" --key-file "$WORK/key" backup "$WORK/src"
	assert_status 0
	says "nightjar: warning: 'nightjar status' will not know of this: *"
}

@test "two repositories: each is told, and one that is stale decides" {
	nightjar -q -r other --key-file key2 init
	nightjar -q backup src
	age 200000
	nightjar -q -r other --key-file key2 backup src
	unset NIGHTJAR_REPOSITORY NIGHTJAR_KEY_FILE
	run --separate-stderr nightjar status
	assert_status 1
	[ "$(grep -cE '^[0-9a-f]{64}:[0-9]+:[0-9a-f]{64}$' <<<"$output")" -eq 2 ] # of the stale one, too
	output=$(grep -vE '^[0-9a-f]{64}:[0-9]+:[0-9a-f]{64}$' <<<"$output")
	assert_output "$WORK/other: last backup*"
	assert_error "nightjar: $WORK/repo: the last backup is 2 days old, more than 26 h"
	run nightjar -r other status
	assert_status 0
	# Also by another name of the same folder, and from elsewhere.
	cd src && run nightjar -r ../other status
	assert_status 0
}

@test "of nights only those count that backed up every source, however new other backups are" {
	printf '[repository]\nlocation = %s\nkey-file = %s\n[source "a"]\npath = %s\n[source "b"]\npath = %s\n[checks]\noff = yes\n' \
		"$WORK/repo" "$WORK/key" "$WORK/src" "$WORK/src/sub" >n.ini
	chmod 600 n.ini
	nightjar -q --config n.ini nightly
	age 200000
	sed -i "s,^path = .*/sub,path = $WORK/nowhere," n.ini
	run nightjar -q --config n.ini nightly
	assert_status 1
	nightjar -q backup src/sub
	fails 1 "*the last whole backup is 2 days old, more than 26 h; the last night ended with exit code 1 (failed)" status
	sed -i "s,nowhere,src/sub," n.ini
	nightjar -q --config n.ini nightly
	run nightjar status
	assert_status 0
	# It says what it counts, or who has just made a backup by hand would not believe it.
	age 200000
	nightjar -q backup src
	fails 1 "nightjar: *: the last night is 2 days old, more than 26 h" status
}
