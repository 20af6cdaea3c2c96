# backup --force and the cache command: caches are listed and removed, state never.
load helpers

setup() {
	common_setup
	export NIGHTJAR_REPOSITORY=$WORK/repo NIGHTJAR_KEY_FILE=$WORK/key
	mkdir src
	echo "a file that is longer than a database's header" >src/a
	nightjar -q init --key-file key
	unset NIGHTJAR_STATE_DIR # so the state lies in the cache directory
	mkdir -p "$NIGHTJAR_CACHE_DIR/state"
	echo precious >"$NIGHTJAR_CACHE_DIR/state/seen"
}

cache_file() {
	echo "$NIGHTJAR_CACHE_DIR"/*/files-*.db
}

@test "no caches yet" {
	run nightjar cache
	assert_status 0
	assert_output "0 caches in *"
	run nightjar cache --json
	assert_output "[[]]"
}

@test "a backup makes one, and it is listed" {
	nightjar -q backup src
	[ -f "$(cache_file)" ]
	[ "$(stat -c %a "$(cache_file)")" = 600 ]
	run nightjar cache
	assert_status 0
	assert_output "*$(basename "$(dirname "$(cache_file)")")*0 d*KiB*1 cache in*"
	run nightjar cache --json
	assert_output '[[]{"repository_id":"*","last_used":"*","bytes":*,"removed":false}]'
}

@test "--cleanup removes what was not used for 30 days, and nothing else" {
	nightjar -q backup src
	run nightjar cache --cleanup
	assert_status 0
	[ -f "$(cache_file)" ]
	find "$NIGHTJAR_CACHE_DIR" -name "chunks-*" -o -name "files-*" | xargs touch -d "29 days ago"
	nightjar -q cache --cleanup
	[ -f "$(cache_file)" ]
	touch -d "31 days ago" "$(dirname "$(cache_file)")"/* "$NIGHTJAR_CACHE_DIR/state/seen" "$NIGHTJAR_CACHE_DIR/state"
	nightjar cache --cleanup >out 2>&1
	grep -q removed out
	[ -z "$(find "$NIGHTJAR_CACHE_DIR" -name '*.db' -o -name 'chunks-*')" ]
	[ "$(cat "$NIGHTJAR_CACHE_DIR/state/seen")" = precious ]
	nightjar -q backup src
}

@test "what is not a cache stays, even in a repository's folder" {
	nightjar -q backup src
	file=$(cache_file) folder=$(dirname "$(cache_file)")
	echo precious >"$folder/newest"
	ln -s "$folder" "$NIGHTJAR_CACHE_DIR/0123456789abcdef0123456789abcdef"
	touch -d "31 days ago" "$folder"/*
	nightjar -q cache --cleanup
	[ "$(cat "$folder/newest")" = precious ]
	[ ! -e "$file" ]
}

@test "a database that did not change is not read, and -v says so; --force reads it" {
	sqlite3 src/app.db "PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)"
	sleep 2.1 # what is newer than that is not trusted
	nightjar -q backup src
	id=$(nightjar manifests --json | grep -o '"id":"[0-9a-f]*"' | tail -n 1 | cut -c 7-14)
	run nightjar -v backup src
	assert_status 0
	assert_output "*/src/app.db: unchanged since manifest $id, not read*2 unmodified*"
	run nightjar -v backup --force src
	assert_status 0
	[[ $output != *"not read"* && $output == *"2 unmodified"* ]]
	sqlite3 src/app.db "INSERT INTO t VALUES (2)"
	run nightjar -v backup src
	assert_status 0
	[[ $output != *"not read"* ]]
	nightjar -q restore latest --target back
	[ "$(sqlite3 "$(find back -name app.db)" "SELECT sum(x) FROM t")" = 3 ]
}

@test "an operand is a usage error" {
	run --separate-stderr nightjar cache now
	assert_status 2
	assert_error "*"
}

@test "-v says what is wrong with a cache; nothing else does" {
	nightjar -q backup src
	file=$(cache_file)
	echo "no database" >"$file"
	run nightjar backup src
	assert_status 0
	[[ $output != *"$file"* ]]
	echo "no database" >"$file"
	run nightjar -v backup src
	assert_status 0
	assert_output "*$file*not a database*manifest*saved*"
}

@test "backup --force and -f are taken" {
	nightjar -q backup src
	run nightjar backup --force src
	assert_status 0
	assert_output "*1 unmodified*"
	run nightjar backup -f src
	assert_status 0
}

@test "a cache folder that cannot be made: 1, its name and the option that helps" {
	: >file
	run --separate-stderr nightjar backup --cache-dir "$WORK/file/below" src
	assert_status 1
	[[ $stderr == "nightjar: the cache: "*"$WORK/file"*"--cache-dir"* ]]
	run nightjar manifests --cache-dir "$WORK/file/below" # which needs none
	assert_status 0
}
