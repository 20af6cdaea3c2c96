# forget: policies on real backups, what is told, what is never removed, and a kill in the middle.
load helpers

READER=$BATS_TEST_DIRNAME/../reader/nightjar_reader.py

setup() {
	common_setup
	export TZ=UTC
	if [ ! -e "$BATS_FILE_TMPDIR/base/done" ]; then
		mkdir -p "$BATS_FILE_TMPDIR/base/src" && (
			cd "$BATS_FILE_TMPDIR/base" || exit 1
			nightjar init -q -r repo --key-file key
			for n in $(seq -w 1 14); do
				echo "$n" >src/file
				for hour in 06 18; do
					nightjar backup -q -r repo --key-file key --host app1 \
						--time "2024-01-$n $hour:00:00" src
				done
			done
		) && touch "$BATS_FILE_TMPDIR/base/done"
	fi
	cp -a "$BATS_FILE_TMPDIR/base/." .
	SRC=$BATS_FILE_TMPDIR/base/src
	export NIGHTJAR_REPOSITORY=$WORK/repo NIGHTJAR_KEY_FILE=$WORK/key
}

need_reader() {
	python3 -c 'import ctypes; ctypes.CDLL("libsodium.so.23"), ctypes.CDLL("libzstd.so.1")' ||
		skip "needs python3, libsodium.so.23 and libzstd.so.1"
	export PYTHONDONTWRITEBYTECODE=1
}

times() {
	nightjar manifests --json | jq -r 'map(.time[5:13]) | join(" ")'
}

count() {
	nightjar manifests --json | jq length
}

id_of() { # TIME, such as 01-14T18
	nightjar manifests --json | jq -r --arg t "2024-$1" '.[] | select(.time | startswith($t)) | .id'
}

@test "a policy: the first of each day is kept, a second run removes nothing, the rest restores" {
	run --separate-stderr nightjar forget --keep-daily 3 --keep-weekly 2
	assert_status 0
	[[ $output == *"removed 22 manifests, kept 6;"*prune* ]]
	kept="01-01T06 01-08T06 01-12T06 01-13T06 01-14T06 01-14T18"
	[ "$(times)" = "$kept" ]
	run nightjar forget --keep-daily 3 --keep-weekly 2
	assert_status 0
	[[ $output == *"removed 0 manifests, kept 6" ]]
	[ "$(times)" = "$kept" ]
	run nightjar check --read-data
	assert_status 0
	nightjar restore -q latest --target out
	[ "$(cat "out$SRC/file")" = 14 ]
}

@test "--dry-run: each with its reasons, nothing changes" {
	before=$(ls repo/snapshots)
	run nightjar forget -n --keep-daily 1 --keep-last 2
	assert_status 0
	[[ $output == *"host app1, paths $SRC:"*"keep 2 manifests:"*"daily snapshot"*"last snapshot, newest"* ]]
	[[ $output == *"remove 26 manifests:"*"would remove 26 manifests and keep 2" ]]
	[ "$(grep -c " 2024-01-" <<<"$output")" -eq 28 ]
	[ "$(ls repo/snapshots)" = "$before" ]
}

@test "days end where this machine's zone says" {
	TZ=Etc/GMT-7 run nightjar forget --keep-daily 2 # 18 o'clock UTC is 1 o'clock of the next day
	assert_status 0
	[ "$(times)" = "01-13T18 01-14T18" ]
}

@test "--json: restic's document, with and without --dry-run" {
	run --separate-stderr nightjar forget -n --json --keep-daily 2
	assert_status 0
	[ "$(jq -c '.[0] | [.host, .paths, .tags, (.keep | length), (.remove | length)]' <<<"$output")" = \
		"[\"app1\",[\"$SRC\"],null,3,25]" ]
	[ "$(jq -c '.[0].reasons | map(.matches | join("+"))' <<<"$output")" = \
		'["daily snapshot","daily snapshot","newest"]' ]
	[ "$(jq -r '.[0].reasons[2].snapshot.id' <<<"$output")" = "$(id_of 01-14T18)" ]
	[ "$(count)" -eq 28 ]
	run --separate-stderr nightjar forget --json --keep-daily 2
	[ "$(jq -r '.[0].remove | length' <<<"$output")" -eq 25 ]
	[ "$(nightjar manifests --json | jq -c 'map(.id)')" = "$(jq -c '.[0].keep | map(.id)' <<<"$output")" ]
}

@test "a mistyped policy removes nothing" {
	before=$(ls repo/snapshots)
	for words in "" "--keep-last 0" "--keep-last -2" "--keep-daily 7d" "--keep-within 7" "--keep-within 7w" \
		"--keep-within 0d" "--keep-last 99999999999999999999" "--keep-within 99999999999d" "--keep-tag ," \
		"--keep-tag nothere" "--min-age 3d" "--host app1" "--group-by hosts --keep-last 1" \
		"--path src --keep-last 1" "--keep-last 1 $(id_of 01-01T06)"; do
		# shellcheck disable=SC2086
		run --separate-stderr nightjar forget $words
		assert_status 2
		assert_error "*"
	done
	[ "$(ls repo/snapshots)" = "$before" ]
}

@test "named backups: all or none, not the newest, not unknown ones" {
	run --separate-stderr nightjar forget latest "$(id_of 01-01T06)"
	assert_status 2
	assert_error "*is the newest backup of its host and paths*nothing was removed"
	run --separate-stderr nightjar forget "$(id_of 01-01T06)" ffffffff
	assert_status 1
	[ "$(count)" -eq 28 ]
	run nightjar forget "$(id_of 01-01T06)" "$(id_of 01-03T18)"
	assert_status 0
	[ "$(count)" -eq 26 ]
	[ -z "$(id_of 01-03T18)" ]
}

@test "a host, path or tag that no backup has is told: a policy for nothing is a typo" {
	run --separate-stderr nightjar forget --keep-last 1 --host nobody
	assert_status 0
	[[ $stderr == "nightjar: warning: no backup is of "*--host* ]]
	run --separate-stderr nightjar forget --keep-last 1 --tag nosuch --dry-run
	assert_status 0
	[[ $stderr == "nightjar: warning: no backup is of "*--tag* ]]
	run --separate-stderr nightjar forget --keep-last 40 --host app1
	assert_status 0
	[ -z "$stderr" ]
}

@test "hosts and paths are groups; --host, --path and --tag narrow; --min-age holds" {
	mkdir other
	for n in 1 2 3; do
		nightjar backup -q --host app2 --tag x --time "2024-02-0$n 00:00:00" other
		nightjar backup -q --host app1 --time "2024-02-0$n 00:00:00" other
	done
	nightjar forget -q --keep-last 1 --host app2
	[ "$(nightjar manifests --json | jq -c 'group_by(.hostname) | map(length)')" = "[31,1]" ]
	nightjar forget -q --keep-last 2 --path "$WORK/other"
	[ "$(count)" -eq 31 ]
	nightjar forget -q --keep-last 1 --tag ''
	[ "$(count)" -eq 3 ]
	nightjar backup -q --host app2 other
	nightjar backup -q --host app2 other
	nightjar forget -q --keep-last 1 --min-age 1d
	[ "$(nightjar manifests --json | jq 'map(select(.hostname == "app2")) | length')" -eq 2 ]
	nightjar forget -q --keep-last 1
	[ "$(count)" -eq 3 ]
}

@test "tags keep, and go with their backups" {
	nightjar tag --add keep,old "$(id_of 01-05T06)"
	nightjar tag --add keep "$(id_of 01-06T06)"
	nightjar forget -q --keep-tag keep,old
	[ "$(times)" = "01-05T06 01-14T18" ]
	[ "$(ls repo/snapshots | wc -l)" -eq 4 ] # two manifests, a tag record, a retire record
	run nightjar check
	assert_status 0
}

@test "a backup whose database failed does not cost the last clean one" {
	mkdir db
	sqlite3 db/a.db "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE INDEX i ON t(b);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000)
		INSERT INTO t(b) SELECT hex(randomblob(50)) FROM n"
	nightjar backup -q --time "2024-03-01 00:00:00" db
	clean=$(nightjar manifests --json | jq -r '.[-1].id')
	head -c 4096 /dev/zero | tr '\0' '\377' | dd of=db/a.db bs=4096 seek=20 conv=notrunc status=none
	for n in 2 3 4; do
		run nightjar backup -q --time "2024-03-0$n 00:00:00" db
		assert_status 21
	done
	nightjar forget -q --keep-last 1 --path "$WORK/db"
	run nightjar manifests
	[[ $output == *"${clean:0:8}"* ]]
	[ "$(nightjar manifests --json | jq 'map(select(.databases[0])) | length')" -eq 2 ]
	run --separate-stderr nightjar forget "$clean"
	assert_status 2
	assert_error "*whose databases passed their check*"
}

@test "damaged manifests: told, exit code 20, the others are handled" {
	bad=repo/snapshots/$(id_of 01-14T18)
	chmod u+w "$bad"
	echo >>"$bad"
	run --separate-stderr nightjar forget --keep-last 1
	assert_status 20
	[[ $stderr == *"$bad"* || $stderr == *"${bad#repo/}"* ]]
	[ -e "$bad" ]
	[ "$(nightjar manifests --json 2>/dev/null | jq -r 'map(.time[5:13]) | join(" ")')" = "01-14T06" ]
}

@test "a kill between the record and the removals: the backups are whole, the next forget removes them" {
	cp -a repo copy
	NIGHTJAR_REPOSITORY=copy nightjar forget -q --keep-daily 2
	for object in copy/snapshots/*; do
		[ -e "repo/snapshots/${object##*/}" ] || cp "$object" repo/snapshots/
	done
	[ "$(count)" -eq 28 ]
	run nightjar check --read-data
	assert_status 0
	run nightjar forget -n --keep-daily unlimited
	[[ $output == *"an earlier forget was interrupted"*"would remove 25 manifests and keep 3" ]]
	nightjar forget -q --keep-last unlimited
	[ "$(times)" = "01-13T06 01-14T06 01-14T18" ]
	[ "$(ls repo/snapshots | wc -l)" -eq 4 ]
}

@test "the second reader verifies retire and tag records, and refuses changed ones and unknown kinds" {
	need_reader
	nightjar tag --add x latest
	nightjar forget -q --keep-last 1
	reader() { python3 "$READER" -r repo --key-file key verify; }
	reader
	for object in repo/snapshots/*; do
		kind=$(od -An -tu1 -j6 -N1 "$object" | tr -d ' ')
		[ "$kind" != 1 ] || continue
		for at in 6 30 56 64 90; do
			cp "$object" other && chmod u+w other
			# shellcheck disable=SC2059
			printf "\\x$(printf %02x $(($(od -An -tu1 -j$at -N1 "$object") ^ 64)))" |
				dd of=other bs=1 seek=$at conv=notrunc status=none
			name=$(sha256sum <other | cut -d' ' -f1)
			mv other "repo/snapshots/$name"
			run reader
			assert_status 1
			run nightjar check
			assert_status 20
			rm -f "repo/snapshots/$name"
		done
	done
	reader
}

@test "--prune: what was freed is condemned in the same run; not in a dry run" {
	run --separate-stderr nightjar forget --keep-last 1 --prune --dry-run
	assert_status 0
	[ -z "$(ls repo/locks)" ]
	run --separate-stderr nightjar forget --keep-last 1 --prune
	assert_status 0
	[[ $output == *"removed 27 manifests, kept 1"*"condemned now"* ]]
	[[ $output != *"frees their space"* ]]
	[ -n "$(ls repo/locks)" ]
	nightjar -q check
}

@test "nights that could not read the database push the last one that has it out by no policy" {
	local whole locker
	mkdir app
	sqlite3 app/app.db 'CREATE TABLE t(a); INSERT INTO t VALUES(1)'
	nightjar -q backup app
	whole=$(nightjar manifests --json | jq -r '.[-1].id')
	sqlite3 -cmd 'BEGIN EXCLUSIVE' app/app.db '.shell sleep 40' 3>&- &
	locker=$!
	sleep 1
	run nightjar backup app
	pkill -P "$locker"
	wait "$locker" || true
	assert_status 3
	[ "$(nightjar manifests --json | jq '.[-1].databases | length')" -eq 0 ]
	run nightjar forget --keep-last 1
	assert_status 0
	[[ $output == *"last that passed its checks"* ]]
	nightjar -q restore "$whole:$PWD/app/app.db" --target back
	# A whole one takes its place.
	nightjar -q backup app
	nightjar -q forget --keep-last 1
	[ "$(nightjar manifests --json | jq -r '.[].id' | grep -c "$whole")" -eq 0 ]
}
