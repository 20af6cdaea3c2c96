# Rollback: what vanishes without a record is noticed and stays exit code 24 until it is back or accepted; what is legal is silent.
load helpers
load repo

# Three backups of src, each a chain of one writer; then this host has seen them all.
setup() {
	common_setup
	export TZ=UTC
	if [ ! -e "$BATS_FILE_TMPDIR/base/done" ]; then
		mkdir -p "$BATS_FILE_TMPDIR/base/src" && (
			cd "$BATS_FILE_TMPDIR/base" || exit 1
			export NIGHTJAR_KEY_FILE=key NIGHTJAR_STATE_DIR=$PWD/state
			nightjar -q -r repo init --key-file key
			for n in 1 2 3; do
				echo "$n" >src/file
				nightjar -q -r repo backup --host app --time "2024-01-0$n 06:00:00" src
			done
		) >/dev/null && touch "$BATS_FILE_TMPDIR/base/done"
	fi
	cp -a "$BATS_FILE_TMPDIR/base/." .
	SRC=$BATS_FILE_TMPDIR/base/src
	export NIGHTJAR_REPOSITORY=repo NIGHTJAR_KEY_FILE=key
	# The state as a run on this copy leaves it.
	rm -rf "$NIGHTJAR_STATE_DIR"
	mapfile -t M < <(nightjar manifests --json | jq -r '.[].id')
}

# gone ID: as a store or an attacker would remove it
gone() {
	mkdir -p taken
	mv "repo/snapshots/$1" taken/
}

back() {
	mv taken/* repo/snapshots/
}

# quiet ARG…: exit code 0, and nothing on stderr
quiet() {
	run --separate-stderr nightjar "$@"
	assert_status 0
	[ -z "$stderr" ] || {
		printf 'stderr:\n%s\n' "$stderr"
		return 1
	}
}

# alarm PATTERN ARG…: exit code 24, and a line that matches
alarm() {
	local pattern=$1
	shift
	run --separate-stderr nightjar "$@"
	assert_status 24
	says "$pattern"
}

save() { # one more backup; prints its id
	date +%N >src/file
	nightjar -q backup --host "${1:-app}" --json "$WORK/src" | jq -r 'select(.message_type == "summary").manifest_id'
}

elsewhere() { # on another machine
	NIGHTJAR_STATE_DIR=$WORK/other-state NIGHTJAR_CACHE_DIR=$WORK/other-cache "$@"
}

@test "the newest manifest is deleted: named, told what to do, 24 until it is back" {
	quiet check
	gone "${M[2]}"
	fails 24 "nightjar: repo/snapshots/${M[2]}: backup 3 of writer ???????? (2024-01-03 06:00:00), which this host has seen, has vanished*no record*put it back*'nightjar check --accept-rollback'" manifests
	alarm "*${M[2]}*vanished*" check
	alarm "*${M[2]}*vanished*" check
	back
	quiet check
	[ "$(nightjar manifests --json | jq length)" -eq 3 ]
}

@test "a middle one, the first one, all of them" {
	for which in 1 0; do
		gone "${M[$which]}"
		fails 24 "*snapshots/${M[$which]}: backup $((which + 1)) of *vanished*" manifests
		back
		quiet manifests
	done
	gone "${M[0]}" && gone "${M[1]}" && gone "${M[2]}"
	run --separate-stderr nightjar manifests
	assert_status 24
	for id in "${M[@]}"; do says "*$id*vanished*"; done
	[ "$(wc -l <<<"$stderr")" -eq 3 ]
	back
	quiet manifests
}

@test "a machine that sees the repository for the first time misses what the others name" {
	gone "${M[1]}"
	elsewhere alarm "nightjar: repo/snapshots/${M[1]}: a backup of writer ????????, which manifest ${M[2]:0:8} names, has vanished*" manifests
	# It has no state folder to write in: what manifests name is missed all the same.
	run env -u HOME -u NIGHTJAR_STATE_DIR -u NIGHTJAR_CACHE_DIR "$NIGHTJAR" manifests
	assert_status 24
	back
	elsewhere quiet manifests
}

@test "what another writer has seen is missed, too" {
	save two >/dev/null # names the third of app
	gone "${M[2]}"
	elsewhere alarm "*${M[2]}: backup 3 of writer *, which manifest * names, has vanished*" manifests
}

@test "an old copy of the whole repository" {
	cp -a repo old
	fourth=$(save)
	mv repo new && mv old repo
	alarm "*snapshots/$fourth: backup 4 *this host has seen, has vanished*" manifests
	rm -rf repo && mv new repo
	quiet check
}

@test "more than a few are counted, not listed" {
	for _ in $(seq 9); do save >/dev/null; done
	mapfile -t M < <(nightjar manifests --json | jq -r '.[].id')
	for id in "${M[@]}"; do gone "$id"; done
	run --separate-stderr nightjar manifests
	assert_status 24
	[ "$(grep -c 'this host has seen, has vanished' <<<"$stderr")" -eq 8 ]
	says "nightjar: 4 more have vanished; put it back*"
}

@test "while it stands, reading and backing up work, and nothing is removed" {
	gone "${M[1]}"
	alarm "*vanished*" ls latest
	[[ $output == *"$SRC/file"* ]]
	alarm "*vanished*" restore latest --target out
	[ "$(cat "out$SRC/file")" = 3 ]
	alarm "*vanished*" dump "latest:$SRC/file"
	[ "$output" = 3 ]
	alarm "*vanished*" drill
	alarm "*vanished*" stats
	alarm "*vanished*" find file
	alarm "*vanished*" diff "${M[0]}" "${M[2]}"
	alarm "*vanished*" tag --add x latest
	before=$(ls repo/snapshots | wc -l)
	alarm "*vanished*" backup --host app src
	[[ $output == *"manifest "*" saved"* ]]
	[ "$(ls repo/snapshots | wc -l)" -eq $((before + 1)) ]
	before=$(find repo -type f | sort)
	alarm "nightjar: forget removes nothing while *--accept-rollback'" forget --keep-last 1
	alarm "nightjar: forget removes nothing while *" forget "${M[0]}"
	alarm "nightjar: prune removes nothing while *--accept-rollback'" prune
	alarm "*vanished*" prune --dry-run
	alarm "*vanished*" forget --dry-run --keep-last 1
	flip "repo/snapshots/${M[0]}" 600
	alarm "*repair manifests --forget removes nothing while *" repair manifests --forget
	flip "repo/snapshots/${M[0]}" 600
	[ "$(find repo -type f | sort)" = "$before" ]
	back
	run nightjar forget --keep-last 1
	assert_status 0
	[[ $output == *"removed 2 manifests, kept"* ]]
}

@test "of several codes 24 wins over damage, and not over a wrong key" {
	gone "${M[1]}"
	flip "repo/snapshots/${M[2]}" 600
	run --separate-stderr nightjar check
	assert_status 24
	says "*${M[2]}: damaged*"
	says "*${M[1]}*vanished*"
	nightjar -q -r second init --key-file other
	fails 12 "*other*" --key-file other manifests
}

@test "check --accept-rollback: lists what is accepted, 0, and all is quiet from then on" {
	gone "${M[1]}"
	alarm "*vanished*" check
	quiet check --accept-rollback
	[[ $output == *"accepted: repo/snapshots/${M[1]}: backup 2 of writer "*"has vanished"* ]]
	[[ $output == *"no damage found"* ]]
	quiet check
	save >/dev/null
	quiet forget --keep-last 2
	quiet prune
	quiet check --accept-rollback
	[[ $output != *accepted* ]]
	# Each machine accepts for itself, and something new is an alarm again.
	nightjar -q -r repo manifests >/dev/null
	gone "${M[2]}"
	alarm "*${M[2]}*vanished*" check
	# What was accepted and comes back is a backup like any other.
	back
	quiet manifests
	[[ $output == *"${M[1]:0:8}"* ]]
	gone "${M[1]}"
	alarm "*${M[1]}*vanished*" manifests
}

@test "a host that holds a write key alone misses, asks and accepts for itself" {
	local id
	nightjar -q key export --role write writekey >/dev/null
	export NIGHTJAR_KEY_FILE=writekey NIGHTJAR_STATE_DIR=$WORK/writer NIGHTJAR_CACHE_DIR=$WORK/writercache
	id=$(nightjar -q backup --json src | jq -r 'select(.message_type == "summary").manifest_id')
	record=$(nightjar status | grep ":$id\$")
	quiet check --expect "$record"
	[[ $output == *"expected, and there: $record"* ]]
	gone "$id"
	alarm "*$id*has vanished*" backup src
	alarm "*knows nothing of this backup*" check --expect "$record"
	run --separate-stderr nightjar --json check --accept-rollback
	assert_status 0
	[ "$(jq -c 'select(.message_type == "summary") | [.vanished_only, .vanished, .accepted]' <<<"$output")" = "[true,0,1]" ]
	quiet backup src
	quiet check --accept-rollback
	[[ $output == *"only what has vanished was looked for"* ]]
	run --separate-stderr nightjar check
	assert_status 12
	run --separate-stderr nightjar check --accept-rollback latest
	assert_status 12
}

@test "check --accept-rollback: other damage keeps its code, --json lists it, and it needs a state folder" {
	gone "${M[1]}"
	run --separate-stderr env -u HOME -u NIGHTJAR_STATE_DIR NIGHTJAR_CACHE_DIR=/dev/null/x "$NIGHTJAR" check --accept-rollback
	[ "$status" -ne 0 ]
	alarm "*vanished*" check
	mv repo/data data
	mkdir repo/data
	run --separate-stderr nightjar check --accept-rollback --json
	assert_status 20
	[ "$(jq -r 'select(.message_type == "accepted").item' <<<"$output")" = "repo/snapshots/${M[1]}" ]
	[ "$(jq -r 'select(.message_type == "summary") | .accepted, .vanished' <<<"$output" | xargs)" = "1 0" ]
	rmdir repo/data
	mv data repo/data
	quiet check
}

@test "--json: an error with during rollback, its item, and the code" {
	gone "${M[2]}"
	run --separate-stderr nightjar check --json
	assert_status 24
	[ "$(jq -r 'select(.message_type == "error") | .during, .item' <<<"$stderr" | xargs)" = "rollback repo/snapshots/${M[2]}" ]
	[ "$(jq -r 'select(.message_type == "exit_error").code' <<<"$stderr")" = 24 ]
	[ "$(jq -r 'select(.message_type == "summary").vanished' <<<"$output")" = 1 ]
}

@test "legal: forget here, forget elsewhere, a machine without state, prune" {
	elsewhere quiet manifests
	nightjar -q forget "${M[1]}"
	quiet manifests
	elsewhere quiet manifests
	NIGHTJAR_STATE_DIR=$WORK/third quiet manifests
	fourth=$(save)
	elsewhere quiet manifests
	elsewhere nightjar -q forget --keep-last 1
	quiet manifests
	quiet check
	run nightjar prune --no-writers
	assert_status 0
	quiet check --read-data
	elsewhere quiet check
	NIGHTJAR_STATE_DIR=$WORK/fourth quiet check
	[ "$(nightjar manifests --json | jq -r '.[-1].id')" = "$fourth" ]
}

@test "legal: sixteen records folded into one, and many more" {
	elsewhere quiet manifests
	for _ in $(seq 17); do
		save >/dev/null
		nightjar -q forget --keep-last 1 >/dev/null
	done
	[ "$(grep -lc . repo/snapshots/* | wc -l)" -lt 18 ] # they were folded
	quiet check
	elsewhere quiet check
	NIGHTJAR_STATE_DIR=$WORK/third quiet check
}

@test "legal: a fork by two backups at once, and a cloned machine" {
	cp -a "$NIGHTJAR_STATE_DIR" clone-state
	cp -a repo fork
	fourth=$(save)
	# The other run saw the repository before the first had finished.
	rm -rf swap && mv repo swap && mv fork repo
	echo fork >src/file
	other=$(NIGHTJAR_STATE_DIR=$WORK/clone-state nightjar -q backup --host app --json "$WORK/src" | jq -r 'select(.message_type == "summary").manifest_id')
	cp -an swap/. repo/
	[ -e "repo/snapshots/$fourth" ]
	[ -e "repo/snapshots/$other" ]
	quiet check
	NIGHTJAR_STATE_DIR=$WORK/clone-state quiet check
	NIGHTJAR_STATE_DIR=$WORK/third quiet check
	# The next names both, and either is missed.
	fifth=$(save)
	quiet check
	for id in "$fourth" "$other"; do
		gone "$id"
		alarm "*$id: backup 4 *vanished*" manifests
		NIGHTJAR_STATE_DIR=$WORK/before-$id alarm "*$id*which manifest ${fifth:0:8} names*" manifests
		back
	done
	quiet manifests
}

@test "legal: two backups under one key at the same time" {
	for n in 1 2 3; do
		echo "$n" >src/file
		nightjar -q backup --host app src >/dev/null &
		nightjar -q backup --host app src >/dev/null
		wait $!
		quiet manifests
	done
	[ "$(nightjar manifests --json | jq length)" -eq 9 ]
	elsewhere quiet check
}

@test "legal: reading while another host forgets" {
	for _ in $(seq 12); do save >/dev/null; done
	(while [ ! -e stop ]; do
		elsewhere nightjar -q backup --host app src >/dev/null
		elsewhere nightjar -q forget --keep-last 1 >/dev/null
	done) &
	for _ in $(seq 12); do
		run --separate-stderr nightjar manifests
		[[ $stderr != *vanished* ]]
		[ "$status" -ne 24 ]
	done
	touch stop
	wait $!
	quiet check
}

@test "legal: tags, repair manifests --forget, copy's destination and source" {
	quiet tag --add keep "${M[1]}"
	quiet manifests
	elsewhere quiet manifests
	flip "repo/snapshots/${M[2]}" 600
	run nightjar repair manifests --forget
	assert_status 0
	[ ! -e "repo/snapshots/${M[2]}" ]
	quiet check
	elsewhere quiet check # which had seen it, too
	nightjar -q -r second init --key-file second-key
	for _ in 1 2; do
		run --separate-stderr nightjar -r second --key-file second-key copy --from-repo repo --from-key-file key
		assert_status 0
	done
	quiet -r second --key-file second-key check
}

@test "the record of a removal vanishes: told as that, also when its removals are missed" {
	before=$(ls repo/snapshots)
	nightjar -q forget "${M[1]}"
	quiet manifests
	record=$(comm -13 <(echo "$before") <(ls repo/snapshots))
	gone "$record"
	fails 24 "nightjar: repo/snapshots/${M[1]}: backup 2 of writer * was removed on purpose, but the record in snapshots/ that said so has vanished or cannot be read*" manifests
	elsewhere alarm "*${M[1]}: *which manifest ${M[2]:0:8} names, has vanished*" manifests
	back
	quiet manifests
	elsewhere quiet manifests
	gone "$record"
	quiet check --accept-rollback
	quiet check
	# Before anybody has looked again since.
	before=$(ls repo/snapshots)
	nightjar -q forget "${M[0]}"
	gone "$(comm -13 <(echo "$before") <(ls repo/snapshots))"
	alarm "*${M[0]}: backup 1 of writer * was removed on purpose, but the record *" manifests
}

@test "the newest record vanishes, of what nobody misses" {
	nightjar -q forget "${M[1]}"
	before=$(ls repo/snapshots)
	nightjar -q forget "${M[0]}" # which the second alone has named
	quiet manifests
	gone "$(comm -13 <(echo "$before") <(ls repo/snapshots))"
	fails 24 "nightjar: repo/snapshots: record 2 of removed backups, which this host has seen, has vanished or cannot be read (the newest is 1)*" manifests
	back
	quiet manifests
}

@test "a record of removals that is put back on purpose says what it said, no more" {
	for _ in $(seq 17); do
		save >/dev/null
		before=$(ls repo/snapshots)
		nightjar -q forget --keep-last 1 >/dev/null
		mkdir -p records
		for f in $(comm -13 <(echo "$before") <(ls repo/snapshots)); do cp "repo/snapshots/$f" records/; done
	done
	newest=$(nightjar manifests --json | jq -r '.[-1].id')
	cp -n records/* repo/snapshots/
	quiet check
	gone "$newest"
	alarm "*snapshots/$newest: *vanished*" check
}

# two_repos: a and b, each with a backup, a key file and the same password; this host has seen both
two_repos() {
	local base=$BATS_FILE_TMPDIR/two
	if [ ! -e "$base/done" ]; then
		mkdir -p "$base" && echo secret >"$base/pw" && chmod 600 "$base/pw"
		for r in a b; do
			nightjar -q -r "$base/$r" init --key-file "$base/key-$r"
			nightjar -q -r "$base/$r" --key-file "$base/key-$r" backup src
			nightjar -q -r "$base/$r" --key-file "$base/key-$r" key add --new-password-file "$base/pw"
		done >/dev/null
		touch "$base/done"
	fi
	cp -a "$base/." .
	unset NIGHTJAR_KEY_FILE
	for r in a b; do quiet -r $r --key-file key-$r manifests; done
}

@test "a whole other repository in the place of the first, under the same password" {
	two_repos
	mv a a.kept && cp -a b a
	run --separate-stderr nightjar -r a --password-file pw manifests
	assert_status 24
	assert_error "nightjar: another repository (*) is at a, where this host has found *--accept-rollback'"
	export NIGHTJAR_KEY_FILE=key-b
	alarm "nightjar: another repository *" -r a key list
	alarm "nightjar: prune removes nothing *" -r a prune
	alarm "nightjar: another repository *" -r a backup src
	[[ $output == *" saved"* ]]
	# Put back: all is well; exchanged on purpose: told once, and accepted, as disks that take turns are.
	mv a other && mv a.kept a
	quiet -r a --key-file key-a manifests
	mv a a.kept && mv other a
	quiet -r a check --accept-rollback
	[[ $output == *"accepted: a: another repository"* ]]
	quiet -r a check
	mv a other && mv a.kept a
	quiet -r a --key-file key-a check
}

@test "a new repository where only an empty one was is nobody's loss" {
	nightjar -q -r empty init --key-file k1
	quiet -r empty --key-file k1 manifests
	rm -rf empty
	nightjar -q -r empty init --key-file k2
	quiet -r empty --key-file k2 manifests
}

@test "another config: a clear error, and 24 is among the codes" {
	two_repos
	cp a/config config && cp -f b/config a/config
	run --separate-stderr nightjar -r a --password-file pw manifests
	assert_status 12
	says "nightjar: another repository (*) is at a, *"
	says "nightjar: a: wrong password*"
	run --separate-stderr nightjar -r a --key-file key-a manifests
	assert_status 12
	says "nightjar: another repository (*) is at a, *"
	# With its keys, too, it opens; and every backup of the first looks forged.
	cp b/keys/* a/keys/
	alarm "nightjar: another repository (*) is at a, *" -r a --key-file key-b manifests
	cp -f config a/config
	quiet -r a --key-file key-a manifests
}

@test "an older roster is put back, or all of them vanish" {
	cp -a repo/keys old-keys
	second=$(save two) # a new roster
	[ "$(ls repo/keys | wc -l)" -gt "$(ls old-keys | wc -l)" ]
	quiet manifests
	mv repo/keys new-keys && mv old-keys repo/keys
	run --separate-stderr nightjar manifests
	assert_status 24
	says "nightjar: repo/keys: the roster that this host has seen (epoch 3) has vanished or cannot be read, an older one is there (epoch 2)*"
	says "nightjar: repo/keys: the roster no longer names writer ????????*"
	says "nightjar: snapshots/$second: signed by a host that the roster in keys/ does not name*"
	mv repo/keys old-keys && mkdir repo/keys
	run --separate-stderr nightjar manifests
	assert_status 24
	says "nightjar: repo/keys: the roster that this host has seen (epoch 3) has vanished or cannot be read, an older one is there (epoch 0)*"
	rmdir repo/keys && mv new-keys repo/keys
	quiet manifests
	quiet check
}

@test "status: the newest of each writer, a line each, without a key; check --expect knows them" {
	fourth=$(save)
	fifth=$(save two)
	unset NIGHTJAR_KEY_FILE NIGHTJAR_REPOSITORY
	mv repo away # nor the repository
	run --separate-stderr nightjar status
	assert_status 0
	mapfile -t records < <(grep -E '^[0-9a-f]{64}:[0-9]+:[0-9a-f]{64}$' <<<"$output")
	[ "${#records[@]}" -eq 2 ]
	[[ " ${records[*]}" == *":4:$fourth"* && " ${records[*]}" == *":1:$fifth"* ]]
	run --separate-stderr nightjar status --json
	[ "$(jq -r '.repositories[0].newest[].record' <<<"$output")" = "$(printf '%s\n' "${records[@]}")" ]
	[ "$(jq -r '.repositories[0].newest[] | [.writer, .sequence, .manifest_id] | join(":")' <<<"$output")" = "$(printf '%s\n' "${records[@]}")" ]
	[ "$(jq -r '.repositories[0].vanished' <<<"$output")" = 0 ]
	mv away repo
	export NIGHTJAR_KEY_FILE=key NIGHTJAR_REPOSITORY=repo NIGHTJAR_STATE_DIR=$WORK/auditor
	quiet check --expect "${records[0]}" --expect "${records[1]}"
	[[ $output == *"expected, and there: ${records[0]}"* ]]
	# Here nobody has seen anything, and nothing names the newest: only the paper knows.
	gone "$fourth" && gone "$fifth"
	NIGHTJAR_STATE_DIR=$WORK/auditor2 quiet check
	NIGHTJAR_STATE_DIR=$WORK/auditor2 alarm "nightjar: *:4:$fourth: the repository knows nothing of this backup*" check --expect "${records[0]}" --expect "${records[1]}"
	[[ $output == *"VANISHED, of what this host has seen or was told to expect: 2"* ]]
	back
	save >/dev/null
	nightjar -q forget "$fourth"
	NIGHTJAR_STATE_DIR=$WORK/auditor3 quiet check --expect "${records[0]}" --expect "${records[1]}"
	[[ $output == *"expected, and removed on purpose, as a record says: *:4:$fourth"* || $output == *"removed on purpose, as a record says: "*":4:$fourth"* ]]
	# Of a removed one, too, all three must be what the record says.
	[[ ${records[0]} == *":$fourth" ]] || records=("${records[1]}" "${records[0]}")
	other=${records[0]%:*:*}:99:${records[0]##*:}
	alarm "*knows nothing of this backup*" check --expect "$other"
	alarm "*knows nothing of this backup*" check --expect "${records[1]%:*:*}:4:$fourth"
	alarm "*knows nothing of this backup*" check --expect "${records[1]%:*:*}:99:$fifth"
	for wrong in "${records[0]}0" "${records[0]:1}" x "${records[0]/:/ }" "$other "; do
		fails 2 "nightjar: --expect takes a line that 'nightjar status' printed*" check --expect "$wrong"
	done
}

@test "status: 24 while something has vanished" {
	save >/dev/null
	gone "${M[1]}"
	run nightjar manifests
	fails 24 "nightjar: $WORK/repo: something has vanished from it*'nightjar check' names it" status
	run --separate-stderr nightjar status --json
	assert_status 24
	[ "$(jq -r '.repositories[0] | .vanished, .ok' <<<"$output" | xargs)" = "1 false" ]
	back
	quiet manifests
	quiet status
}

@test "a night: backs up, removes nothing, says what vanished, and tells the metrics" {
	cat >night.ini <<-EOF
	[repository]
	location = $WORK/repo
	key-file = $WORK/key
	[source]
	path = $WORK/src
	[retention]
	keep-last = 1
	prune = yes
	[metrics]
	textfile = $WORK/m.prom
	EOF
	unset NIGHTJAR_KEY_FILE NIGHTJAR_REPOSITORY
	run nightjar --config night.ini nightly
	assert_status 0
	grep -q '^nightjar_vanished{.*} 0$' m.prom
	run nightjar --config night.ini nightly
	assert_status 0
	newest=$(nightjar -r repo --key-file key manifests --json | jq -r '.[-1].id')
	before=$(ls repo/snapshots | wc -l)
	gone "$newest"
	run nightjar --config night.ini nightly
	assert_status 24
	[[ $output == *"$newest: backup "*"vanished"* ]]
	[[ $output == *"forget removes nothing"*"prune"*"forget failed"* ]]
	[[ $output == *"VANISHED: 1 thing that this host has seen"* ]]
	[ "$(ls repo/snapshots | wc -l)" -eq "$before" ] # one gone, one new
	grep -q '^nightjar_vanished{.*} 1$' m.prom
	grep -q '^nightjar_exit_code 24$' m.prom
	run --separate-stderr nightjar --config night.ini nightly --json
	assert_status 24
	[ "$(jq -rs 'map(select(.message_type == "nightly_summary"))[0] | .repositories[0].vanished, .exit_code' <<<"$output" | xargs)" = "1 24" ]
	quiet -r repo --key-file key check --accept-rollback
	run nightjar --config night.ini nightly
	assert_status 0
	grep -q '^nightjar_vanished{.*} 0$' m.prom
}

@test "legal: a mirror that is behind, looked at by the host that backs up" {
	cp -a repo mirror
	save >/dev/null
	quiet -r mirror check
	quiet check
	rm -f "mirror/snapshots/${M[2]}" # but what was seen there is missed there
	alarm "nightjar: mirror/snapshots/${M[2]}: *vanished*" -r mirror check
	quiet check
}

@test "a state file that is damaged or gone is begun anew" {
	seen=$(echo state/*/seen-*)
	flip "$seen" 60
	run --separate-stderr nightjar manifests
	assert_status 0
	says "nightjar: warning: *$seen: damaged*begun anew*"
	quiet manifests
	gone "${M[2]}"
	alarm "*${M[2]}*vanished*" manifests
	rm -f "$seen"
	run --separate-stderr nightjar manifests # it was the newest: nothing names it
	assert_status 0
	back
	for file in state/*/place; do flip "$file" 3; done
	run --separate-stderr nightjar manifests
	assert_status 0
	says "nightjar: warning: *place: damaged*"
	quiet manifests
}

@test "cache never removes what was seen" {
	before=$(sha256sum state/*/seen-* state/*/place)
	NIGHTJAR_CACHE_DIR=$WORK run nightjar cache --cleanup
	assert_status 0
	[ "$(sha256sum state/*/seen-* state/*/place)" = "$before" ]
}

@test "looking asks the store for nothing more, and writes only what is new" {
	before=$(stat -c "%i %z" state/*/seen-*)
	nightjar -q manifests >/dev/null
	nightjar -q ls latest >/dev/null
	[ "$(stat -c "%i %z" state/*/seen-*)" = "$before" ]
	save >/dev/null
	[ "$(stat -c "%i %z" state/*/seen-*)" != "$before" ]
}
