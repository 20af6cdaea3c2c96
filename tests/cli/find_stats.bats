# find, stats and restore --dry-run.
load helpers

setup() {
	common_setup
	export NIGHTJAR_REPOSITORY=$WORK/repo NIGHTJAR_KEY_FILE=$WORK/key
	nightjar init -q
	mkdir -p src/Sub/deep
	echo one >src/one.txt
	head -c 300000 /dev/urandom >src/Sub/big.bin
	echo two >src/Sub/deep/Two.TXT
	touch -d '2020-05-01 12:00:00' src/one.txt
	touch -d '2023-05-01 12:00:00' src/Sub/big.bin src/Sub/deep/Two.TXT
	sqlite3 src/app.db "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1
		FROM n WHERE i<3000) INSERT INTO t SELECT hex(randomblob(50)) FROM n"
	nightjar backup -q --time "2024-01-01 00:00:00" --host a src
	rm src/one.txt
	nightjar backup -q --time "2024-01-02 00:00:00" --host b src
	first=$(nightjar manifests --json | jq -r '.[0].id')
	second=$(nightjar manifests --json | jq -r '.[1].id')
}

found() { # ARG…: the paths that find shows below src, sorted, joined by blanks
	nightjar find -q "$@" | sed -n "s|^$WORK/src/||p" | sort | tr '\n' ' '
}

@test "find: a name, in every manifest, with its id and time" {
	run nightjar find one.txt
	assert_status 0
	[[ $output == *"manifest ${first:0:8} from 2024-01-01 00:00:00"*"$WORK/src/one.txt"* ]]
	[[ $output != *"${second:0:8}"* ]]
	[ "$(found '*.bin')" = "Sub/big.bin Sub/big.bin " ]
	[ "$(found nothing)" = "" ]
	run nightjar find nothing
	assert_status 0
}

@test "find: several patterns, whole names, whole paths" {
	[ "$(found -m "$first" 'one.*' '*.bin')" = "Sub/big.bin one.txt " ]
	[ "$(found -m "$first" Sub)" = "Sub " ]
	[ "$(found -m "$first" "$WORK/src/**/*.TXT")" = "Sub/deep/Two.TXT " ]
	[ "$(found -m "$first" "/src/*")" = "" ]
	[ "$(found -m "$first" "src/*.txt")" = "one.txt " ]
}

@test "find: --ignore-case, --host, -m latest, times" {
	[ "$(found -m "$first" '*.txt')" = "one.txt " ]
	[ "$(found -m "$first" -i '*.TxT')" = "Sub/deep/Two.TXT one.txt " ]
	[ "$(found -i --host b '*.txt')" = "Sub/deep/Two.TXT " ]
	[ "$(found -i -m latest '*.txt')" = "Sub/deep/Two.TXT " ]
	[ "$(found -i -m "$first" --oldest 2022-01-01 --newest '2023-05-01 12:00:00' '*.txt')" = "Sub/deep/Two.TXT " ]
	[ "$(found -i -m "$first" --newest '2023-05-01 11:59:59' '*.txt')" = "one.txt " ]
}

@test "find --long and --json" {
	run nightjar find -l -m "$first" big.bin
	[[ $output == *"-rw"*" 300000 2023-05-01 12:00:00 $WORK/src/Sub/big.bin"* ]]
	run nightjar find --json '*.bin' one.txt
	assert_status 0
	[ "$(jq -r 'map(.hits) | join(" ")' <<<"$output")" = "2 1" ]
	[ "$(jq -r '.[0].snapshot' <<<"$output")" = "$first" ]
	[ "$(jq -r '.[1].matches[0] | [.path, .type, .size] | join(" ")' <<<"$output")" = \
		"$WORK/src/Sub/big.bin file 300000" ]
	[ "$(nightjar find --json nothing)" = "[]" ]
}

@test "find: usage errors" {
	for words in "[a" "-m nope x" "--oldest yesterday x" "-m latest:/src x" ""; do
		# shellcheck disable=SC2086
		run nightjar find $words
		assert_status 2
	done
}

@test "stats --json: one document that agrees with the files in the repository" {
	run nightjar stats --json
	assert_status 0
	[ "${#lines[@]}" -eq 1 ]
	doc=$output
	[ "$(jq .snapshots_count <<<"$doc")" -eq 2 ]
	[ "$(jq .objects.data.bytes <<<"$doc")" -eq "$(cat repo/data/*/* | wc -c)" ]
	[ "$(jq .objects.snapshots.count <<<"$doc")" -eq 2 ]
	[ "$(jq .objects.config.bytes <<<"$doc")" -eq "$(wc -c <repo/config)" ]
	image=$(jq '.snapshots[0].databases[0].bytes' <<<"$doc")
	[ "$(jq '.snapshots[0].total_size' <<<"$doc")" -eq $((image + 300000 + 4 + 4)) ]
	[ "$(jq '.snapshots[1].total_size' <<<"$doc")" -eq $((image + 300000 + 4)) ]
	[ "$(jq '.snapshots[0].databases[0].data_added_packed > 100000' <<<"$doc")" = true ]
	[ "$(jq '.snapshots[1].databases[0].data_added_packed' <<<"$doc")" -eq 0 ]
	[ "$(jq '([.snapshots[].data_added_packed] | add) == .total_size' <<<"$doc")" = true ]
	[ "$(jq '([.snapshots[].blobs_added] | add) == .total_blob_count' <<<"$doc")" = true ]
	[ "$(jq '.compression_ratio > 1 and .deduplication_ratio > 1.5' <<<"$doc")" = true ]
}

@test "stats of one manifest, for people, and of an empty repository" {
	run nightjar stats "${second:0:8}"
	assert_status 0
	[[ $output == *"2 manifests"*"${second:0:8}"*"$WORK/src/app.db"* && $output != *"${first:0:8}"* ]]
	nightjar -r empty --key-file k2 init -q
	run nightjar -r empty --key-file k2 stats --json
	assert_status 0
	[ "$(jq -c '[.snapshots_count, .total_size, .compression_ratio]' <<<"$output")" = "[0,0,0]" ]
	run nightjar stats latest:/src
	assert_status 2
}

three_nights() { # all, two rows, none
	sqlite3 src/app.db "UPDATE t SET x = 'new' WHERE rowid IN (5, 2000)"
	nightjar backup -q --time "2024-01-03 00:00:00" --host b src
	nightjar backup -q --time "2024-01-04 00:00:00" --host b src
}

@test "stats: each database, night by night" {
	three_nights
	run nightjar stats
	assert_status 0
	# The table of a host's database; the columns say what they are.
	table=$(sed -n "\\|^$WORK/src/app.db (b)\$|,/^$/p" <<<"$output")
	[ "$(wc -l <<<"$table")" -eq 5 ]
	[[ $table == *"ID "*"Time "*"Image "*"Cells "*"Changed "*"Stored "*"Of plain copy"* ]]
	[[ $(sed -n 3p <<<"$table") =~ ^${second:0:8}\ \ 2024-01-02\ 00:00:00\ +[0-9.]+\ KiB\ +3,001\ +0\ +0\ B\ +-$ ]]
	[[ $(sed -n 4p <<<"$table") =~ 2024-01-03\ 00:00:00\ .*\ 3,001\ +2\ +[0-9.]+\ K?i?B\ +1/[0-9]+$ ]]
	[[ $(sed -n 5p <<<"$table") =~ 2024-01-04\ 00:00:00\ .*\ 3,001\ +0\ +0\ B\ +-$ ]]
	[[ $output == *"$WORK/src/app.db (a)"*"3,001          3,001"* ]]
}

@test "stats --latest: so many of each host and paths, and it says what it leaves out" {
	three_nights
	run nightjar stats --latest 1
	assert_status 0
	[[ $output == *"${first:0:8}"* && $output != *"${second:0:8}"* ]]
	[[ $output == *"2 older backups are not shown; --latest 0 shows all" ]]
	run nightjar stats --latest 2
	[[ $output == *"1 older backup is not shown;"* ]]
	run nightjar stats --latest 0
	[[ $output != *"not shown"* && $output == *"${second:0:8}"* ]]
	[ "$(nightjar stats --json --latest 1 | jq -c '[.snapshots_count, (.snapshots | length)]')" = "[4,2]" ]
	for i in $(seq 15); do nightjar backup -q --time "2024-02-01 00:00:$((i + 10))" --host b src; done
	run nightjar stats
	[[ $output == *"4 older backups are not shown"* ]]
	[ "$(nightjar stats --json | jq '.snapshots | length')" -eq 19 ]
	run nightjar stats "$first" "$second"
	[[ $output != *"not shown"* && $output == *"${first:0:8}"* && $output == *"${second:0:8}"* ]]
}

@test "backup and stats give the same numbers of each database" {
	sqlite3 src/app.db "UPDATE t SET x = 'new' WHERE rowid = 7"
	sqlite3 src/b.db 'CREATE TABLE u (x); INSERT INTO u VALUES (1)'
	run nightjar backup --json --host b src
	assert_status 0
	said=$(tail -n 1 <<<"$output" | jq -c '.per_database')
	[ "$(jq -c 'map([.path, .cells, .cells_changed])' <<<"$said")" = \
		"[[\"$WORK/src/app.db\",3001,1],[\"$WORK/src/b.db\",2,2]]" ]
	[ "$(jq 'all(.bytes_stored > 0 and (.plain_copy_ratio * .bytes_stored - .bytes | fabs) < 1)' <<<"$said")" = true ]
	[ "$(nightjar stats --json latest | jq -c '.snapshots[0].databases | map(del(.data_added_packed))')" = "$said" ]
}

@test "backup says in a line what its databases came to" {
	run nightjar backup --host c src
	[[ $output == *"1 database of "*" KiB: 0 of 3,001 cells new or changed, nothing to store"* ]]
	sqlite3 src/app.db "UPDATE t SET x = 'new' WHERE rowid = 7"
	run nightjar backup --host b -n src
	[[ $output == *"1 database of "*": 1 of 3,001 cells new or changed, to be stored in "*", 1/"*" of a plain copy"* ]]
	run nightjar backup --host b src
	[[ $output == *": 1 of 3,001 cells new or changed, stored in "*", 1/"*" of a plain copy"* ]]
	sqlite3 src/b.db 'CREATE TABLE u (x); INSERT INTO u VALUES (1)'
	run nightjar backup --host b src
	[[ $output == *"2 databases of "*": 2 of 3,003 cells new or changed, stored in "* ]]
	run nightjar backup src/Sub
	[[ $output != *cells* ]]
}

@test "backup --parent: compared with and rested on the backup that is named" {
	sqlite3 src/app.db "UPDATE t SET x = 'new' WHERE rowid = 7"
	run nightjar backup -n --json --host new src
	[ "$(tail -n 1 <<<"$output" | jq -c '[.files_new, .files_unmodified, .per_database[0].cells_changed > 100]')" = "[3,0,true]" ]
	run nightjar backup -n --json --host new --parent "${first:0:8}" src
	[ "$(tail -n 1 <<<"$output" | jq -c '[.files_new, .files_changed, .files_unmodified, .per_database[0].cells_changed]')" = "[0,1,2,1]" ]
	run nightjar backup --json --parent latest src
	assert_status 0
	[ "$(tail -n 1 <<<"$output" | jq -c '[.files_new, .files_changed]')" = "[0,1]" ]
	run --separate-stderr nightjar backup --parent 00000000 src
	assert_status 1
	[[ $stderr == *"there is no backup whose id begins with"* ]]
	run nightjar backup --parent latest --host nobody src
	assert_status 1
	run nightjar backup --parent nonsense src
	assert_status 2
	run nightjar backup --parent "latest:$WORK/src" src
	assert_status 2
	[ "$(nightjar manifests --json | jq length)" -eq 3 ]
}

@test "stats: what cannot be read is said, the rest is counted" {
	rm -rf repo/data repo/index
	mkdir repo/data repo/index
	run --separate-stderr nightjar stats --json
	assert_status 1
	[ "$(jq .snapshots_count <<<"$output")" -eq 2 ]
	[[ $stderr == *"${first:0:8}"* ]]
}

@test "find, stats and tag with a damaged manifest: the rest is answered, and the exit code tells" {
	newest=$(nightjar manifests --json | jq -r '.[-1].id')
	chmod u+w "repo/snapshots/$newest" && truncate -s 500 "repo/snapshots/$newest"
	for words in "find *" "stats" "tag --add x latest" "find -m latest *"; do
		run --separate-stderr bash -fc "\"\$0\" $words" "$NIGHTJAR"
		assert_status 1
		[[ $stderr == *"repo/snapshots/$newest: damaged"* && -n $output ]]
	done
	run --separate-stderr nightjar stats "${first:0:8}" # asked for by its id, it is answered in full
	assert_status 0
}

@test "ls and find stop when nobody reads on, and at Ctrl-C" {
	mkdir src/many && (cd src/many && seq -f "a-name-that-is-long-enough-to-fill-a-pipe-with-%g" 6000 | xargs touch)
	nightjar -q backup src
	for words in "ls latest" "find *name*"; do
		# shellcheck disable=SC2086
		run --separate-stderr bash -fc "{ \"\$0\" $words; echo \$? >status; } | head -n 1" "$NIGHTJAR"
		[ -z "$stderr" ]
		[ "$(cat status)" -eq 1 ]
	done
	code=0
	python3 "$BATS_TEST_DIRNAME/../tools/onpty.py" --int name-that "$NIGHTJAR" ls latest >shown || code=$?
	[ "$code" -eq 130 ]
	tail -n 1 shown | grep -Eq 'nightjar: interrupted; the (list|output) is not complete'
	[ "$(wc -l <shown)" -lt 6000 ]
}

@test "restore --dry-run: the counts of the restore, and the target is not made" {
	run nightjar restore latest --target out --dry-run --json
	assert_status 0
	[ ! -e out ]
	dry=$output
	run nightjar restore latest --target out --json
	assert_status 0
	[ "$(jq -c 'del(.dry_run)' <<<"$dry")" = "$(jq -c 'del(.dry_run)' <<<"$output")" ]
	[ "$(jq .dry_run <<<"$dry")" = true ]
}

@test "restore -n -v lists; filters hold; an existing target is left as it is" {
	mkdir out
	before=$(stat -c %y out)
	run nightjar restore latest --target out -n -v --include '*.TXT'
	assert_status 0
	[[ $output == *"would restore $WORK/src/Sub/deep/Two.TXT with size 4 B"* ]]
	[[ $output != *big.bin* && $output == *"would restore 1 file "* ]]
	[ "$(stat -c %y out)" = "$before" ] && [ -z "$(ls -A out)" ]
	run nightjar restore latest --target out -n -v --json --include '*.TXT'
	[ "$(jq -rs '.[0] | [.message_type, .action, .item, .size] | join(" ")' <<<"$output")" = \
		"verbose_status restored $WORK/src/Sub/deep/Two.TXT 4" ]
	run nightjar restore latest --target out -n --include nothing
	assert_status 1
	run nightjar restore latest --target out -n --verify
	assert_status 2
	run nightjar restore latest:/nowhere --target out -n
	assert_status 1
}
