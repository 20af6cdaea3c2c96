# check names what is damaged and whom it touches; restore brings back the rest; the next backup heals.
load helpers
load repo

setup() {
	common_setup
	make_repo
}

@test "a sound repository: 0, with and without --read-data" {
	run nightjar check
	assert_status 0
	assert_output "*manifests: 2*no damage found*"
	run nightjar check --read-data
	assert_status 0
	[ "$(nightjar check --json | jq -r '.num_errors')" = 0 ]
}

@test "a flipped bit in a record: pack, manifest and path are named, the rest is restored" {
	flip "$BIG" 150000
	run --separate-stderr nightjar check --read-data
	assert_status 20
	says "nightjar: ${BIG#repo/}: *damaged*"
	says "nightjar: manifest ${FIRST:0:8}: $SRC/photo.jpg: *damaged*"
	says "nightjar: manifest ${SECOND:0:8}: $SRC/photo.jpg: *damaged*"
	[ "$(wc -l <<<"$stderr")" -eq 3 ]
	run --separate-stderr nightjar restore latest --target back
	assert_status 1
	says "nightjar: $SRC/photo.jpg: *$BIG*damaged*"
	cmp src/two.bin "back$SRC/two.bin"
	cmp src/sub/a.txt "back$SRC/sub/a.txt"
	[ ! -e "back$SRC/photo.jpg" ]
	[ "$(sqlite3 "back$SRC/app.db" 'SELECT count(*) FROM t')" = 2 ]
	run --separate-stderr nightjar dump "latest:$SRC/photo.jpg"
	assert_status 1
	assert_error "*$BIG*damaged*"
	run nightjar dump "latest:$SRC/sub/a.txt"
	assert_status 0
	[ "$output" = small ]
}

@test "a flipped bit in padding or header: check --read-data names the pack, everything is restored" {
	flip "$BIG" 10
	run --separate-stderr nightjar check --read-data
	assert_status 20
	assert_error "nightjar: ${BIG#repo/}: damaged*"
	restores latest
}

@test "check --json tells the same as objects" {
	flip "$BIG" 150000
	run --separate-stderr nightjar check --read-data --json
	assert_status 20
	[ "$(jq -r .num_errors <<<"$output")" = 3 ]
	[ "$(jq -r 'select(.message_type == "error") | .item' <<<"$stderr" | head -1)" = "${BIG#repo/}" ]
	jq -r .item <<<"$stderr" | grep -qxF "manifest ${FIRST:0:8}: $SRC/photo.jpg"
	[ "$(jq -r 'select(.message_type == "exit_error") | .code' <<<"$stderr")" = 20 ]
}

@test "a pack that was cut short: named once, what lies before the cut is restored, the next backup heals" {
	cut_short "$BIG" 50000
	run --separate-stderr nightjar check
	assert_status 20
	says "nightjar: ${BIG#repo/}: cut short"
	says "nightjar: manifest ${FIRST:0:8}: *"
	[ "$(sort <<<"$stderr" | uniq -d | wc -l)" -eq 0 ]
	run --separate-stderr nightjar restore latest --target back
	assert_status 1
	says "nightjar: *$BIG*cut short*"
	cp -a src/. "$SRC/"
	run --separate-stderr nightjar -q backup "$SRC"
	assert_status 0
	restores latest
}

@test "a missing pack: named, the next backup stores its content again and says so" {
	rm -f "$BIG"
	run --separate-stderr nightjar check
	assert_status 20
	says "nightjar: ${BIG#repo/}: missing"
	says "nightjar: manifest ${FIRST:0:8}: /*"
	run --separate-stderr nightjar restore "$FIRST" --target back
	assert_status 1
	says "nightjar: *$BIG: the pack is missing*"
	run --separate-stderr nightjar backup "$SRC"
	assert_status 0
	says "nightjar: warning: repo: packs that are missing or cut short: 1;*"
	restores latest
}

@test "all packs gone: every backup is named, none restores, the next one does" {
	rm -rf repo/data
	run --separate-stderr nightjar check
	assert_status 20
	says "nightjar: manifest ${FIRST:0:8}: /: *"
	says "nightjar: manifest ${SECOND:0:8}: /: *"
	fails 1 "*pack is missing*" restore latest --target back
	run nightjar -q backup "$SRC"
	assert_status 0
	restores latest
}

@test "the index folder is gone: restore works from the packs, check says what is missing, backup goes on" {
	rm -rf repo/index
	restores latest
	run --separate-stderr nightjar check
	assert_status 20
	says "nightjar: ${BIG#repo/}: *index*missing*"
	run nightjar -q backup "$SRC"
	assert_status 0
	restores latest
}

@test "a flipped or cut index segment: a warning to restore, damage to check" {
	segment=$(object index)
	for how in flip cut_short; do
		$how "$segment" 100
		run --separate-stderr nightjar restore latest --target back
		assert_status 0
		says "nightjar: warning: *$segment: damaged*"
		run --separate-stderr nightjar check
		assert_status 20
		says "nightjar: *$segment: damaged*"
	done
}

@test "a flipped or cut manifest: said, the others are listed and restored" {
	for how in flip cut_short; do
		$how "repo/snapshots/$SECOND" 500
		run --separate-stderr nightjar manifests
		assert_status 1
		assert_error "*repo/snapshots/$SECOND: damaged*"
		assert_output "*${FIRST:0:8}*1 manifest"
		run --separate-stderr nightjar check
		assert_status 20
		says "nightjar: *snapshots/$SECOND: damaged*"
		run --separate-stderr nightjar restore latest --target back
		assert_status 1 # it may not be the latest
		run --separate-stderr nightjar restore "${FIRST:0:8}" --target back
		assert_status 0
		fails 1 "*repo/snapshots/$SECOND: damaged*" ls latest
	done
}

@test "every manifest damaged: not the same as no backup yet" {
	flip "repo/snapshots/$FIRST" 500
	flip "repo/snapshots/$SECOND" 500
	run --separate-stderr nightjar restore latest --target back
	assert_status 1
	says "nightjar: no manifest in this repository can be read"
}

@test "a damaged config: check 20, everything else 1, one line that says what to do" {
	cp repo/config config.sound
	for how in "flip repo/config 50" "cut_short repo/config 50" "cut_short repo/config 0" "flip repo/config 1"; do
		$how
		fails 20 "*repo/config: damaged*any copy*" check
		fails 1 "*repo/config: damaged*any copy*" manifests
		fails 1 "*repo/config: damaged*any copy*" backup src
		cp -f config.sound repo/config
	done
	restores latest
}

@test "a damaged or missing roster: named, and the next backup of the host makes it whole" {
	local older=0
	for f in repo/keys/*; do
		rm -rf keep keep-state elsewhere && cp -a repo keep && cp -a "$NIGHTJAR_STATE_DIR" keep-state
		flip "$f" 100
		run --separate-stderr nightjar check
		says "nightjar: *$f: damaged*"
		if [ "$status" -eq 24 ]; then # an older roster is what is left, and that is told as well
			older=$((older + 1))
			says "nightjar: repo/keys: the roster *has vanished*"
			says "nightjar: repo/keys: the roster no longer names writer *"
		else
			assert_status 20
		fi
		rm -f "$f"
		# As the book says for when that host is no more: any backup in its name.
		mkdir -p other
		NIGHTJAR_STATE_DIR=$WORK/elsewhere run nightjar -q backup --host "$(uname -n)" other
		assert_status 0
		run --separate-stderr nightjar restore "$FIRST" --target back
		assert_status 0
		# What this host has seen goes back with it: an old copy alone is a rollback.
		rm -rf repo "$NIGHTJAR_STATE_DIR" && mv keep repo && mv keep-state "$NIGHTJAR_STATE_DIR"
	done
	[ "$older" -eq 1 ]
}

@test "what an interrupted backup leaves is no damage" {
	mkdir -p repo/data/ab
	touch repo/data/ab/.tmp-0123456789abcdef repo/data/.tmp-x
	run nightjar check
	assert_status 0
}
