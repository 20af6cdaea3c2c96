# repair index, packs, manifests: real damage, what is saved, what is named as lost, and that a second time there is nothing to do.
load helpers
load repo

setup() {
	common_setup
	PARITY=off # what is damaged is to stay damaged: parity.bats has the rest
	make_repo
}

objects() {
	find "repo/$1" -type f | wc -l
}

# summary FIELD: of the last JSON output
summary() {
	jq -r "select(.message_type == \"summary\") | .$1" <<<"$output"
}

sound() {
	run --separate-stderr nightjar check --read-data
	assert_status 0
	[[ $output == *"no damage found"* ]]
	restore_first
	restores "$SECOND"
}

# The first backup, before two.bin.
restore_first() {
	rm -rf back
	run --separate-stderr nightjar restore "$FIRST" --target back
	assert_status 0
	diff -r --exclude=app.db --exclude=two.bin src "back$SRC"
}

nothing_to_repair() {
	find repo -type f | sort >before
	run --separate-stderr nightjar --json repair index
	assert_status 0
	[ "$(summary segments_written)" -eq 0 ] && [ "$(summary segments_replaced)" -eq 0 ]
	[ -z "$stderr" ]
	find repo -type f | sort | diff before -
}

# --- index ---

@test "repair index: a healthy index is left alone" {
	nothing_to_repair
	run nightjar repair index --read-all-packs
	assert_status 0
	[[ $output == *"nothing to repair"* ]]
	find repo -type f | sort | diff before -
}

@test "repair index: every segment is gone" {
	rm repo/index/*
	run nightjar check
	assert_status 20
	run --separate-stderr nightjar --json repair index
	assert_status 0
	[ "$(summary packs_added)" -eq "$(objects data)" ]
	[ "$(summary segments_written)" -eq 1 ]
	[ "$(objects index)" -eq 1 ]
	sound
	nothing_to_repair
	# What the next backup needs is known again: it stores nothing of it.
	run --separate-stderr nightjar --json backup "$SRC"
	[ "$(summary data_added)" -lt 20000 ]
}

@test "repair index: a segment with a flipped bit is replaced, and so is one that is cut" {
	local segments
	mapfile -t segments < <(find repo/index -type f | sort)
	flip "${segments[0]}" 300
	cut_short "${segments[1]}" 1000
	run --separate-stderr nightjar repair index
	assert_status 0
	says "nightjar: warning: ${segments[0]#repo/}: *"
	says "nightjar: warning: ${segments[1]#repo/}: *"
	[ ! -e "${segments[0]}" ] && [ ! -e "${segments[1]}" ]
	[[ $output == *"written: 1, removed: 2; packs added: 2"*"next: 'nightjar check'"* ]]
	sound
	nothing_to_repair
}

@test "repair index: a segment of another repository is not ours, and goes" {
	nightjar -q -r other init --key-file otherkey
	nightjar -q -r other --key-file otherkey backup src
	cp other/index/* repo/index/
	run --separate-stderr nightjar repair index
	assert_status 0
	says "*belongs to another repository*"
	[ "$(objects index)" -eq 2 ]
	sound
}

@test "repair index: a pack that is gone is named no more, the others of its segment stay" {
	# One segment for both packs, so that one of them stays.
	rm repo/index/* && nightjar -q repair index
	rm "$BIG"
	run --separate-stderr nightjar --json repair index
	assert_status 0
	[ "$(summary packs_missing)" -eq 1 ]
	[ "$(summary segments_written)" -eq 1 ] && [ "$(summary segments_replaced)" -eq 1 ]
	[[ $stderr == *"$(basename "$BIG" | cut -c1-8)"*"is missing"* ]]
	nothing_to_repair
	# check knows what is lost, and does not take the rest for lost.
	run nightjar check
	assert_status 20
	[[ $output == *"manifest ${FIRST:0:8}"* ]]
}

@test "repair index: a pack that nobody names and whose directory is damaged is told, and is exit 20" {
	rm repo/index/*
	flip "$BIG" 200
	run --separate-stderr nightjar repair index
	assert_status 20
	says "nightjar: ${BIG#repo/}: *"
	[[ $output == *"repair packs"* ]]
}

@test "repair index --read-all-packs: a damaged directory does not cost what the index knows" {
	flip "$BIG" 200
	nothing_to_repair
	run --separate-stderr nightjar repair index --read-all-packs
	assert_status 20
	says "nightjar: ${BIG#repo/}: *"
	[ "$(objects index)" -eq 2 ]
	restores "$SECOND"
}

@test "repair index: what is of a newer format is not touched" {
	newer "$(object index)" >/dev/null
	find repo -type f | sort >before
	run --separate-stderr nightjar repair index
	assert_status 1
	[[ $stderr == *newer* ]]
	find repo -type f | sort | diff before -
}

@test "repair index: a segment that cannot be read is no damaged one" {
	need_root
	chown -R 65534:65534 repo key
	local segment
	segment=$(object index)
	chown 0:0 "$segment" && chmod 600 "$segment"
	run --separate-stderr as_nobody -r repo --key-file key repair index
	assert_status 1
	[[ $stderr == *"${segment#repo/}"* ]]
	[ -e "$segment" ] && [ "$(objects index)" -eq 2 ]
}

# --- packs ---

@test "repair packs: all packs are what they are" {
	run --separate-stderr nightjar repair packs
	assert_status 0
	assert_output "no damaged pack (packs: 2)"
	[ "$(objects snapshots)" -eq 2 ]
}

@test "repair packs: a record is damaged: the others are moved, the paths named, and the next backup heals" {
	flip "$BIG" 150000
	run --separate-stderr nightjar --json repair packs
	assert_status 20
	[ "$(summary packs_damaged)" -eq 1 ]
	[ "$(summary records_lost)" -eq 1 ]
	[ "$(summary records_saved)" -ge 5 ]
	[ "$(summary paths_touched)" -eq 2 ]
	[[ $stderr == *"${FIRST:0:8}"*photo.jpg* && $stderr == *"${SECOND:0:8}"*photo.jpg* ]]
	[[ $stderr != *a.txt* && $stderr != *app.db* ]]
	[ -e "$BIG" ] # prune takes it
	# All the rest no longer needs the damaged pack.
	mv "$BIG" gone
	run --separate-stderr nightjar restore "$SECOND" --target part --exclude photo.jpg
	assert_status 0
	cmp src/two.bin "part$SRC/two.bin"
	cmp src/sub/a.txt "part$SRC/sub/a.txt"
	[ "$(sqlite3 "part$SRC/app.db" 'SELECT group_concat(b) FROM t')" = one,two ]
	mv gone "$BIG"
	# A second time nothing is moved or noted.
	find repo -type f | sort >before
	run --separate-stderr nightjar --json repair packs
	assert_status 20
	[ "$(summary records_saved)" -eq 0 ] && [ "$(summary noted)" -eq 0 ]
	find repo -type f | sort | diff before -
	run --separate-stderr nightjar backup "$SRC"
	assert_status 0
	run --separate-stderr nightjar check --read-data
	assert_status 0
	restores "$SECOND"
	run --separate-stderr nightjar repair packs
	assert_status 0
	[[ $output == *"nothing is lost"* ]]
}

@test "repair packs: where only the padding or the directory is damaged, nothing is lost" {
	flip "$BIG" $(($(stat -c %s "$BIG") - 5))
	local small
	small=$(find repo/data -type f ! -path "$BIG")
	flip "$small" 200
	run --separate-stderr nightjar --json repair packs
	assert_status 0
	[ "$(summary packs_damaged)" -eq 2 ] && [ "$(summary records_lost)" -eq 0 ]
	rm "$BIG" "$small"
	nightjar -q repair index
	sound
}

@test "repair packs: the damaged pack is no damage to check any more" {
	flip "$BIG" $(($(stat -c %s "$BIG") - 5))
	run nightjar check --read-data
	assert_status 20
	nightjar -q repair packs
	run --separate-stderr nightjar check --read-data
	assert_status 0
	says "nightjar: warning: ${BIG#repo/}: *another copy*"
}

@test "repair packs: a pack that was cut short gives what its front holds" {
	cut_short "$BIG" $(($(stat -c %s "$BIG") / 2))
	run --separate-stderr nightjar --json repair packs
	assert_status 20
	[ "$(summary records_lost)" -ge 1 ]
	[ "$(summary records_saved)" -ge 1 ]
	run --separate-stderr nightjar backup --force "$SRC"
	assert_status 0
	restores latest
}

@test "repair packs: moved records are read without any index" {
	flip "$BIG" 150000
	run nightjar repair packs
	rm "$BIG" repo/index/*
	run --separate-stderr nightjar restore "$SECOND" --target part --exclude photo.jpg
	assert_status 0
	cmp src/two.bin "part$SRC/two.bin"
}

@test "repair packs and index: the second reader reads what they wrote" {
	python3 -c 'import ctypes; ctypes.CDLL("libsodium.so.23"), ctypes.CDLL("libzstd.so.1")' || skip "needs libsodium.so.23 and libzstd.so.1"
	local reader=$BATS_TEST_DIRNAME/../reader/nightjar_reader.py
	flip "$BIG" $(($(stat -c %s "$BIG") - 5))
	nightjar -q repair packs
	rm "$BIG" repo/index/*
	nightjar -q repair index
	[ "$(objects index)" -eq 1 ]
	PYTHONDONTWRITEBYTECODE=1 python3 "$reader" -r repo --key-file key extract "$SECOND" there
	cmp src/photo.jpg "there$SRC/photo.jpg" && cmp src/two.bin "there$SRC/two.bin"
	run env PYTHONDONTWRITEBYTECODE=1 python3 "$reader" -r repo --key-file key verify
	assert_status 0
}

@test "repair packs ID: only that one; no such one, several" {
	flip "$BIG" 150000
	local small
	small=$(basename "$(find repo/data -type f ! -path "$BIG")")
	run --separate-stderr nightjar repair packs "${small:0:10}"
	assert_status 0
	assert_output "no damaged pack (packs: 1)"
	run --separate-stderr nightjar repair packs "$(basename "$BIG" | cut -c1-12)"
	assert_status 20
	fails 1 "*no pack whose name begins with*" repair packs 0123456789
	[ "$(objects data)" -eq 3 ]
}

@test "repair packs: directory and index are both lost" {
	flip "$BIG" 200
	rm repo/index/*
	run --separate-stderr nightjar --json repair packs
	assert_status 20
	[ "$(summary packs_lost)" -eq 1 ]
	[[ $stderr == *"neither its directory nor an index segment"*"${BIG#repo/}"* ]]
	[[ $stderr == *"manifest ${FIRST:0:8}"* ]]
}

# --- manifests ---

@test "repair manifests: nothing is lost, nothing is made" {
	find repo -type f | sort >before
	run --separate-stderr nightjar repair manifests
	assert_status 0
	[[ $output == "no backup lacks anything"*"(manifests: 2)"* ]]
	find repo -type f | sort | diff before -
}

@test "repair manifests: a lost file is left out, everything else of the backup is there" {
	flip "$BIG" 150000
	run nightjar check --read-data
	assert_status 20
	run --separate-stderr nightjar --json repair manifests --dry-run
	assert_status 0
	[ "$(summary manifests_repaired)" -eq 2 ] && [ "$(summary paths_left_out)" -eq 2 ]
	[ "$(nightjar manifests --json | jq length)" -eq 2 ]
	run --separate-stderr nightjar --json repair manifests
	assert_status 0
	[ "$(summary manifests_repaired)" -eq 2 ] && [ "$(summary paths_left_out)" -eq 2 ]
	says "*${FIRST:0:8}*$SRC/photo.jpg*"
	local made
	made=$(jq -r "select(.original == \"$SECOND\") | .manifest_id" <<<"$output")
	nightjar manifests --json >list
	[ "$(jq -r ".[] | select(.id == \"$made\") | \"\(.tags[0]) \(.original) \(.unreadable)\"" list)" = "repaired $SECOND 1" ]
	[ "$(jq -r ".[] | select(.id == \"$made\") | .files" list)" = "$(($(jq -r ".[] | select(.id == \"$SECOND\") | .files" list) - 1))" ]
	[ "$(jq -r ".[] | select(.id == \"$made\") | .time" list)" = "$(jq -r ".[] | select(.id == \"$SECOND\") | .time" list)" ]
	run nightjar check "$made"
	assert_status 0
	rm -rf back
	run --separate-stderr nightjar restore "$made" --target back --verify
	assert_status 0
	[ ! -e "back$SRC/photo.jpg" ]
	rm src/photo.jpg
	diff -r --exclude=app.db src "back$SRC"
	[ "$(sqlite3 "back$SRC/app.db" 'SELECT group_concat(b) FROM t')" = one,two ]
	# Once is enough.
	find repo -type f | sort >before
	run --separate-stderr nightjar --json repair manifests
	assert_status 0
	[ "$(summary manifests_repaired)" -eq 0 ] && [ "$(summary manifests_repaired_before)" -eq 2 ]
	find repo -type f | sort | diff before -
}

@test "repair manifests: a database that cannot be restored is left out, and its facts with it" {
	sqlite3 src/big.db "CREATE TABLE t(x); WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<20000) INSERT INTO t SELECT hex(randomblob(40)) FROM c"
	nightjar -q backup src
	local third
	third=$(nightjar manifests --json | jq -r '.[-1].id')
	local pack
	pack=$(object data)
	flip "$pack" $(($(stat -c %s "$pack") / 2))
	run nightjar check --read-data
	assert_status 20
	run --separate-stderr nightjar --json repair manifests "$third"
	assert_status 0
	[[ $stderr == *"database cannot be had"*"/src/big.db"* ]]
	nightjar manifests --json >list
	[ "$(jq -r ".[] | select(.original == \"$third\") | [.databases[].path | split(\"/\")[-1]] | join(\" \")" list)" = app.db ]
	run nightjar check "$(jq -r ".[] | select(.original == \"$third\") | .id" list)"
	assert_status 0
}

@test "repair manifests: whatever a pack took with it, what is left is whole" {
	local made left=0
	rm "$(find repo/data -type f ! -path "$BIG")"
	run --separate-stderr nightjar --json repair manifests
	for made in $(jq -r 'select(.message_type == "repaired") | .manifest_id' <<<"$output"); do
		left=$((left + 1))
		run nightjar check "$made"
		assert_status 0
	done
	[ "$left" -eq 1 ] || [ "$(summary manifests_lost)" -ge 1 ]
	restore_first
}

@test "repair manifests: of a backup whose root is lost nothing can be had" {
	rm repo/data/*/*
	run --separate-stderr nightjar --json repair manifests
	assert_status 20
	[ "$(summary manifests_lost)" -eq 2 ]
	[[ $stderr == *"nothing of this backup can be had"*"$FIRST"* ]]
	[ "$(nightjar manifests --json | jq length)" -eq 2 ]
}

@test "repair manifests: a damaged manifest object is told" {
	flip "repo/snapshots/$SECOND" 200
	run --separate-stderr nightjar repair manifests
	assert_status 20
	[[ $stderr == *"$SECOND"* ]]
}

# other_host: a backup of another host whose packs are gone; its id
other_host() {
	mkdir -p other && head -c 100000 /dev/urandom >other/file
	find repo/data -type f | sort >before
	nightjar -q backup --host other other >/dev/null
	find repo/data -type f | sort | comm -13 before - | xargs rm
	nightjar manifests --json | jq -r '.[-1].id'
}

@test "repair manifests --forget: the newest backup of a host, of which nothing can be had, keeps prune from its work no more" {
	local lost
	lost=$(other_host)
	run --separate-stderr nightjar prune
	assert_status 20
	says "nightjar: manifest ${lost:0:8}: *'nightjar repair manifests --forget' removes the manifest*"
	run nightjar repair manifests
	assert_status 20
	run nightjar repair manifests --forget --dry-run
	assert_status 20
	assert_output "*forget manifest ${lost:0:8} of *, host other, */other: nothing of it can be had*dry run: nothing was changed*"
	[ "$(nightjar manifests --json | jq length)" -eq 3 ]
	run --separate-stderr nightjar --json repair manifests --forget
	assert_status 0
	[ "$(jq -r 'select(.message_type == "forgotten") | .manifest_id' <<<"$output")" = "$lost" ]
	[ "$(summary manifests_forgotten)" -eq 1 ] && [ "$(summary manifests_lost)" -eq 1 ]
	[ "$(nightjar manifests --json | jq length)" -eq 2 ]
	run nightjar prune
	assert_status 0
	# Retired, so the next of that host is another one.
	[ "$(find repo/snapshots -type f | wc -l)" -eq 3 ]
	nightjar -q backup --host other other
	[ "$(nightjar manifests --json | jq '.[-1].sequence')" -eq 2 ]
	run nightjar check --read-data
	assert_status 0
	restore_first
}

@test "repair manifests --forget: damaged backups go once the repaired ones are there" {
	flip "$BIG" 150000
	run nightjar check --read-data
	assert_status 20
	run nightjar repair packs
	assert_status 20
	nightjar -q repair manifests "$FIRST"
	run --separate-stderr nightjar --json repair manifests --forget
	assert_status 0
	[ "$(summary manifests_forgotten)" -eq 2 ] && [ "$(summary manifests_repaired_before)" -eq 1 ]
	[ "$(nightjar manifests --json | jq -r '.[].tags[0]' | xargs)" = "repaired repaired" ]
	run nightjar prune --no-writers
	assert_status 0
	run nightjar check --read-data
	assert_status 0
	nightjar -q restore latest --target back --verify
	run --separate-stderr nightjar --json repair manifests --forget
	[ "$(summary manifests_forgotten)" -eq 0 ]
}

@test "repair manifests --forget: a repaired one pushes no whole backup out" {
	local whole
	head -c 900000 /dev/urandom >src/gone.bin # of the first backup of this folder alone
	nightjar -q backup src
	flip "$(object data)" 600000
	rm src/gone.bin
	run nightjar check --read-data
	assert_status 20
	nightjar -q backup src
	nightjar -q backup --force src
	whole=$(nightjar manifests --json | jq -r '.[3:][].short_id' | xargs)
	run nightjar -q repair manifests --forget
	assert_status 0
	[ "$(nightjar manifests --json | jq -r 'map(.tags[0] // "whole") | join(" ")')" = "whole whole repaired whole whole" ]
	run nightjar forget --keep-daily 1 --path "$PWD/src" --dry-run --json
	[ "$(jq -r '.[0].keep[].short_id' <<<"$output" | xargs)" = "$whole" ]
	run nightjar forget --keep-last 2
	assert_status 0
	[ "$(nightjar manifests --json | jq -r '.[2:][].short_id' | xargs)" = "$whole" ]
	# The rest of the damaged pack is needed, and prune says how it is to be had.
	run nightjar prune --no-writers
	assert_status 20
	[[ $output == *"nothing is deleted until 'nightjar repair packs' has saved it"* ]]
	run nightjar repair packs
	assert_status 20
	[[ $output == *"no backup needs what is lost"* ]]
	run nightjar prune --no-writers
	assert_status 0
	run nightjar check --read-data
	assert_status 0
}

@test "repair manifests --forget: nothing goes while not one backup is whole" {
	mv repo/data away && mkdir repo/data
	run nightjar repair manifests --forget
	assert_status 20
	[[ $output == *"nothing was forgotten: not one backup is whole"* ]]
	rmdir repo/data && mv away repo/data
	run nightjar check --read-data
	assert_status 0
	[ "$(nightjar manifests --json | jq length)" -eq 2 ]
}

@test "repair manifests --forget: a manifest that does not open goes, and its tags; what was put like that stays" {
	nightjar -q tag --add x "$SECOND"
	flip "repo/snapshots/$SECOND" 200
	run --separate-stderr nightjar prune
	assert_status 20
	says "*snapshots/$SECOND *'nightjar repair manifests --forget'*"
	run nightjar repair manifests --forget
	assert_status 0
	[[ $output == *"forget snapshots/$SECOND: it is damaged itself"* ]]
	run nightjar check
	assert_status 0
	run nightjar prune
	assert_status 0
	printf 'no manifest' >garbage
	mv garbage "repo/snapshots/$(sha256sum <garbage | cut -c1-64)"
	run --separate-stderr nightjar repair manifests --forget
	assert_status 20
	says "*it is as it was put, and stays*"
	# The first manifest, the garbage, and the record that says that the second one was removed.
	[ "$(find repo/snapshots -type f | wc -l)" -eq 3 ]
}

@test "repair: help, and what it needs" {
	run nightjar help repair
	[[ $output == *"repair index"*"repair packs"*"repair manifests"* ]]
	for word in index packs manifests; do
		run nightjar help repair $word
		assert_status 0
		[[ $output == *"Exit codes: 0 "* ]]
	done
	fails 2 "*'repair' needs one of: index, packs, manifests*" repair
	fails 2 "*does not take*" repair index now
}
