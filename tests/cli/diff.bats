# diff: files and folders as restic tells them, rows of databases, subpaths, --stat, --json.
load helpers
load repo

setup() {
	common_setup
	export NIGHTJAR_REPOSITORY=$WORK/r NIGHTJAR_KEY_FILE=$WORK/k
	nightjar -q init
	mkdir -p app/same/deep app/old app/sub
	echo a | tee app/keep app/change app/gone app/old/in app/same/deep/x app/turns app/sub/x >/dev/null
	ln -s keep app/link
	touch app/mode
	sqlite3 app/app.db "CREATE TABLE t (id INTEGER PRIMARY KEY, v); CREATE TABLE bye (x); INSERT INTO bye VALUES (1);
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT i, hex(randomblob(40)) FROM n"
	nightjar -q backup app
	echo b >app/change
	rm -r app/gone app/old app/turns app/link
	mkdir -p app/turns app/new/er
	echo c | tee app/turns/y app/new/er/z >/dev/null
	ln -s change app/link
	chmod 600 app/mode
	sqlite3 app/app.db "DELETE FROM t WHERE id % 500 = 0; UPDATE t SET v = 1 WHERE id < 4; INSERT INTO t VALUES (9000, 2);
		ALTER TABLE bye RENAME TO hello"
	nightjar -q backup app
	A=$(nightjar manifests --json | jq -r '.[0].short_id')
	B=$(nightjar manifests --json | jq -r '.[1].short_id')
}

@test "what was added, removed, changed, and turned into something else" {
	nightjar diff "$A:$WORK/app" "$B:$WORK/app" >out
	cat >want <<END
M    /app.db
     gone: table bye: 0 rows added, 1 removed, 0 changed
     new table hello: 1 row added, 0 removed, 0 changed
     table t: 1 row added, 10 removed, 3 changed
M    /change
-    /gone
+    /new/
+    /new/er/
+    /new/er/z
-    /old/
-    /old/in
T    /turns/
+    /turns/y

Files:           2 new,     2 removed,     2 changed
Dirs:            2 new,     1 removed
Others:          0 new,     0 removed
Rows:            2 new,    11 removed,     3 changed
END
	diff want <(head -n 18 out)
	grep -q 'Data Blobs: ' out && grep -q 'Tree Blobs: ' out && grep -q '  Added: ' out
	nightjar diff --metadata "$A:$WORK/app" "$B:$WORK/app" >out
	grep -q '^U    /link$' out && grep -q '^U    /mode$' out && grep -q '^TU   /turns/$' out
	! grep -q /keep out
	! grep -q /same out
	# whole backups have full paths
	nightjar diff "$A" "$B" | grep -q "^M    $WORK/app/change$"
	# the other way round
	nightjar diff "$B:$WORK/app" "$A:$WORK/app" >out
	grep -q '^+    /gone$' out && grep -q 'table t: 10 rows added, 1 removed, 3 changed' out
	nightjar diff "$A" "$A" | head -n 2 | grep -q '^Files:           0 new,     0 removed,     0 changed'
}

@test "one file, one folder against a whole backup, and what is not there" {
	run nightjar diff "$A:$WORK/app/app.db" "$B:$WORK/app/app.db"
	assert_status 0
	assert_output "M    /app.db*table t: 1 row added, 10 removed, 3 changed*"
	nightjar diff "$A:$WORK/app/same" "$B:$WORK/app/sub" | grep -q '^-    /deep/x$'
	nightjar diff "$A:/" "$B:$WORK/app" | grep -q '^+    /new/er/z$'
	fails 1 "*/nope: no such path in this backup" diff "$A:/nope" "$B"
	fails 2 "*can only be compared with a folder*" diff "$A" "$B:$WORK/app/keep"
	fails 2 "*" diff "$A"
}

@test "--json: a change a line, databases, statistics; --stat: one document" {
	nightjar --json diff "$A" "$B" >out
	python3 "$BATS_TEST_DIRNAME/../tools/strictjson.py" lines out "$BATS_TEST_DIRNAME/../../cli/JSON.md"
	[ "$(jq -r 'select(.message_type == "change" and .modifier == "+").path' out)" = \
		"$(printf '%s\n' "$WORK/app/new/" "$WORK/app/new/er/" "$WORK/app/new/er/z" "$WORK/app/turns/y")" ]
	[ "$(jq -r 'select(.message_type == "database").tables[] | "\(.name) \(.state) \(.rows_added) \(.rows_removed) \(.rows_changed)"' out)" = \
		$'bye gone 0 1 0\nhello new 1 0 0\nt kept 1 10 3' ]
	nightjar --json diff --stat "$A" "$B" >stat
	python3 "$BATS_TEST_DIRNAME/../tools/strictjson.py" document stat "$BATS_TEST_DIRNAME/../../cli/JSON.md"
	diff <(jq -S . stat) <(jq -S 'select(.message_type == "statistics")' out)
	[ "$(jq -r '"\(.changed_files) \(.added.files) \(.removed.files) \(.added.dirs) \(.rows_removed)"' stat)" = "2 2 2 2 11" ]
	[ "$(nightjar diff --stat "$A" "$B" | wc -l)" -eq 8 ]
}

@test "a folder of many names: the parts that both have are not read, and what differs is found" {
	mkdir many
	seq -f 'many/file-%05g' 1 6000 | xargs touch -d 2020-01-01
	nightjar -q backup many
	echo x >many/file-00001
	rm many/file-03000 && touch many/file-99999 many/a-first
	nightjar -q backup many
	run nightjar diff "$(nightjar manifests --json | jq -r '.[2].id')" latest
	assert_status 0
	[ "$(grep -c "$WORK/many/" <<<"$output")" -eq 4 ]
	assert_output "+    $WORK/many/a-first*M    $WORK/many/file-00001*-    $WORK/many/file-03000*+    $WORK/many/file-99999*"
	# most of its nodes are the same
	[ "$(nightjar --json diff --stat "$(nightjar manifests --json | jq -r '.[2].id')" latest | jq .added.tree_blobs)" -lt 20 ]
}
