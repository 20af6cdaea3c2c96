# copy: backups of one repository once more in another, under another password.
load helpers
load repo

setup() {
	common_setup
	unset NIGHTJAR_FROM_REPOSITORY NIGHTJAR_FROM_PASSWORD_FILE NIGHTJAR_FROM_PASSWORD_COMMAND NIGHTJAR_FROM_KEY_FILE
	make_repo
	nightjar -q -r dest init --key-file destkey
}

copy() {
	nightjar -r dest --key-file destkey copy --from-repo repo --from-key-file key "$@"
}

summary() {
	jq -r "select(.message_type == \"summary\") | .$1" <<<"$output"
}

dest() {
	nightjar -r dest --key-file destkey "$@"
}

objects() {
	find "$1/$2" -type f | wc -l
}

# facts REPO KEY: what manifests say that a copy keeps
facts() {
	nightjar -r "$1" --key-file "$2" manifests --json | jq 'map({time, hostname, username, tags, paths, program_version, files, bytes, unreadable,
		databases: [.databases[] | del(.bytes_stored)]})'
}

@test "all backups, oldest first, whole and with what is known of them" {
	nightjar -q tag --add keep,nightly "$FIRST"
	run --separate-stderr copy --json
	assert_status 0
	[ "$(summary manifests_copied)" -eq 2 ]
	[ "$(jq -r 'select(.message_type == "copied") | .source_id' <<<"$output")" = "$FIRST"$'\n'"$SECOND" ]
	facts repo key >a && facts dest destkey >b && diff a b
	[ "$(dest manifests --json | jq -r 'map(.original) | join(" ")')" = "$FIRST $SECOND" ]
	run dest check --read-data
	assert_status 0
	for i in 0 1; do
		nightjar -q restore "$(nightjar manifests --json | jq -r ".[$i].id")" --target "a$i"
		dest -q restore "$(dest manifests --json | jq -r ".[$i].id")" --target "b$i"
		diff -r "a$i" "b$i"
	done
	cmp src/two.bin "b1$SRC/two.bin"
}

@test "twice does nothing the second time; a new night copies that night" {
	copy -q
	find dest -type f | sort >before
	run --separate-stderr copy --json
	assert_status 0
	[ "$(summary manifests_copied)" -eq 0 ] && [ "$(summary manifests_skipped)" -eq 2 ] && [ "$(summary data_stored)" -eq 0 ]
	find dest -type f | sort | diff before -
	nightjar -q backup src
	copy -q
	echo more >src/sub/b.txt
	nightjar -q backup src
	run --separate-stderr copy --json
	[ "$(summary manifests_copied)" -eq 1 ] && [ "$(summary manifests_skipped)" -eq 3 ]
	[ "$(summary data_stored)" -lt 20000 ]
	# Nothing that did not change was read for it.
	[ "$(summary total_bytes_processed)" -eq 5 ]
}

@test "a second night of a database is as small in the copy as it was in the source" {
	sqlite3 src/app.db "CREATE TABLE big(a INTEGER PRIMARY KEY, b); WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<50000) INSERT INTO big SELECT i, hex(randomblob(50)) FROM c; CREATE INDEX bi ON big(b)"
	nightjar -q backup src
	run --separate-stderr copy --json
	local first
	first=$(summary data_stored)
	sqlite3 src/app.db "UPDATE big SET b = 'x' || b WHERE a % 5000 = 7; INSERT INTO big(b) VALUES ('new')"
	nightjar -q backup src
	run --separate-stderr copy --json
	assert_status 0
	[ "$(summary manifests_copied)" -eq 1 ]
	[ "$(summary data_stored)" -lt 40000 ]
	[ $((first / $(summary data_stored))) -gt 100 ]
	run dest check --read-data
	assert_status 0
	dest -q restore latest --target b && nightjar -q restore latest --target a && diff -r a b
	# And it is shared with a backup straight into the other repository.
	run --separate-stderr nightjar -r dest --key-file destkey --json backup src
	[ "$(summary data_added)" -eq 0 ]
}

@test "both repositories with passwords; a wrong one is 12 and stores nothing" {
	umask 077
	printf one >p1 && printf two >p2 && printf three >p3
	unset NIGHTJAR_KEY_FILE
	nightjar -q -r a --password-file p1 init
	nightjar -q -r b --password-file p2 init
	nightjar -q -r a --password-file p1 backup src/sub
	local before
	before=$(find b -type f | wc -l)
	fails 12 "*wrong password*" -r b --password-file p2 copy --from-repo a --from-password-file p3
	fails 12 "*wrong password*" -r b --password-file p3 copy --from-repo a --from-password-file p1
	[ "$(find b -type f | wc -l)" -eq "$before" ]
	run --separate-stderr nightjar -r b --password-file p2 copy --from-repo a --from-password-command 'cat p1'
	assert_status 0
	NIGHTJAR_FROM_REPOSITORY=a NIGHTJAR_FROM_PASSWORD_FILE=p1 run --separate-stderr nightjar -r b --password-file p2 --json copy
	assert_status 0
	[ "$(summary manifests_skipped)" -eq 1 ]
	[ "$(nightjar -r b --password-file p2 manifests --json | jq length)" -eq 1 ]
}

@test "the options of the source contradict, or are missing" {
	fails 2 "*--from-repo*" -r dest --key-file destkey copy
	fails 2 "*one of --from-password-file*" -r dest --key-file destkey copy --from-repo repo --from-key-file key --from-password-file x
	fails 10 "*no nightjar repository here*" -r dest --key-file destkey copy --from-repo nowhere --from-key-file key
	fails 12 "*destkey*" -r dest --key-file destkey copy --from-repo repo --from-key-file destkey
	NIGHTJAR_FROM_KEY_FILE=a NIGHTJAR_FROM_PASSWORD_FILE=b fails 2 "*set one of NIGHTJAR_FROM_PASSWORD_FILE*" -r dest --key-file destkey copy --from-repo repo
}

@test "a repository is not copied into itself" {
	ln -s repo same
	fails 2 "*are the same repository*" -r same --key-file key copy --from-repo repo --from-key-file key
	cp -a repo twin
	fails 2 "*are the same repository*" -r twin --key-file key copy --from-repo repo --from-key-file key
}

@test "which backups: named ones, or those that host, tag and path leave" {
	nightjar -q backup --host other --tag one,two src/sub
	nightjar -q backup --host other --tag two src/sub
	run --separate-stderr copy --host nobody
	assert_output "manifests copied: 0, there already: 0; 0 B stored"
	says "nightjar: warning: no backup is of *--host*"
	copy -q --host other --tag one,two
	[ "$(dest manifests --json | jq length)" -eq 1 ]
	copy -q --tag two --path "$WORK/src/sub"
	[ "$(dest manifests --json | jq length)" -eq 2 ]
	copy -q "${SECOND:0:10}"
	[ "$(dest manifests --json | jq -r 'map(.original) | index("'"$SECOND"'") != null')" = true ]
	copy -q latest
	[ "$(dest manifests --json | jq length)" -eq 3 ]
	fails 1 "*no backup whose id begins with*" -r dest --key-file destkey copy --from-repo repo --from-key-file key 00000000
	fails 2 "*not both*" -r dest --key-file destkey copy --from-repo repo --from-key-file key --tag one latest
	fails 2 "*whole backups*" -r dest --key-file destkey copy --from-repo repo --from-key-file key latest:/x
}

# Everything that a tree says of its entries.
tree_of() {
	find "$1$WORK/odd" \( -type d -printf '%P %y %m %U %G %T@\n' \) -o -printf '%P %y %m %U %G %s %T@ %l\n' | LC_ALL=C sort
}

@test "whatever a tree may hold: folders of many entries, large, sparse, linked and empty files, names, attributes" {
	mkdir -p odd/many odd/empty/deep
	for i in $(seq 2500); do echo "$i" >odd/many/$i; done
	head -c 25000000 /dev/urandom >odd/large
	truncate -s 50M odd/sparse && printf x | dd of=odd/sparse bs=1 seek=30000000 conv=notrunc status=none
	: >odd/none
	echo linked >odd/one && mkdir odd/few && ln odd/one odd/few/two
	ln -s nowhere odd/symlink
	mkfifo odd/fifo
	echo odd >"odd/$(printf 'not\xffutf8\nline')"
	chmod 4711 odd/one && touch -d 2001-02-03T04:05:06.789 odd/none
	setfattr -n user.colour -v blue odd/large 2>/dev/null || true
	nightjar -q backup odd
	echo changed >odd/many/77
	nightjar -q backup odd
	copy -q --path "$WORK/odd"
	for n in -2 -1; do
		nightjar -q restore "$(nightjar manifests --json | jq -r ".[$n].id")" --target a
		dest -q restore "$(dest manifests --json | jq -r ".[$n].id")" --target b
		diff <(tree_of a) <(tree_of b)
		diff -r --no-dereference -x fifo a b
		[ "$(stat -c %i "b$WORK/odd/one")" = "$(stat -c %i "b$WORK/odd/few/two")" ]
		[ "$(stat -c %b "b$WORK/odd/sparse")" -lt 2000 ]
		[ "$(getfattr -n user.colour --only-values "b$WORK/odd/large" 2>/dev/null)" = "$(getfattr -n user.colour --only-values odd/large 2>/dev/null)" ]
		rm -rf a b
	done
	run dest check --read-data
	assert_status 0
	# The same files, backed up there directly, share all of it but the folders that have the hard link, which are small.
	run --separate-stderr nightjar -r dest --key-file destkey --json backup odd
	[ "$(summary data_added)" -lt 200000 ]
}

@test "a copy of a copy is known everywhere, and does not come back" {
	copy -q
	nightjar -q -r third init --key-file k3
	nightjar -q -r third --key-file k3 copy --from-repo dest --from-key-file destkey
	[ "$(nightjar -r third --key-file k3 manifests --json | jq -r '.[1].original')" = "$SECOND" ]
	for from in "repo key" "dest destkey"; do
		# shellcheck disable=SC2086
		set -- $from
		run --separate-stderr nightjar --json -r third --key-file k3 copy --from-repo "$1" --from-key-file "$2"
		[ "$(summary manifests_copied)" -eq 0 ] && [ "$(summary manifests_skipped)" -eq 2 ]
	done
	run --separate-stderr nightjar --json copy --from-repo third --from-key-file k3
	[ "$(summary manifests_copied)" -eq 0 ] && [ "$(summary manifests_skipped)" -eq 2 ]
}

originals() {
	dest manifests --json | jq -r '.[].original' | xargs
}

@test "a policy keeps the newest also where it was copied before the older ones" {
	copy -q "$SECOND"
	copy -q
	[ "$(originals)" = "$FIRST $SECOND" ]
	run --separate-stderr dest forget "$(dest manifests --json | jq -r '.[1].id')"
	assert_status 2
	says "*is the newest backup of its host and paths*"
	run dest forget --keep-last 1
	assert_status 0
	[[ $(originals) == *"$SECOND" ]]
	# In the order in which they were made nothing more is kept than of backups.
	nightjar -q -r dest2 init --key-file destkey2
	for id in "$FIRST" "$SECOND"; do
		nightjar -q -r dest2 --key-file destkey2 copy --from-repo repo --from-key-file key "$id"
	done
	nightjar -q -r dest2 --key-file destkey2 forget --keep-last 1
	[ "$(nightjar -r dest2 --key-file destkey2 manifests --json | jq -r '.[].original')" = "$SECOND" ]
}

@test "a damaged backup of the source is named and not copied, the others are" {
	# The second backup's own pack, of two.bin.
	local pack
	pack=$(find repo/data -type f ! -path "$BIG")
	flip "$pack" $(($(stat -c %s "$pack") / 2))
	run --separate-stderr copy
	assert_status 20
	[[ $output == *"manifests copied: 1"*"NOT copied"* ]]
	says "nightjar: manifest ${SECOND:0:8}* was not copied: *two.bin*"
	[ "$(dest manifests --json | jq -r 'map(.original) | join(" ")')" = "$FIRST" ]
	run dest check --read-data
	assert_status 0
	# What is left of it can be copied, as another backup.
	run nightjar check --read-data
	run nightjar repair manifests
	run --separate-stderr copy --json
	assert_status 20
	[ "$(summary manifests_copied)" -eq 1 ] && [ "$(summary manifests_damaged)" -eq 1 ]
	[ "$(dest manifests --json | jq '[.[] | select(.tags == ["repaired"])] | length')" -eq 1 ]
	run dest check --read-data
	assert_status 0
}

@test "a manifest of the source that does not open is exit 20, the others are copied" {
	flip "repo/snapshots/$SECOND" 200
	run --separate-stderr copy
	assert_status 20
	[[ $output == *"manifests copied: 1"* ]]
	says "*$SECOND*"
}

@test "a copy that lacks something is not built upon: what is missing is stored again" {
	copy -q "$FIRST"
	rm "$(find dest/data -type f -printf '%s %p\n' | sort -n | tail -1 | cut -d' ' -f2)"
	copy -q "$SECOND"
	run --separate-stderr dest check --read-data latest
	assert_status 0
	dest -q restore latest --target b && nightjar -q restore latest --target a && diff -r a b
}

@test "killed in the middle, and run again: all is there once" {
	head -c 30000000 /dev/urandom >src/large
	nightjar -q backup src
	copy -q "$FIRST"
	for delay in 0.02 0.1 0.2 0.3; do
		timeout -s KILL "$delay" "$NIGHTJAR" -q -r dest --key-file destkey copy --from-repo repo --from-key-file key || true
		run dest check
		assert_status 0
	done
	run --separate-stderr copy
	assert_status 0
	[ "$(dest manifests --json | jq -r 'map(.original) | unique | length')" -eq 3 ]
	[ "$(dest manifests --json | jq length)" -eq 3 ]
	run dest check --read-data
	assert_status 0
	dest -q restore latest --target b && nightjar -q restore latest --target a && diff -r a b
}

@test "interrupted: 130, what was stored is kept" {
	head -c 60000000 /dev/urandom >src/large
	nightjar -q backup src
	"$NIGHTJAR" -r dest --key-file destkey copy --from-repo repo --from-key-file key >o 2>e &
	local pid=$! code=0
	for _ in $(seq 200); do
		[ "$(objects dest data)" -lt 3 ] || break
		sleep 0.01
	done
	kill -INT $pid
	wait $pid || code=$?
	[ $code -eq 130 ] || [ $code -eq 0 ]
	[ $code -eq 0 ] || [[ $(cat e) == *"what was copied stays"* ]]
	run --separate-stderr copy --json
	assert_status 0
	[ $code -eq 0 ] || [ "$(summary data_added)" -lt 60000000 ]
	run dest check --read-data
	assert_status 0
}

@test "the source is only read" {
	find repo -type f -printf '%p %s %T@\n' | sort >before
	chmod -R a-w repo
	copy -q
	chmod -R u+w repo
	find repo -type f -printf '%p %s %T@\n' | sort | diff before -
}

@test "help of copy" {
	run nightjar help copy
	assert_status 0
	[[ $output == *"--from-repo REPO [MANIFEST…]"*"Exit codes"*"NIGHTJAR_FROM_PASSWORD_FILE"* ]]
}
