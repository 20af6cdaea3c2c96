# Parity: bits and blocks rot, packs are cut short, and come back as they were, without a key; what is beyond it is named.
load helpers
load repo

setup() {
	common_setup
	make_repo
	cp -a repo whole
	SMALL=$(find repo/data -type f -printf '%s %p\n' | sort -n | head -1 | cut -d' ' -f2)
}

# keyless ARG…: without the key that the environment names
keyless() {
	env -u NIGHTJAR_KEY_FILE "$NIGHTJAR" "$@"
}

teardown() {
	! mountpoint -q "$WORK/small" || umount "$WORK/small"
	common_teardown
}

# in_small: repo/ on a small disk of its own, whose NIGHTJAR_REPOSITORY it then is; packs are BIG and SMALL there
in_small() {
	need_root
	mkdir small && mount -t tmpfs -o size=3m none small 2>/dev/null || skip "mounting is not allowed here"
	cp -a repo small/repo
	BIG=small/$BIG SMALL=small/$SMALL
	export NIGHTJAR_REPOSITORY=small/repo
}

fill_up() {
	cat /dev/zero >small/filler 2>/dev/null || true
	! echo more 2>/dev/null >small/more
	rm small/more
}

# rot FILE BLOCK COUNT: so many blocks of 4 KiB become something else
rot() {
	chmod u+w "$1"
	head -c $((4096 * $3)) /dev/urandom | dd of="$1" bs=4096 seek="$2" conv=notrunc status=none
}

as_before() {
	diff -r whole/data repo/data
	[ -z "$(find repo -name '.tmp-*')" ]
	nightjar -q check --read-data
}

# kind FILE: of its parity tail
kind() {
	od -An -tu1 -j 30 -N 1 "$1" | tr -d ' '
}

@test "init --parity: off, 2, 4, and nothing else; packs have what it says" {
	[ "$(kind "$BIG")" -eq 2 ]
	echo tiny >tiny
	nightjar -q backup tiny # a small pack
	[ "$(for pack in repo/data/*/*; do kind "$pack"; done | sort | tr -d '\n')" = 122 ]
	fails 2 "*--parity: '3' is not off, 2 or 4" init -r new --key-file newkey --parity 3
	[ ! -e new ] && [ ! -e newkey ]
	head -c 500000 /dev/urandom >big
	for level in off 4; do
		nightjar -q -r "r$level" init --key-file "k$level" --parity $level
		nightjar -q -r "r$level" --key-file "k$level" backup big
	done
	[ "$(kind "$(find roff/data -type f)")" -eq 0 ]
	[ "$(kind "$(find r4/data -type f)")" -eq 4 ]
	# 512 KiB are 128 blocks, 2 stripes: 8 parity blocks, and two tables.
	[ "$(stat -c %s roff/data/*/*)" -eq 524288 ]
	[ "$(stat -c %s r4/data/*/*)" -eq $((524288 + 4096 * 10)) ]
}

@test "--parity of backup, prune, copy and repair packs overrides what init said" {
	fails 2 "*--parity*" backup --parity 1 "$SRC"
	fails 2 "*--parity*" prune --parity on
	fails 2 "*--parity*" copy --from-repo whole --parity on
	fails 2 "*--parity*" repair packs --parity on
	head -c 400000 /dev/urandom >"$SRC/three.bin"
	nightjar -q backup --parity 4 "$SRC"
	rm "$SRC/three.bin"
	[ "$(kind "$(object data)")" -eq 4 ]
	nightjar -q -r there init --key-file tkey
	nightjar -q -r there --key-file tkey copy --from-repo repo --from-key-file key --parity off
	for pack in there/data/*/*; do [ "$(kind "$pack")" -eq 0 ]; done
	# What is repacked has what prune was told.
	nightjar -q forget "$FIRST"
	nightjar -q prune --no-writers --max-unused 0% --parity off
	for pack in repo/data/*/*; do kind "$pack"; done | grep -q 0
	nightjar -q check --read-data
}

# kinds FOLDER: of all its packs that are not in repo/ as it was, sorted
kinds() {
	for pack in "$1"/data/*/*; do
		[ -e "whole/${pack#repo/}" ] || kind "$pack"
	done | sort | tr -d '\n'
}

# own_source: a folder OWN that no other test sees
own_source() {
	OWN=$WORK/own
	mkdir "$OWN"
}

@test "forget --prune --parity: what is repacked has it" {
	own_source
	fails 2 "*--parity: goes with --prune*" forget --keep-last 1 --parity 4
	fails 2 "*--parity: '3' is not off, 2 or 4" forget --keep-last 1 --prune --parity 3
	[ "$(kinds repo)" = "" ]
	# Of a pack with a backup's only chunk and another's that stays, the latter moves.
	head -c 300000 /dev/urandom >"$OWN/stays.bin"
	head -c 900000 /dev/urandom >"$OWN/goes.bin"
	nightjar -q backup --parity off "$OWN"
	rm "$OWN/goes.bin"
	nightjar -q backup --parity off "$OWN"
	[[ $(kinds repo) =~ ^0+$ ]]
	nightjar -q forget --keep-last 1 --prune --parity 4
	kinds repo | grep -q 4
	nightjar -q check --read-data
}

@test "nightly: each repository has the parity that its section says, or that of init; other commands, too" {
	own_source
	nightjar -q -r "$WORK/away" init --key-file akey
	{
		printf '[repository "here"]\nlocation = %s/repo\nkey-file = %s/key\nparity = 4\n' "$WORK" "$WORK"
		printf '[repository "away"]\nlocation = %s/away\nkey-file = %s/akey\n' "$WORK" "$WORK"
		printf '[source]\npath = %s\n[retention]\nkeep-last = 1\nprune = yes\nmax-unused = 0%%\n' "$OWN"
	} >n.ini
	chmod 600 n.ini
	unset NIGHTJAR_REPOSITORY NIGHTJAR_KEY_FILE
	export NIGHTJAR_CONFIG=$WORK/n.ini
	head -c 300000 /dev/urandom >"$OWN/stays.bin"
	head -c 900000 /dev/urandom >"$OWN/goes.bin"
	nightjar -q nightly
	[[ $(kinds repo) =~ ^1*4[14]*$ ]]
	[[ $(kinds away) =~ ^[12]+$ ]]
	# Prune moves what stays, as the file says by then.
	rm "$OWN/goes.bin"
	sed -i 's/^parity = 4/parity = off/' n.ini
	nightjar -q nightly
	kinds repo | grep -q 0
	[[ $(kinds away) =~ ^[12]+$ ]]
	# What is typed finds it there, and an option beats it.
	echo more >"$OWN/more"
	cp -a repo/. whole
	nightjar -q -r "$WORK/repo" backup "$OWN"
	[[ $(kinds repo) =~ ^0+$ ]]
	echo most >"$OWN/most"
	cp -a repo/. whole
	nightjar -q -r "$WORK/repo" backup --parity 4 "$OWN"
	[[ $(kinds repo) =~ ^[14]+$ ]]
	# init as well.
	printf '[repository]\nlocation = %s/made\nkey-file = %s/mkey\nparity = off\n' "$WORK" "$WORK" >n.ini
	nightjar -q init
	nightjar -q --no-cache backup "$OWN"
	[[ $(kinds made) =~ ^0+$ ]]
	printf '[repository]\nlocation = /x\n\nparity = 3\n' >n.ini
	fails 2 "nightjar: $WORK/n.ini:4: 'parity': '3' is not off, 2 or 4" nightly
}

@test "check writes to no pack and says what would mend it; check --repair without a key does" {
	run --separate-stderr nightjar check --read-data
	[[ $output != *"next:"* ]]
	rot "$BIG" 10 4
	flip "$SMALL" 3
	cp -a repo rotten
	run --separate-stderr nightjar check --read-data
	assert_status 20
	says "*${BIG#repo/}*'nightjar check --repair' can mend this"
	says "*${SMALL#repo/}*'nightjar check --repair' can mend this"
	diff -r rotten/data repo/data
	run --separate-stderr keyless check --repair
	assert_status 0
	says "nightjar: warning: ${BIG#repo/}: mended by its parity: 4 of * blocks were damaged"
	says "nightjar: warning: ${SMALL#repo/}: mended by its parity: 1 of * blocks were damaged"
	[[ $output == "damaged packs: 2 of 2; mended by their parity: 2 (blocks: 5); not mended: 0"* ]]
	[ "$(stat -c %a "$BIG")" -eq 400 ]
	as_before
	run --separate-stderr keyless check --repair
	assert_status 0
	[[ $output == "no damaged pack (packs: 2)"* ]]
	# The notes of the first check are still there, until one that reads everything may take them away.
	[ "$(find repo/snapshots -type f | wc -l)" -eq 3 ]
	run --separate-stderr nightjar --json check --repair --read-data
	assert_status 0
	[ "$(jq -r 'select(.message_type == "summary") | .notes_withdrawn' <<<"$output")" -gt 0 ]
	[ "$(find repo/snapshots -type f | wc -l)" -eq 2 ]
	restores "$SECOND"
}

@test "repair packs without a key: parity alone; with one: parity first" {
	rot "$BIG" 20 3
	run --separate-stderr keyless --json repair packs
	assert_status 0
	[ "$(jq -c '[.parity_only, .num_errors, .packs_damaged, .packs_mended, .blocks_mended]' <<<"$output")" = "[true,0,1,1,3]" ]
	as_before
	rot "$BIG" 20 3
	run --separate-stderr nightjar --json repair packs
	assert_status 0
	[ "$(jq -c '[.packs_damaged, .packs_mended, .blocks_mended, .records_saved, .noted]' <<<"$output")" = "[1,1,3,0,0]" ]
	as_before
	# Only that one.
	rot "$BIG" 20 3
	run --separate-stderr keyless repair packs "$(basename "$SMALL" | cut -c1-12)"
	assert_status 0
	[[ $output == "no damaged pack (packs: 1)"* ]]
	keyless -q repair packs "$(basename "$BIG" | cut -c1-12)"
	as_before
}

@test "cut short, lengthened, and the head gone: mended" {
	local bytes
	bytes=$(stat -c %s "$BIG")
	cut_short "$BIG" $((bytes - 5000))
	echo more >>"$BIG"
	keyless -q check --repair
	as_before
	rot "$BIG" 0 2
	keyless -q check --repair
	as_before
	chmod u+w "$SMALL"
	echo more >>"$SMALL"
	flip "$SMALL" 0
	keyless -q check --repair
	as_before
}

@test "beyond its parity: named, exit 20, not touched; the full key saves the rest" {
	rot "$BIG" 5 9
	cp -a repo rotten
	run --separate-stderr keyless check --repair
	assert_status 20
	says "*${BIG#repo/}: damaged, and beyond what its parity can mend*'repair packs' with the full key*"
	diff -r rotten/data repo/data
	run --separate-stderr nightjar check --read-data
	assert_status 20
	[[ $output == *"next: what is named, from a copy of the repository; without one "*"'repair packs'"* ]]
	run --separate-stderr nightjar --json check --repair
	assert_status 20
	[ "$(jq -r 'select(.message_type == "summary") | .num_errors' <<<"$output")" -ge 1 ]
	run --separate-stderr nightjar --json repair packs
	assert_status 20
	[ "$(jq '.packs_mended' <<<"$output")" -eq 0 ] && [ "$(jq '.records_saved' <<<"$output")" -ge 1 ]
}

@test "on a full disk each pack that cannot be written is named, with the reason; with room again all are mended" {
	in_small
	rot "$BIG" 10 3
	rot "$SMALL" 0 1
	cp -a small/repo rotten
	fill_up
	local why="damaged; its parity gives it back (* blocks were damaged), but it cannot be put in its place: No space left on device; it is as it was; *do this again"
	for command in "keyless check --repair" "keyless repair packs" "nightjar check --repair" "nightjar repair packs"; do
		# shellcheck disable=SC2086
		run --separate-stderr $command
		assert_status 20
		says "*${BIG#small/repo/}: $why"
		says "*${SMALL#small/repo/}: $why"
		diff -r rotten small/repo
	done
	[ "$(nightjar --json repair packs | jq -c '[.packs_damaged, .packs_mended, .packs_not_written, .noted]')" = "[2,0,2,0]" ]
	[ "$(keyless --json check --repair | jq -c '[.num_errors, .packs_not_written]')" = "[2,2]" ]
	# Room for the small one, whichever comes first.
	truncate -s -400000 small/filler
	run --separate-stderr keyless check --repair
	assert_status 20
	says "*${BIG#small/repo/}: $why"
	says "nightjar: warning: ${SMALL#small/repo/}: mended by its parity: *"
	rm small/filler
	keyless -q check --repair
	diff -r whole small/repo
}

@test "on a disk that may only be read, too" {
	in_small
	rot "$BIG" 10 3
	rot "$SMALL" 0 1
	cp -a small/repo rotten
	mount -o remount,ro small
	for command in "keyless check --repair" "nightjar check --repair" "nightjar repair packs"; do
		# shellcheck disable=SC2086
		run --separate-stderr $command
		assert_status 20
		says "*${BIG#small/repo/}: *cannot be put in its place: Read-only file system; it is as it was*"
		says "*${SMALL#small/repo/}: *cannot be put in its place: Read-only file system; it is as it was*"
	done
	mount -o remount,rw small
	diff -r rotten small/repo
	keyless -q check --repair
	diff -r whole small/repo
}

@test "beyond its parity on a full disk: what opens stays where it is, unnoted, until there is room" {
	in_small
	rot "$BIG" 30 9
	rot "$SMALL" 0 1
	cp -a small/repo rotten
	fill_up
	run --separate-stderr nightjar repair packs
	assert_status 20
	says "*${BIG#small/repo/}: damaged; what still opens of it cannot be moved into a new pack: *No space left on device; it is as it was; *do this again"
	says "*${SMALL#small/repo/}: damaged; its parity gives it back *No space left on device*"
	# A folder may have been made for the new pack, and no file.
	find small/repo -type d -empty -path '*/data/*' -delete
	diff -r rotten small/repo
	rm small/filler
	run --separate-stderr nightjar --json repair packs
	assert_status 20
	[ "$(jq -c '[.packs_damaged, .packs_mended, .packs_not_written, .not_noted]' <<<"$output")" = "[2,1,0,false]" ]
	[ "$(jq '.records_saved' <<<"$output")" -ge 1 ]
	cmp "$SMALL" "whole/${SMALL#small/repo/}"
}

@test "a pack without parity is named" {
	nightjar -q -r bare init --key-file barekey --parity off
	nightjar -q -r bare --key-file barekey backup "$SRC/photo.jpg"
	flip "$(find bare/data -type f)" 3000
	run --separate-stderr keyless -r bare check --repair
	assert_status 20
	says "*damaged, and it has no parity*"
}

@test "without a key: no other check, no repository" {
	run --separate-stderr keyless check --repair --read-data
	assert_status 12
	run --separate-stderr keyless check --repair latest
	assert_status 12
	run --separate-stderr keyless check --repair --read-data-subset 1/2
	assert_status 12
	# What nobody looks for must not look as if it were there.
	run --separate-stderr keyless check --repair --accept-rollback
	assert_status 12
	run --separate-stderr keyless check --repair --expect "$(printf "%064d:1:%064d" 1 2)"
	assert_status 12
	run --separate-stderr keyless -r nowhere check --repair
	assert_status 10
}

@test "with a write key check --repair mends, and looks at nothing else" {
	nightjar -q key export --role write writekey >/dev/null
	rot "$BIG" 20 3
	NIGHTJAR_KEY_FILE=writekey run --separate-stderr nightjar check --repair
	assert_status 0
	[[ $output == "damaged packs: 1 of "*"only the bytes of packs were looked at"* ]]
	as_before
	NIGHTJAR_KEY_FILE=writekey run --separate-stderr nightjar check --repair --read-data
	assert_status 12
}

@test "a restore or dump that meets damage says what mends it" {
	rot "$BIG" 5 3
	run --separate-stderr nightjar restore latest --target out
	assert_status 1
	says "*'nightjar check --repair'*mends*"
	damaged=$(sed -n "s/^nightjar: \(.*\): [^:]*data\/.*/\1/p" <<<"$stderr" | head -1)
	run --separate-stderr nightjar dump "latest:$damaged"
	assert_status 1
	says "*'nightjar check --repair'*mends*"
	keyless -q check --repair
	run --separate-stderr nightjar restore latest --target out
	assert_status 0
	[[ $stderr != *"check --repair"* ]]
}

@test "stats tells what parity takes" {
	run --separate-stderr nightjar --json stats
	assert_status 0
	[ "$(jq '.parity_bytes' <<<"$output")" -gt 0 ]
}
