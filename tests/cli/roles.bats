# Roles: key files that can do a part, who may write, and what a thief of one of them gets.
load helpers
load repo

ATTACK=$BATS_TEST_DIRNAME/../tools/keyattack.py
READER=$BATS_TEST_DIRNAME/../reader/nightjar_reader.py

# A repository repo: a backup of src under the full key as host full, with keys full, write (host app), iso (host iso, a domain of its own),
# maintain and read. Made once a file, copied for each test. What is in src has marks that are looked for.
setup() {
	common_setup
	local base=$BATS_FILE_TMPDIR/base
	export PYTHONDONTWRITEBYTECODE=1
	if [ ! -e "$base/done" ]; then
		mkdir -p "$base/src/FOLDERMARK" && (
			cd "$base" || exit 1
			echo CONTENTMARK >src/FOLDERMARK/FILEMARK.txt
			head -c 300000 /dev/urandom >src/photo.jpg
			sqlite3 src/app.db "CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t(b) VALUES('ROWMARK')"
			export NIGHTJAR_REPOSITORY=repo NIGHTJAR_KEY_FILE=full
			nightjar -q init
			nightjar -q backup src --host HOSTMARK --tag TAGMARK
			nightjar -q key export --role write --host app write
			nightjar -q key export --role write --host iso --own-domain iso
			nightjar -q key export --role maintain maintain
			nightjar -q key export --role read read
		) >/dev/null && touch "$base/done"
	fi
	cp -a "$base/." .
	export NIGHTJAR_REPOSITORY=repo NIGHTJAR_KEY_FILE=full
}

# id WRITER-HOST: of `writer list`
writer_of() {
	nightjar writer list --json 2>/dev/null | jq -r --arg h "$1" '.[] | select(.hostName == $h) | .id'
}

objects() {
	(cd "$1" && find . -type f | sort | xargs sha256sum)
}

attack() { # KEY ARG…: its answer is $found
	local key=$1
	shift
	found=$(python3 "$ATTACK" repo "$key" --marker CONTENTMARK --marker FILEMARK --marker FOLDERMARK --marker ROWMARK \
		--marker TAGMARK --marker HOSTMARK "$@")
}

need_python() {
	python3 -c 'import ctypes; ctypes.CDLL("libsodium.so.23"), ctypes.CDLL("libzstd.so.1")' 2>/dev/null ||
		skip "needs python3, libsodium.so.23 and libzstd.so.1"
}

@test "key export: a file of mode 0600 with its role; what is wrong is said and changes nothing" {
	for role in write maintain read; do
		[ "$(stat -c %a $role)" = 600 ]
		[ "$(head -1 $role)" = "nightjar-key-1 $role" ]
	done
	objects repo >before
	fails 1 "*write: exists already; it was not touched" key export --role write write
	fails 2 "*needs --role*" key export x
	fails 2 "*--role takes full, write, maintain or read, not 'root'" key export --role root x
	fails 2 "*--own-domain is for --role write only" key export --role read --own-domain x
	fails 2 "*--host is for --role write only" key export --role maintain --host h x
	fails 1 "*nowhere/x: No such file*" key export --role write nowhere/x
	for key in write maintain read; do
		NIGHTJAR_KEY_FILE=$key fails 12 "*key export needs a full key; this is a $key key" key export --role full x
		NIGHTJAR_KEY_FILE=$key fails 12 "*key rotate needs a full key; this is a $key key" key rotate
	done
	[ ! -e x ]
	objects repo >after
	cmp before after
	run nightjar key export --role full full2
	assert_status 0
	run nightjar --key-file full2 restore latest --target out
	assert_status 0
	run nightjar --json key export --role write --host h json
	assert_status 0
	jq -e '.message_type == "key_exported" and .role == "write" and .hostName == "h" and .domain == 0 and .path == "json" and
		(.writer | length == 64)' <<<"$output"
}

@test "a write key backs up and shares data; it is of one host; what it made is whole" {
	export NIGHTJAR_KEY_FILE=write
	run nightjar --json backup src
	assert_status 0
	jq -e 'select(.message_type == "summary") | .data_added < 5000 and .data_stored <= 40000' <<<"$output"
	fails 12 "*write key is of host app and cannot make backups of other*" backup src --host other
	run --separate-stderr nightjar manifests
	[[ $output == *"  ?  -  "* && $output != *"0 B"* ]]
	assert_status 0
	[ "$(nightjar manifests --json | jq -r 'map(.hostname) | join(",")')" = ,app ]
	echo more >src/new
	run nightjar backup src
	assert_status 0
	for key in full read; do
		run nightjar --key-file $key restore latest --target "out-$key"
		assert_status 0
		diff -r src "out-$key$BATS_FILE_TMPDIR/base/src" 2>/dev/null || diff -r --exclude=app.db src "out-$key$PWD/src"
	done
	run nightjar --key-file full check --read-data
	assert_status 0
}

@test "with a write key everything else is 12, with the role needed, and the repository as it was" {
	NIGHTJAR_KEY_FILE=write nightjar -q backup src >/dev/null
	nightjar -q -r other init --key-file other.key
	objects repo >before
	local tried=0 need
	while IFS='|' read -r need words; do
		# shellcheck disable=SC2086
		NIGHTJAR_KEY_FILE=write fails 12 "nightjar: *needs a $need; this is a write key" $words
		tried=$((tried + 1))
	done <<-'END'
		full or read key|restore latest --target t
		full or read key|dump latest:/x
		full or read key|ls latest
		full or read key|find x
		full or read key|diff latest latest
		full, read or maintain key|stats
		full or read key|drill
		full or read key|drill --target t
		full or maintain key|forget --keep-last 1
		full or maintain key|forget latest
		full or maintain key|prune
		full or maintain key|repair index
		full key|repair manifests
		full key|tag latest --add x
		full key|key list
		full key|key add --new-password-file full
		full key|key remove 00000000
		full key|key export --role read k
		full key|key rotate
		full key|writer revoke 00000000
		full key|copy --from-repo other --from-key-file other.key
	END
	for words in check "check --read-data" "check latest"; do
		# shellcheck disable=SC2086
		NIGHTJAR_KEY_FILE=write fails 12 "nightjar: *needs a full, read or maintain key; this is a write key" $words
		tried=$((tried + 1))
	done
	# What parity gives back needs no key.
	NIGHTJAR_KEY_FILE=write run --separate-stderr nightjar repair packs
	assert_status 0
	[[ $output == *"only the bytes of packs were looked at"* ]]
	NIGHTJAR_KEY_FILE=write fails 2 "*key passwd*" key passwd --new-password-file full
	[ ! -e t ] && [ ! -e k ]
	objects repo >after
	cmp before after
	echo "# $tried commands refused to a write key" >&3
}

@test "whoever steals the write key and copies the repository reads nothing; the same program with a read key does" {
	need_python
	nightjar -q tag latest --add TAGMARK2
	nightjar -q drill
	nightjar -q --key-file write backup src
	nightjar -q --key-file iso backup src
	for key in write iso; do
		attack $key --marker src
		jq -e '.records == 0 and .markers == [] and (.opened | keys - ["segment"]) == [] and .ids > 0 and .tried > 100000' <<<"$found"
		echo "# $key key: $(jq -r '"\(.tried) openings of \(.slots) slots with \(.keys) keys, of records opened: \(.records)"' <<<"$found")" >&3
	done
	attack maintain
	jq -e '.markers == [] and .opened.directory > 0' <<<"$found"
	attack read
	jq -e '.records > 10 and (.markers | length) == 6' <<<"$found"
	echo "# read key: $(jq -r '"\(.tried) openings, of records opened: \(.records)"' <<<"$found")" >&3
}

@test "with a domain of its own a host does not know who else has a file, and stores it for itself" {
	need_python
	attack write --confirm src/FOLDERMARK/FILEMARK.txt
	jq -e '.confirmed' <<<"$found"
	attack iso --confirm src/FOLDERMARK/FILEMARK.txt
	jq -e '.confirmed == false and .ids == 0' <<<"$found"
	run --separate-stderr nightjar --json --key-file iso backup src
	assert_status 0
	[ -z "$stderr" ]
	jq -e 'select(.message_type == "summary") | .data_added > 300000' <<<"$output"
	# Nor the other way round, and neither sees the other's segments.
	run --separate-stderr nightjar --json --key-file write backup src
	assert_status 0
	[ -z "$stderr" ]
	jq -e 'select(.message_type == "summary") | .data_added < 5000' <<<"$output"
	run nightjar check --read-data
	assert_status 0
}

@test "a read key from before a host with its own domain, or from before a rotation, says that it is too old" {
	nightjar -q key export --role write --host late --own-domain late
	nightjar -q --key-file late backup src
	run --separate-stderr nightjar --key-file read manifests
	assert_status 12
	assert_error "*manifest *domain of its own (2)*came after this read key: export it again*key export --role read*"
	[ "${#lines[@]}" -ge 3 ]
	fails 12 "*manifest *domain of its own*export it again*" --key-file read restore latest --target t
	[ ! -e t ]
	run nightjar --key-file read restore latest --host HOSTMARK --target out
	assert_status 0
	run --separate-stderr nightjar key rotate
	assert_status 0
	echo rotated >src/new
	nightjar -q --key-file write backup src
	fails 12 "*manifest *sealed for a newer read key*export it again*" --key-file read ls latest
	run --separate-stderr nightjar --key-file read manifests
	assert_status 12
	assert_error "*2 backups cannot be read by this key*export it again*"
	run nightjar --key-file read ls "$(nightjar manifests --json | jq -r '.[0].id')"
	assert_status 0
	nightjar -q key export --role read read2
	for host in late app HOSTMARK; do
		run nightjar --key-file read2 restore latest --host "$host" --target "out2-$host"
		assert_status 0
	done
	run nightjar --key-file read2 check --read-data
	assert_status 0
	run nightjar --json key rotate
	assert_status 0
	jq -e '.message_type == "key_rotated" and .epoch == 3' <<<"$output"
}

@test "writer list and revoke" {
	nightjar -q --key-file write backup src
	run nightjar writer list
	assert_status 0
	[ "${#lines[@]}" -eq 4 ]
	nightjar writer list --json | jq -e 'length == 3 and (map(select(.hostName == "app"))[0] |
		.domain == 0 and .last_sequence == 1 and .revoked == false and .revoked_after == null and (.last_backup | length > 0)) and
		(map(select(.domain == 1))[0] | .last_backup == null and .last_sequence == 0)'
	app=$(writer_of app)
	fails 2 "*'ab': at least 4 digits*" writer revoke ab
	fails 1 "*no writer whose id begins with 00000000*" writer revoke 00000000
	fails 2 "*--after: its newest backup that counts is 1" writer revoke "${app:0:8}" --after 2
	run nightjar writer revoke "${app:0:8}"
	assert_status 0
	assert_output "revoked ${app:0:8}: its backups up to 1 stay*"
	fails 12 "*this write key was revoked after its backup 1; make a new one*key export --role write*" --key-file write backup src
	fails 12 "*this write key was revoked*" --key-file write backup src --dry-run
	nightjar writer list --json | jq -e 'map(select(.hostName == "app"))[0] | .revoked and .revoked_after == 1'
	# What it made stays, and another key for the host goes on from there.
	run nightjar restore latest --host app --target out
	assert_status 0
	nightjar -q key export --role write --host app write2
	run nightjar --json --key-file write2 backup src
	assert_status 0
	jq -e 'select(.message_type == "summary") | .data_added < 5000' <<<"$output"
}

@test "a host under the full key can be revoked, too" {
	full=$(writer_of HOSTMARK)
	nightjar -q writer revoke "$full"
	fails 12 "*host HOSTMARK was revoked as a writer after its backup 1, under the full key, too*key export --role write --host HOSTMARK*" \
		backup src --host HOSTMARK
	run nightjar backup src --host another
	assert_status 0
	run nightjar check --read-data
	assert_status 0
}

@test "what is signed with a revoked key later does not count, and is no damage" {
	nightjar -q --key-file write backup src
	cp -a repo thief # in which the key is not revoked
	echo two >src/two
	nightjar -q -r thief --key-file write backup src
	nightjar -q writer revoke "$(writer_of app)"
	new=$(comm -13 <(ls repo/snapshots) <(ls thief/snapshots))
	cp -an thief/data thief/index thief/snapshots repo/
	for words in manifests check "prune" "forget --keep-last 5"; do
		# shellcheck disable=SC2086
		run --separate-stderr nightjar $words
		assert_status 0
		[ "$words" = prune ] || [[ $output$stderr == *"snapshots/$new: not counted: made with a revoked key"* ]]
	done
	[ "$(nightjar manifests --json 2>/dev/null | jq length)" = 2 ]
	fails 1 "*no backup whose id begins with*" -q ls "${new:0:8}"
	need_python
	run --separate-stderr python3 "$READER" -r repo --key-file full list
	[[ $stderr == *"$new: made with a revoked key"* ]]
}

@test "writer revoke --after takes back what a host made while it was in other hands" {
	nightjar -q --key-file write backup src
	nightjar -q --key-file write backup src
	app=$(writer_of app)
	nightjar -q writer revoke "$app" --after 1
	[ "$(nightjar -q manifests --json 2>/dev/null | jq length)" = 2 ]
	# Not given back again.
	fails 2 "*newest backup that counts is 1" -q writer revoke "$app" --after 2
	nightjar -q writer revoke "$app"
	[ "$(nightjar -q manifests --json 2>/dev/null | jq length)" = 2 ]
	run nightjar -q check
	assert_status 0
}

@test "a write key rests nothing on what a prune has condemned" {
	echo "only in the first" >src/going && head -c 200000 /dev/urandom >src/gone
	nightjar -q backup src --host app2
	mv src/gone .
	rm src/going
	nightjar -q backup src --host app2
	nightjar -q forget --keep-last 1 --group-by host >/dev/null
	run nightjar prune
	assert_status 0
	mv gone src/
	run nightjar --json --key-file write backup src
	assert_status 0
	jq -e 'select(.message_type == "summary") | .data_added >= 200000' <<<"$output"
	run nightjar prune --no-writers
	assert_status 0
	run nightjar check --read-data
	assert_status 0
	run nightjar restore latest --target out
	assert_status 0
	cmp src/gone "out$PWD/src/gone"
}

@test "what a check has found damaged the next backup under a write key stores again" {
	nightjar -q --key-file write backup src
	big=$(find repo/data -type f -printf '%s %p\n' | sort -n | tail -1 | cut -d' ' -f2)
	flip "$big" 200000
	NIGHTJAR_STATE_DIR=$WORK/elsewhere run nightjar check --read-data # by another host: it is the note that tells
	assert_status 20
	run --separate-stderr nightjar --json --key-file write backup src
	assert_status 0
	# The chunk of the photo that was hit: 256 KiB at least, and now and then not all 300,000 bytes of it.
	jq -e 'select(.message_type == "summary") | .data_added >= 262144' <<<"$output"
	run nightjar check --read-data
	assert_status 0
	rm -rf out && nightjar -q restore latest --target out
	cmp src/photo.jpg "out$PWD/src/photo.jpg"
	# And not every night anew.
	run nightjar --json --key-file write backup src
	jq -e 'select(.message_type == "summary") | .data_added == 0' <<<"$output"
}

@test "nightly with a write key: a backup, and a line for what others do" {
	(umask 077 && cat >conf) <<-END
		[repository "main"]
		location = $WORK/repo
		key-file = $WORK/write
		[source "app"]
		path = $WORK/src
		[retention]
		keep-last = 3
		prune = yes
		[checks]
		read-data-days = 3
	END
	run --separate-stderr env -u NIGHTJAR_REPOSITORY -u NIGHTJAR_KEY_FILE "$NIGHTJAR" --config conf nightly
	assert_status 0
	for step in forget prune check; do
		[ "$(grep -c "$step.*may only write" <<<"$output"$'\n'"$stderr")" = 1 ]
	done
	[ "$(nightjar manifests --json | jq length)" = 2 ]
}

@test "changing a password changes no key: an old copy of its slot and the old password still open" {
	(umask 077 && echo old >pw && echo new >pw2)
	nightjar -q key add --new-password-file pw
	cp -a repo stolen
	unset NIGHTJAR_KEY_FILE
	run nightjar key passwd --password-file pw --new-password-file pw2
	assert_status 0
	fails 12 "*wrong password*" manifests --password-file pw
	nightjar -q --key-file full backup src
	cp -a stolen/keys/. repo/keys/
	run nightjar restore latest --password-file pw --target out
	assert_status 0
}
