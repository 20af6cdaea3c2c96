# A maintain key on the side of the storage: what it does without a name or a row, what it refuses, and that it leaks nothing.
load helpers
load repo

# A repository whose every name and content is a marker: host, tag, folder, file, attribute, table, column, row. Three backups.
MARKERS='MARK|mark-er|Marker'
make_marked() {
	local base=$BATS_FILE_TMPDIR/marked i
	if [ ! -e "$base/done" ]; then
		mkdir -p "$base/MARKdir/MARKsub" && (
			cd "$base" || exit 1
			sqlite3 MARKdir/MARKdata.db "CREATE TABLE MARKtable(MARKcol INTEGER PRIMARY KEY, MARKtext); INSERT INTO MARKtable(MARKtext) VALUES('MARKrow')"
			seq 1 60000 | sed 's/^/MARKcontent /' >MARKdir/MARKsub/MARKfile.txt
			ln -s MARKtarget MARKdir/MARKlink
			nightjar -q -r repo init --parity off --key-file full
			for i in 1 2 3; do
				echo "MARK night $i" >"MARKdir/MARKnight$i"
				sqlite3 MARKdir/MARKdata.db "INSERT INTO MARKtable(MARKtext) VALUES('MARKrow $i')"
				nightjar -q -r repo --key-file full backup --host mark-er-host --tag MARKtag \
					--refs "MARKdata.db: SELECT 'MARKnight1' FROM MARKtable" MARKdir
			done
		) >/dev/null || return 1
		nightjar -q -r "$base/repo" --key-file "$base/full" key export --role maintain "$base/maintain"
		touch "$base/done"
	fi
	cp -a "$base/." .
	export NIGHTJAR_REPOSITORY=repo NIGHTJAR_KEY_FILE=maintain
	rm -rf "$NIGHTJAR_CACHE_DIR" "$NIGHTJAR_STATE_DIR"
	IDS=$(full manifests --json | jq -r '.[].id')
	rm -rf "$NIGHTJAR_CACHE_DIR" "$NIGHTJAR_STATE_DIR"
}

setup() {
	common_setup
	make_marked
}

full() {
	NIGHTJAR_KEY_FILE=full nightjar "$@"
}

# ok ARG…: exit code 0
ok() {
	run --separate-stderr nightjar "$@"
	assert_status 0
}

id() {
	sed -n "$1p" <<<"$IDS"
}

@test "maintain: manifests shows ids, times and sizes, and JSON has no field for a name" {
	ok manifests
	[ "$(grep -c "^[0-9a-f]\{8\}  20" <<<"$output")" -eq 3 ]
	[[ $output == *"sees no names"* ]]
	ok manifests --json
	[ "$(jq length <<<"$output")" -eq 3 ]
	[ "$(jq -r '.[0] | keys_unsorted | join(" ")' <<<"$output")" = \
		"id short_id time sequence files bytes incomplete writer group verdicts" ]
	[ "$(jq -r '.[0].verdicts[0]' <<<"$output")" = ok ]
	# what a full key shows beside it says the same
	full manifests --json | jq -c '.[] | [.id, .time, .files, .bytes, .writer, .group]' >want
	jq -c '.[] | [.id, .time, .files, .bytes, .writer, .group]' <<<"$output" | diff want -
}

@test "maintain: what needs names, rows or a writer is 12, in one line that names the key" {
	local words
	for words in "ls latest" "find MARK*" "diff $(id 1) $(id 2)" "dump latest:/x" "restore latest --target t" "drill" \
		"tag --add x $(id 1)" "backup MARKdir" "repair manifests" "key list" "key add --new-password-file full"; do
		# shellcheck disable=SC2086
		run --separate-stderr nightjar $words
		assert_status 12 || { echo "$words" && return 1; }
		assert_error "*maintain key*" || { echo "$words" && return 1; }
	done
	[ ! -e t ]
	fails 12 "*hosts, paths and tags need a full key*" forget --keep-last 1 --host mark-er-host
	fails 12 "*hosts, paths and tags need a full key*" forget --keep-last 1 --tag MARKtag
	fails 12 "*hosts, paths and tags need a full key*" forget --keep-last 1 --path /MARKdir
	fails 12 "*hosts, paths and tags need a full key*" forget --keep-tag MARKtag
	fails 12 "*hosts, paths and tags need a full key*" forget --keep-last 1 --group-by host
	[ "$(find repo/snapshots -type f | wc -l)" -eq 3 ]
}

@test "maintain: check says what it saw and what a reading key would see besides" {
	ok check
	[[ $output == *"with a maintain key"*"a full or read key checks"* ]]
	ok check --read-data
	[[ $output == *"the bytes of packs were checked"* ]]
	[[ $output == *"no damage found (as far as a maintain key sees)"* ]]
	ok --json check --read-data
	[ "$(jq -r .structure_only <<<"$output")" = true ]
	[ "$(jq -r .packs_read <<<"$output")" -eq "$(find repo/data -type f | wc -l)" ]
	ok check --read-data "$(id 2)"
	NIGHTJAR_KEY_FILE=full run --separate-stderr nightjar --json check
	[ "$(jq -r .structure_only <<<"$output")" = false ]
}

# From its damage note the next backup, by whoever has the data, stores again what the pack held.
@test "maintain: check names the pack and the manifests by id, notes it, and the next backup heals" {
	local pack
	pack=$(object data)
	flip "$pack" $(($(stat -c %s "$pack") / 2))
	run --separate-stderr nightjar check
	assert_status 0 # its bytes were not read
	run --separate-stderr nightjar check --read-data
	assert_status 20
	says "*data/*$(basename "$pack")*damaged*"
	says "*manifest $(id 1 | cut -c1-8): *which of its files*"
	[ "$(grep -c "$(basename "$pack")" <<<"$stderr")" -eq 1 ] # one line, however many records
	[[ $output == *"noted "*"the next backup stores them again"* ]]
	full -q backup --host mark-er-host MARKdir
	ok check
	NIGHTJAR_KEY_FILE=full run --separate-stderr nightjar restore latest --target back
	assert_status 0
	cmp MARKdir/MARKsub/MARKfile.txt "back$BATS_FILE_TMPDIR/marked/MARKdir/MARKsub/MARKfile.txt" ||
		cmp MARKdir/MARKsub/MARKfile.txt "$(find back -name MARKfile.txt)"
}

@test "maintain: a missing pack and a missing index segment" {
	cp -a repo saved
	rm "$(object data)"
	run --separate-stderr nightjar check
	assert_status 20
	says "*: missing"
	says "*manifest *damaged or missing*"
	rm -rf repo && cp -a saved repo
	rm repo/index/"$(ls repo/index | head -1)"
	run --separate-stderr nightjar check
	assert_status 20
	says "*no index segment names it*repair index*"
	ok repair index
	ok check --read-data
	NIGHTJAR_KEY_FILE=full run --separate-stderr nightjar check --read-data
	assert_status 0
}

@test "maintain: repair packs moves lists and says what the full key would save" {
	local pack
	pack=$(object data)
	ok repair packs
	[[ $output == "no damaged pack"* ]]
	flip "$pack" $(($(stat -c %s "$pack") / 2))
	run --separate-stderr nightjar repair packs
	assert_status 20
	[[ $output == *"'nightjar repair packs' with the full key saves"* ]]
	says "nightjar: manifest ????????: chunks of it that are damaged or missing: *"
	NIGHTJAR_KEY_FILE=full run --separate-stderr nightjar --json repair packs
	[ "$(jq -r 'select(.message_type == "summary") | .records_not_judged' <<<"$output")" -eq 0 ]
	[ "$(jq -r 'select(.message_type == "summary") | .records_saved' <<<"$output")" -gt 0 ]
}

@test "maintain: forget removes what a full key would, and shows groups as ids" {
	cp -a repo other
	ok forget --keep-last 1 --dry-run
	[[ $output == "group "* ]]
	[ "$(find repo/snapshots -type f | wc -l)" -eq 3 ]
	ok --json forget --keep-last 1
	[ "$(jq -r '.[0] | keys_unsorted | join(" ")' <<<"$output")" = "group keep remove reasons" ]
	[ "$(jq -r '.[0].group' <<<"$output")" = "$(full -r other manifests --json | jq -r '.[0].group')" ]
	full -r other -q forget --keep-last 1
	diff <(full manifests --json | jq -r '.[].id') <(full -r other manifests --json | jq -r '.[].id')
}

@test "maintain: forget and prune leave a repository that full and write keys go on with" {
	ok forget --keep-last 1
	ok prune --no-writers
	ok prune --no-writers
	ok check --read-data
	NIGHTJAR_KEY_FILE=full run --separate-stderr nightjar check --read-data
	assert_status 0
	echo more >MARKdir/MARKmore
	full -q backup --host mark-er-host MARKdir
	NIGHTJAR_KEY_FILE=full run --separate-stderr nightjar check --read-data
	assert_status 0
	NIGHTJAR_KEY_FILE=full run --separate-stderr nightjar restore latest --target back
	assert_status 0
	[ "$(cat "$(find back -name MARKmore)")" = more ]
	[ "$(sqlite3 "$(find back -name MARKdata.db)" 'SELECT count(*) FROM MARKtable')" -eq 4 ]
	ok forget --keep-last 1 --prune
}

@test "maintain: stats, status and cache" {
	ok stats
	[[ $output == *"3 manifests"* ]]
	ok --json stats
	jq -r '[.total_blob_count, .total_size, .total_uncompressed_size, .snapshots[].blobs_added, .snapshots[].data_added_packed] | join(" ")' \
		<<<"$output" >got
	[ "$(jq -r '.snapshots[0] | has("hostname") or has("databases")' <<<"$output")" = false ]
	NIGHTJAR_KEY_FILE=full run --separate-stderr nightjar --json stats
	jq -r '[.total_blob_count, .total_size, .total_uncompressed_size, .snapshots[].blobs_added, .snapshots[].data_added_packed] | join(" ")' \
		<<<"$output" | diff got -
	ok cache
	run --separate-stderr nightjar status
	assert_status 1 # it makes no backups
}

@test "maintain: nightly forgets, prunes and checks, and says that it backs nothing up" {
	cat >n.ini <<-END
		[repository]
		location = $WORK/repo
		key-file = $WORK/maintain
		[retention]
		keep-last = 2
		prune = yes
		[checks]
		read-data-days = 1
	END
	unset NIGHTJAR_REPOSITORY NIGHTJAR_KEY_FILE
	ok --config n.ini nightly
	[[ $output == *"no backup is made here"* ]]
	[[ $output == *"forget "*ok*"prune "*ok*"check "*ok* ]]
	[ "$(nightjar -r repo --key-file full manifests --json | jq length)" -eq 2 ]
	rm -rf "$NIGHTJAR_STATE_DIR" # so that all is due again
	flip "$(object data)" 3000
	run --separate-stderr nightjar --config n.ini nightly
	assert_status 20
}

# Every command, as -v and as --json, with all that it leaves in cache and state: no marker anywhere.
@test "maintain: no name, row, host, tag or path comes out of anything" {
	local words out count=0
	while IFS= read -r words; do
		for out in "-vv" "--json" "-vv --json" "-q"; do
			# shellcheck disable=SC2086
			nightjar $out $words >>said 2>&1 || true
			count=$((count + 1))
		done
	done <<-END
		manifests
		snapshots
		ls latest
		ls $(id 1)
		find *
		find -- x
		diff $(id 1) $(id 2)
		dump latest:/
		dump $(id 1):/etc
		restore latest --target t
		check
		check --read-data
		check --read-data $(id 1)
		check --read-data-subset 1/2
		drill
		forget --keep-last 2 --dry-run
		forget --keep-daily 1 --keep-weekly 2 --group-by= --dry-run
		forget --keep-tag x
		prune --dry-run
		prune
		repair index
		repair index --read-all-packs
		repair packs
		repair manifests
		repair manifests --dry-run
		stats
		stats --latest 0
		tag --add x $(id 1)
		key list
		cache
		status
		sql latest x SELECT
		help
		version
	END
	# and of a damaged one, whose damage must be named without names
	flip "$(object data)" $(($(stat -c %s "$(object data)") / 2))
	flip repo/snapshots/"$(id 3)" 700
	flip repo/index/"$(ls repo/index | head -1)" 500
	for words in check "check --read-data" "repair packs" "repair index" "forget --keep-last 1" prune stats manifests; do
		for out in "-vv" "--json"; do
			# shellcheck disable=SC2086
			nightjar $out $words >>said 2>&1 || true
			count=$((count + 1))
		done
	done
	echo "# $count runs, $(wc -c <said) bytes said, $(find "$NIGHTJAR_CACHE_DIR" "$NIGHTJAR_STATE_DIR" -type f 2>/dev/null | wc -l) files left" >&3
	[ "$(wc -c <said)" -gt 20000 ]
	run grep -aiE "$MARKERS" said
	assert_status 1
	run grep -raiE "$MARKERS" "$NIGHTJAR_CACHE_DIR" "$NIGHTJAR_STATE_DIR" repo
	[ "$status" -ne 0 ]
	[ ! -e t ]
	# the markers are there to be found: the full key shows them
	full manifests -v >shown 2>&1 || true
	full ls "$(id 1)" >>shown 2>&1 || true
	grep -qE "$MARKERS" shown
}
