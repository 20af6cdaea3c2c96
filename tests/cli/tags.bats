# tag: records that change what a manifest's tags are, without changing the manifest.
load helpers

setup() {
	common_setup
	export NIGHTJAR_REPOSITORY=$WORK/repo NIGHTJAR_KEY_FILE=$WORK/key
	nightjar init -q
	mkdir src
	echo one >src/one
	nightjar backup -q --tag nightly,prod --time "2024-01-01 00:00:00" src
	nightjar backup -q --time "2024-01-02 00:00:00" src
	id=$(nightjar manifests --json | jq -r '.[0].id')
}

tags() { # of the first manifest, or number N
	nightjar manifests --json | jq -r ".[${1:-0}].tags | join(\",\")"
}

records() {
	ls repo/snapshots | wc -l
}

@test "backup --tag splits at commas, as restic" {
	[ "$(tags)" = nightly,prod ]
}

@test "--add, --remove and both: what is added and removed is removed" {
	run nightjar tag --add keep --add x,y "${id:0:8}"
	assert_status 0
	[[ $output == *"changed the tags of 1 manifest" ]]
	[ "$(tags)" = keep,nightly,prod,x,y ]
	nightjar tag --remove x,y,nothere "$id"
	[ "$(tags)" = keep,nightly,prod ]
	nightjar tag --add a,b --remove b,prod "$id"
	[ "$(tags)" = a,keep,nightly ]
	[ "$(tags 1)" = "" ]
	run nightjar check --read-data
	assert_status 0
}

@test "--set replaces, also with nothing" {
	nightjar tag --set one,two "$id"
	[ "$(tags)" = one,two ]
	nightjar tag --set '' "$id"
	[ "$(tags)" = "" ]
	nightjar tag --set again "$id"
	[ "$(tags)" = again ]
}

@test "the ids stay, old snapshot objects stay, the same set publishes nothing" {
	before=$(ls repo/snapshots)
	run nightjar tag --add prod --remove nothere "$id"
	assert_status 0
	[[ $output == *"changed the tags of 0 manifests" ]]
	[ "$(ls repo/snapshots)" = "$before" ]
	nightjar tag --add z latest "$id"
	[ "$(records)" -eq 4 ]
	[ "$(nightjar manifests --json | jq -r '.[0].id')" = "$id" ]
	for object in $before; do [ -e "repo/snapshots/$object" ]; done
	[ "$(tags 1)" = z ]
	[ "$(tags)" = nightly,prod,z ]
}

@test "manifests shows them to people" {
	nightjar tag --set 'a b' "$id"
	run nightjar manifests
	[[ $output == *"[a b]"* ]]
}

@test "tag --json: an object a change, and a summary" {
	run nightjar --json tag --add k "$id" latest
	assert_status 0
	[ "$(jq -rs 'map(.message_type) | join(" ")' <<<"$output")" = "changed changed summary" ]
	[ "$(jq -rs '.[0].manifest_id' <<<"$output")" = "$id" ]
	[ "$(jq -rs '.[0].tags | join(",")' <<<"$output")" = k,nightly,prod ]
	[ "$(jq -rs '.[2].changed_snapshots' <<<"$output")" -eq 2 ]
}

@test "wrong usage changes nothing" {
	for words in "$id" "--add x --set y $id" "--add x nowhere" "--add x $id $id:/src" "--add x"; do
		# shellcheck disable=SC2086
		run --separate-stderr nightjar tag $words
		assert_status 2
	done
	run --separate-stderr nightjar tag --add "$(printf 'x%.0s' {1..256})" "$id"
	assert_status 2
	run --separate-stderr nightjar tag --add x "$id" 00000000
	assert_status 1
	[ "$(records)" -eq 2 ]
}

@test "many records: the highest number holds; a later backup and restore are not disturbed" {
	for i in 1 2 3 4 5; do nightjar tag -q --set "t$i" "$id"; done
	[ "$(tags)" = t5 ]
	[ "$(records)" -eq 7 ]
	run nightjar backup src
	assert_status 0
	run nightjar restore "$id" --target out
	assert_status 0
	[ "$(nightjar manifests --json | jq length)" -eq 3 ]
}

@test "a damaged record is damage, and is said elsewhere" {
	before=$(ls repo/snapshots)
	nightjar tag --add k "$id"
	record=$(comm -13 <(echo "$before") <(ls repo/snapshots))
	flip "repo/snapshots/$record" 200
	run nightjar check
	assert_status 20
	[[ $output == *"$record"* ]]
	run nightjar manifests
	assert_status 1
	[[ $output == *"$record"* ]]
	# whole by its name, but not what was signed
	forged=$(sha256sum "repo/snapshots/$record" | cut -d' ' -f1)
	mv "repo/snapshots/$record" "repo/snapshots/$forged"
	run nightjar check
	assert_status 20
	[[ $output == *"$forged"*signature* ]]
	[ "$(tags 0 2>/dev/null)" = nightly,prod ]
}

@test "a record whose manifest is gone tells that a backup is lost" {
	nightjar tag --add k "$id"
	rm -f "repo/snapshots/$id"
	run nightjar check
	assert_status 24 # which wins over 20
	[[ $output == *"its manifest is lost"* ]]
	[[ $output == *"snapshots/$id: backup 1 of "*"has vanished"* ]]
	run nightjar manifests
	assert_status 24
	NIGHTJAR_STATE_DIR=$WORK/elsewhere run nightjar check --accept-rollback
	assert_status 20 # the damage of its own
	[[ $output == *"its manifest is lost"* ]]
	NIGHTJAR_STATE_DIR=$WORK/elsewhere run nightjar manifests
	assert_status 0
}
