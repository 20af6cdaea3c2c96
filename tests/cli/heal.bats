# check notes what it finds damaged, and the next backup stores it again; check MANIFEST… looks at chosen backups only.
load helpers
load repo

setup() {
	common_setup
	make_repo
	SMALLER=$(find repo/data -type f -printf '%s %p\n' | sort -n | tail -2 | head -1 | cut -d' ' -f2)
}

# The sources where the manifests say they were.
again() {
	cp -a src/. "$SRC/"
	run --separate-stderr nightjar -q backup "$SRC"
	assert_status 0
	[ -z "$stderr" ]
}

@test "damage in a file: noted once, healed by the next backup, old backups too" {
	flip "$BIG" 150000
	run --separate-stderr nightjar check --read-data
	assert_status 20
	assert_output "*noted 1 damaged records: the next backup stores them again*DAMAGE was found (findings: 3)*"
	[ "$(find repo/snapshots -type f | wc -l)" -eq 3 ]
	run nightjar manifests --json
	[ "$(jq length <<<"$output")" = 2 ]
	run nightjar check --read-data
	assert_status 20
	[[ $output != *noted* ]]
	again
	run --separate-stderr nightjar check --read-data
	assert_status 0
	assert_output "*no damage found"
	assert_error "nightjar: warning: ${BIG#repo/}: *damaged*; nothing is lost by it, there is another copy"
	for manifest in "$FIRST" "$SECOND" latest; do
		nightjar restore "$manifest" --target "back-$manifest"
		cmp src/photo.jpg "back-$manifest$SRC/photo.jpg"
	done
}

@test "check --json: noted, and damaged copies once they are replaced" {
	flip "$BIG" 150000
	run --separate-stderr nightjar check --read-data --json
	assert_status 20
	[ "$(jq -c '[.num_errors, .noted, .damaged_copies]' <<<"$output")" = "[3,1,0]" ]
	again
	run --separate-stderr nightjar check --read-data --json
	assert_status 0
	[ "$(jq -c '[.num_errors, .noted, .damaged_copies]' <<<"$output")" = "[0,0,1]" ]
	[ "$(jq -r .message_type <<<"$stderr")" = warning ]
}

@test "check MANIFEST…: only what the chosen backups rest on" {
	flip "$SMALLER" 100000
	run --separate-stderr nightjar check --read-data "$FIRST"
	assert_status 0
	[ -z "$stderr" ]
	for chosen in latest "${SECOND:0:8}" "$SECOND"; do
		run --separate-stderr nightjar check --read-data "$chosen"
		assert_status 20
		says "nightjar: ${SMALLER#repo/}: *damaged*"
		says "nightjar: manifest ${SECOND:0:8}: $SRC/two.bin: *damaged*"
		[ "$(wc -l <<<"$stderr")" -eq 2 ]
	done
	run nightjar check --read-data "$FIRST" latest
	assert_status 20
	# In time, its source does not have it any more.
	rm -f "$SRC/two.bin"
	run nightjar -q backup "$SRC"
	assert_status 0
	run --separate-stderr nightjar check --read-data latest
	assert_status 0
	run nightjar check --read-data
	assert_status 20
}

@test "check MANIFEST…: what is no backup, or not a whole one" {
	fails 1 "*there is no backup whose id begins with 00000000*" check 00000000
	fails 2 "*'nonsense' names no backup*" check nonsense
	fails 2 "*'latest:/x': a whole backup is checked, not a path*" check latest:/x
	# One of two is enough, and nothing was checked.
	fails 1 "*there is no backup whose id begins with 00000000*" check latest 00000000
	[ -z "$output" ]
}

@test "check latest with a damaged manifest: told once, 20" {
	flip "repo/snapshots/$SECOND" 500
	run --separate-stderr nightjar check latest
	assert_status 20
	assert_error "nightjar: repo/snapshots/$SECOND: *damaged*"
}

@test "check MANIFEST… asks for the password once" {
	echo secret >pw
	unset NIGHTJAR_KEY_FILE
	nightjar -r r2 --password-file pw init >/dev/null
	nightjar -q -r r2 --password-file pw backup src
	nightjar -r r2 --password-command 'echo asked >>asked; echo secret' check latest
	[ "$(wc -l <asked)" -eq 1 ]
}

@test "a state folder that cannot be: check goes on, and notes in the repository" {
	export NIGHTJAR_STATE_DIR=/proc/nowhere
	run --separate-stderr nightjar check --read-data
	assert_status 0
	[ -z "$stderr" ]
	flip "$BIG" 150000
	run --separate-stderr nightjar check --read-data --json
	assert_status 20
	[ "$(jq .noted <<<"$output")" = 1 ]
}

@test "a repository that this user may only read: the same verdict, and a warning that it is not noted there" {
	need_root
	chmod -R a+rX repo && chmod a+r key
	find repo -type f | sort >before
	as_nobody check --read-data 2>&1 | grep "no damage found"
	flip "$BIG" 150000
	chmod -R a+rX repo
	run --separate-stderr as_nobody check --read-data
	assert_status 20
	says "nightjar: warning: the damage could not be noted in the repository: *"
	find repo -type f | sort | diff before -
	[ "$(wc -l <nobody/s/*/damage)" -eq 1 ]
}

@test "a pack that this user may not read is told, and not noted" {
	need_root
	chmod -R a+rwX repo && chmod a+r key
	chmod 600 "$BIG"
	run --separate-stderr as_nobody check --read-data --json
	assert_status 20
	[ "$(jq .noted <<<"$output")" = 0 ]
}

@test "what this host remembers of damage does not read: a warning, and the next finding replaces it" {
	flip "$BIG" 150000
	run nightjar check --read-data
	assert_status 20
	local file
	file=$(echo state/*/damage)
	echo nonsense >"$file"
	cp -a src/. "$SRC/"
	run --separate-stderr nightjar backup "$SRC"
	assert_status 0
	says "nightjar: warning: *damage: does not read as notes of damage"
	run nightjar check --read-data
	assert_status 0
	[ "$(wc -c <"$file")" -eq 132 ]
}
