# prune: what no backup needs goes, in two steps; everything that is kept restores, by the second reader, too.
load helpers
load repo

setup() {
	common_setup
	make_repo
	head -c 400000 /dev/urandom >src/two.bin
	backup
	head -c 100 /dev/urandom >src/two.bin
	backup
}

# `backup PATH` keeps the absolute path, so that of the copy in this test's folder
backup() {
	nightjar -q backup "$WORK/src" >/dev/null
}

# forget N: the N-th oldest. Not by rm: what vanishes without a record is exit code 24, and nothing is pruned then.
forget() {
	local id
	id=$(nightjar manifests --json | jq -r ".[$1].id")
	nightjar -q forget "$id" >/dev/null
	[ ! -e "repo/snapshots/$id" ]
}

packs() {
	find repo/data -type f | wc -l
}

# all_restore: each manifest restores, verified; check finds nothing
all_restore() {
	local id
	run nightjar check --read-data
	assert_status 0
	for id in $(nightjar manifests --json | jq -r '.[].id'); do
		rm -rf back
		nightjar -q restore "$id" --target back --verify
	done
	diff -r --exclude=app.db src "back$WORK/src"
}

@test "nothing to do: 0, and nothing changes" {
	before=$(find repo -type f | sort)
	run nightjar prune
	assert_status 0
	assert_output "*before*packs*after*packs*"
	[ "$(find repo -type f | sort)" = "$before" ]
}

@test "what is forgotten is condemned first, said when it is due, and deletes nothing yet" {
	forget 2
	before=$(packs)
	run nightjar prune --dry-run
	assert_status 0
	assert_output "a dry run: nothing was changed*condemned now*in 72 hours (after*"
	[ "$(packs)" -eq "$before" ]
	[ -z "$(ls repo/locks)" ]
	run nightjar prune
	assert_status 0
	assert_output "*condemned now*of these condemned*in 72 hours (after*"
	[ "$(packs)" -ge "$before" ]
	[ "$(ls repo/locks | wc -l)" -eq 2 ]
	run nightjar check
	assert_status 0
	assert_output "*packs that a prune has condemned*: 1*no damage found*"
	run nightjar prune --grace 3d
	assert_status 0
	assert_output "*of these condemned*"
	[ "$(ls repo/locks | wc -l)" -eq 2 ]
	all_restore
}

@test "where nobody writes it may be deleted at once" {
	forget 2
	size=$(du -sb repo/data | cut -f1)
	run nightjar prune --no-writers --max-unused 0%
	assert_status 0
	assert_output "*before * packs *deleted   *"
	[[ $output != *"condemned earlier"* ]]
	[ -z "$(ls repo/locks)" ]
	[ "$(du -sb repo/data | cut -f1)" -lt $((size - 380000)) ]
	all_restore
	backup
	all_restore
}

@test "--json: one summary with the sums before and after" {
	forget 2
	run --separate-stderr nightjar prune --json --max-unused 0
	assert_status 0
	[ "$(jq -r .message_type <<<"$output")" = summary ]
	[ "$(jq -r '.condemned.packs' <<<"$output")" -ge 1 ]
	[ "$(jq -r '.waiting == .condemned' <<<"$output")" = true ]
	[ "$(jq -r '.after.packs' <<<"$output")" -eq "$(packs)" ]
	[ "$(jq -r '.unused_bytes' <<<"$output")" = 0 ]
	[ "$(jq -r '.next_due' <<<"$output")" != null ]
}

@test "a manifest that cannot be read: 20, it is named, nothing goes" {
	forget 2
	before=$(find repo -type f | sort)
	id=$(nightjar manifests --json | jq -r '.[0].id')
	flip "repo/snapshots/$id" 600
	run --separate-stderr nightjar prune --no-writers
	assert_status 20
	says "nightjar: snapshots/$id *nothing is deleted*from a copy of the repository*'nightjar repair manifests --forget'*"
	[ "$(find repo -type f | sort)" = "$before" ]
}

@test "something needed is lost: 20, the manifest is named, nothing goes" {
	forget 2
	rm -f "$BIG"
	before=$(find repo -type f | sort)
	run --separate-stderr nightjar prune --no-writers
	assert_status 20
	says "nightjar: manifest ????????: *nothing is deleted until 'nightjar repair packs' has saved it*'nightjar repair manifests --forget'*"
	[ "$(find repo -type f | sort)" = "$before" ]
}

@test "without any index nothing is repacked, and that is said" {
	forget 2
	rm repo/index/*
	run --separate-stderr nightjar prune
	assert_status 0
	says "nightjar: warning: data/*'nightjar repair index'*"
	nightjar -q repair index >/dev/null
	run --separate-stderr nightjar prune
	assert_status 0
	[ -z "$stderr" ]
	all_restore
}

@test "a damaged record of what is condemned: prune removes it, says so, and its grace begins anew" {
	forget 2
	nightjar -q prune >/dev/null
	old=$(ls repo/locks)
	for f in repo/locks/*; do flip "$f" 60; done
	run --separate-stderr nightjar check
	assert_status 20
	says "nightjar: *locks/*it binds nobody*the next 'nightjar prune' removes it*"
	run --separate-stderr nightjar prune --dry-run
	assert_status 0
	says "nightjar: warning: locks/*the next 'nightjar prune' removes it*"
	[ "$(ls repo/locks)" = "$old" ]
	run --separate-stderr nightjar prune
	assert_status 0
	says "nightjar: warning: locks/*it bound nobody and was removed*begins anew*"
	assert_output "*condemned now*in 72 hours (after*"
	for f in $old; do [ ! -e "repo/locks/$f" ]; done
	run --separate-stderr nightjar check
	assert_status 0
	run --separate-stderr nightjar prune
	[ -z "$stderr" ]
	all_restore
}

@test "what killed backups left unfinished goes when it is as old as the grace" {
	mkdir -p repo/data/ab
	for f in repo/data/ab/.tmp-0123456789abcdef repo/snapshots/.tmp-00000000000000ff; do
		head -c 5000 /dev/zero >$f
		touch -d '73 hours ago' $f
	done
	touch -d '71 hours ago' repo/index/.tmp-0123456789abcdef
	run nightjar prune --dry-run
	assert_status 0
	assert_output "*unfinished files of killed backups to be removed: 2, 9.*"
	[ -e repo/data/ab/.tmp-0123456789abcdef ]
	run --separate-stderr nightjar prune --json
	assert_status 0
	[ "$(jq -r '.leftover_files, .leftover_bytes' <<<"$output" | xargs)" = "2 10000" ]
	[ "$(find repo -name '.tmp-*')" = repo/index/.tmp-0123456789abcdef ]
	run nightjar prune --no-writers
	assert_output "*unfinished files of killed backups removed: 1*"
	run nightjar prune
	[[ $output != *unfinished* ]]
	all_restore
}

@test "limits that cannot be meant are refused" {
	fails 2 "nightjar: --grace: 2 hours at least*--no-writers*" prune --grace 1h
	fails 2 "nightjar: --grace: 'soon' *" prune --grace soon
	fails 2 "nightjar: --max-unused: '101%' *" prune --max-unused 101%
	fails 2 "nightjar: --max-unused: 'much' *" prune --max-unused much
	fails 2 "nightjar: --max-unused: '5' has no unit: a percentage as '5%'*" prune --max-unused 5
	fails 2 "nightjar: --grace does not go with --no-writers*" prune --grace 72h --no-writers
	run nightjar prune --max-unused unlimited --max-repack-size 0
	assert_status 0
	run nightjar prune --max-unused 10M
	assert_status 0
}

@test "a repacked repository is read by the second reader" {
	PYTHON=$(python3 -c 'import ctypes, sys
ctypes.CDLL("libsodium.so.23"), ctypes.CDLL("libzstd.so.1"), print(sys.executable)') ||
		skip "needs python3, libsodium.so.23 and libzstd.so.1"
	export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$BATS_TEST_DIRNAME/../reader
	for i in 1 2 3; do
		sqlite3 src/app.db "INSERT INTO t(b) VALUES('more $i')"
		backup
	done
	forget 2
	forget 2
	nightjar -q prune --max-unused 0 >/dev/null # what is condemned is still there, and moved
	run "$PYTHON" "$BATS_TEST_DIRNAME/../reader/nightjar_reader.py" -r repo --key-file key verify
	assert_status 0
	nightjar -q prune --max-unused 0 --no-writers >/dev/null
	run "$PYTHON" "$BATS_TEST_DIRNAME/../reader/nightjar_reader.py" -r repo --key-file key verify
	assert_status 0
	run "$PYTHON" "$BATS_TEST_DIRNAME/../reader/nightjar_reader.py" -r repo --key-file key --no-index verify
	assert_status 0
}
