# --json of every command, read by a strict parser and held against cli/JSON.md.
load helpers
load repo

# strict lines|document ARG…: runs the program with --json; what it prints, on both streams, is JSON and documented.
strict() {
	local kind=$1 page=$BATS_TEST_DIRNAME/../../cli/JSON.md read=$BATS_TEST_DIRNAME/../tools/strictjson.py
	shift
	code=0
	"$NIGHTJAR" --json "$@" >out 2>err || code=$?
	if [ -s out ]; then python3 "$read" "$kind" out "$page"; fi
	if [ -s err ]; then python3 "$read" lines err "$page"; fi
	if [ "$code" -ne 0 ]; then tail -n 1 err | grep -q '"message_type":"exit_error"'; fi
}

source_tree() {
	mkdir -p src/sub
	sqlite3 src/app.db 'PRAGMA journal_mode=WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)' >/dev/null
	printf 'one' >src/one
	printf 'odd' >"src/sub/$(printf 'not\xffutf8\nline')"
	ln -s one src/link
	(umask 077 && echo horse >pass)
	export NIGHTJAR_REPOSITORY=$WORK/r NIGHTJAR_KEY_FILE=$WORK/k
}

@test "every command that answers line by line" {
	source_tree
	strict lines init && [ "$code" -eq 0 ] && grep -q initialized out
	strict lines backup --tag nightly src && grep -q '"manifest_id"' out
	strict lines backup --dry-run src && grep -q '"dry_run":true' out
	strict lines backup --force -vv src && grep -q '"action":"unchanged"' out
	strict lines key add --new-password-file pass && grep -q key_added out
	strict lines key remove "$(jq -r .id out)" && [ "$code" -eq 2 ] # it is the last one
	strict lines key export --role write w && grep -q '"key_exported"' out
	strict lines key rotate && grep -q '"epoch":2' out
	strict lines writer revoke "$(nightjar writer list --json | jq -r '.[] | select(.hostName == null) | .id')" && grep -q '"revoked_after":0' out
	strict lines ls latest && grep -q linktarget out
	strict lines restore latest --target t --verify && grep -q '"files_verified":3' out
	strict lines restore latest --target t2 --dry-run -v && grep -q verbose_status out
	strict lines check --read-data && grep -q '"num_errors":0' out
	strict lines drill --assert 'app.db: SELECT count(*) = 2 FROM t' && grep -q '"recorded":"repository"' out
	strict lines drill --assert 'app.db: SELECT 0' && [ "$code" -eq 23 ] && grep -q '"verdict":"failed"' out
	strict lines tag --add keep latest && grep -q '"changed"' out
	strict lines db copy src/app.db copy.db && grep -q '"verdict":"ok"' out
	strict lines db verify copy.db && grep -q '"verdict":"ok"' out
	strict lines version && grep -q '"libraries"' out
}

@test "copy and the repairs" {
	source_tree
	nightjar init
	nightjar backup src
	nightjar -r other --key-file otherkey init
	from=(--from-repo "$NIGHTJAR_REPOSITORY" --from-key-file "$NIGHTJAR_KEY_FILE")
	strict lines -r other --key-file otherkey copy "${from[@]}" && grep -q '"copied"' out
	strict lines -r other --key-file otherkey copy "${from[@]}" && grep -q '"skipped"' out
	strict document -r other --key-file otherkey manifests && grep -q '"original"' out
	strict lines repair index && grep -q '"segments_written":0' out
	strict lines repair packs && grep -q '"packs_damaged":0' out
	strict lines repair manifests && grep -q '"manifests_damaged":0' out
	rm r/index/* "$(find r/data -type f)"
	strict lines repair index && grep -q '"packs":0' out
	strict lines repair manifests && [ "$code" -eq 20 ]
	strict lines -r other --key-file otherkey copy "${from[@]}" --host nobody && grep -q '"manifests_copied":0' out
}

@test "every command that answers with one document" {
	source_tree
	nightjar init
	nightjar backup src
	strict document writer list && [ "$(jq -r '.[0].revoked' out)" = false ]
	strict document manifests && [ "$(jq -r '.[0].databases[0].tables[0] | "\(.name) \(.rows)"' out)" = "t 2" ]
	[ "$(jq -r '.[0].databases[0].image_sha256' out)" = "$(nightjar dump "latest:$WORK/src/app.db" | sha256sum | cut -d' ' -f1)" ]
	nightjar drill
	strict document stats && [ "$(jq -r .last_good_drill.verdict out)" = good ]
	strict document stats && [ "$(jq .snapshots_count out)" -eq 1 ]
	nightjar backup src
	strict document forget -n --keep-daily 1 --keep-last 1 && [ "$(jq ".[0].keep | length" out)" -eq 2 ]
	strict document forget --keep-last 1 && [ "$(jq ".[0].remove | length" out)" -eq 1 ]
	strict document find one && [ "$(jq '.[0].hits' out)" -eq 1 ]
	strict document cache && [ "$(jq length out)" -eq 1 ]
	strict document key list && [ "$(jq length out)" -eq 0 ]
}

@test "errors are objects on standard error, the last one an exit_error with the code" {
	source_tree
	strict lines manifests && [ "$code" -eq 10 ]
	[ "$(tail -n 1 err | jq .code)" -eq 10 ]
	nightjar init
	strict lines backup nowhere && [ "$code" -eq 1 ]
	strict lines --nonsense manifests && [ "$code" -eq 2 ]
	nightjar backup src
	find r/data -type f -delete
	strict lines check && [ "$code" -eq 20 ]
	grep -q '"item":"data/' err
	strict lines restore latest --target t && [ "$code" -eq 1 ]
}

@test "every command tells what is wrong as an object, wherever --json stands" {
	source_tree
	nightjar init && nightjar backup src
	for words in "ls" "ls zzzz" "ls latest:/none" "find" "find [" "tag latest" "tag --add x ffff" "stats ffff" "stats latest:/x" \
		"restore latest" "restore latest:/none --target t" "dump latest" "dump latest:/none" "key remove ffff" "key add" \
		"key passwd" "db copy none x" "db verify src/one" "cache x" "check x" "init" "manifests x" "help nope" "version x" \
		"backup" "backup --time x src" "backup --exclude-larger-than 5x src" "backup --files-from none" "backup -q -v src"; do
		# shellcheck disable=SC2086
		strict lines $words </dev/null
		[ "$code" -ne 0 ] || { echo "ended well: $words"; return 1; }
		[ "$(tail -n 1 err | jq .code)" -eq "$code" ]
		[ ! -s out ]
	done
	for words in "" "nope" "key" "backup --nope src" "--nope backup"; do
		# shellcheck disable=SC2086
		run --separate-stderr nightjar $words --json
		assert_status 2
		[ "$(jq -r '"\(.message_type) \(.code)"' <<<"$stderr")" = "exit_error 2" ]
	done
	run --separate-stderr nightjar nope -- --json
	assert_error "*unknown command*"
}

@test "the reader of these tests is strict" {
	local page=$BATS_TEST_DIRNAME/../../cli/JSON.md read=$BATS_TEST_DIRNAME/../tools/strictjson.py
	for text in '{"message_type":"x","id":1,"id":2}' '{"message_type":"x","mode":NaN}' '{"message_type":"x"} x' \
		'{"id":1}' '{"message_type":"x","undocumented_key":1}' ''; do
		printf '%s\n' "$text" >bad
		run python3 "$read" lines bad "$page"
		[ "$status" -ne 0 ] || { echo "taken: $text"; return 1; }
	done
}
