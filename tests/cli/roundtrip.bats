# What is backed up comes back: every type of entry, databases beside files, parts of a backup; and what is
# the same is stored once. Comparisons are made by tests/tools/treediff.py, which shares nothing with the program.
load helpers

tools=$BATS_TEST_DIRNAME/../tools

setup() {
	common_setup
	export NIGHTJAR_REPOSITORY=$WORK/repo
	run nightjar init --key-file "$WORK/key"
	assert_status 0
	export NIGHTJAR_KEY_FILE=$WORK/key
}

teardown() {
	[ -z "${writer:-}" ] || stop_application
	chmod -R u+rwX "$WORK" 2>/dev/null || true
	common_teardown
}

as_root() {
	[ "$(id -u)" -eq 0 ] || skip "only root can do this"
}

# As an ordinary user, whoever runs the tests; the work folder becomes theirs.
as_nobody() {
	if [ "$(id -u)" -eq 0 ]; then
		chown -R 65534:65534 "$WORK"
		setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
	else
		"$@"
	fi
}

backup() { # ARG…: must succeed
	run nightjar backup --host here "$@"
	assert_status 0
}

restore() { # ARG…: must succeed
	run nightjar restore "$@"
	assert_status 0
}

same() { # [OPTION…] A B
	run "$tools/treediff.py" "$@"
	assert_status 0
}

repository_bytes() {
	find "$WORK/repo" -type f -printf '%s\n' | awk '{sum += $1} END {print sum}'
}

# An application that holds its WAL database open, with pages in the -wal that no checkpoint has moved.
start_application() { # DATABASE
	mkfifo "$WORK/statements"
	sqlite3 "$1" <"$WORK/statements" >"$WORK/application.log" 2>&1 3>&- &
	writer=$!
	exec 8>"$WORK/statements"
	echo "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
		CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
		INSERT INTO notes (body) SELECT hex(randomblob(50)) FROM n;
		PRAGMA wal_checkpoint;
		UPDATE notes SET body = 'in the wal' WHERE id = 77;
		SELECT 'ready';" >&8
	for _ in {1..100}; do
		! grep -q ready "$WORK/application.log" || return 0
		sleep 0.1
	done
	return 1
}

stop_application() {
	exec 8>&-
	wait "$writer" || true
	writer=
}

@test "a tree of everything comes back as it was" {
	run "$tools/mktree.py" "$WORK/src"
	assert_status 0
	[ -z "$output" ] || echo "# ${output//$'\n'/; }" >&3
	cp -a src before
	backup src
	same before src # reading changes nothing
	restore latest --target out --verify
	same src "out$WORK/src"
	run nightjar check --read-data
	assert_status 0
	# And over what is there already, some of it changed.
	echo other >"out$WORK/src/text"
	rm -r "out$WORK/src/links"
	restore latest --target out
	same src "out$WORK/src"
}

@test "a tree of an ordinary user comes back as it was" {
	# They may not be allowed to enter the folder that we are built in.
	cp "$tools/mktree.py" "$NIGHTJAR" .
	as_nobody ./mktree.py "$WORK/src" 20
	run as_nobody ./nightjar backup --host here src
	assert_status 0
	run as_nobody ./nightjar restore latest --target out --verify
	assert_status 0
	same src "out$WORK/src"
}

@test "a live WAL database beside files: its content as of now, without -wal and -shm" {
	mkdir app
	start_application app/app.db
	echo attachment >app/a.bin
	echo '-wal of nothing' >app/other-wal
	cp -a app before
	mode=$(stat -c '%a %u %g %Y' app/app.db)
	backup app
	cmp app/app.db before/app.db
	cmp app/app.db-wal before/app.db-wal
	[ -s app/app.db-wal ]
	run nightjar ls latest
	assert_output "*/app/app.db*"
	[[ $output != *app.db-wal* && $output != *app.db-shm* ]]
	[[ $output == */app/other-wal* ]]
	restore latest --target out --verify
	restored=out$WORK/app
	[ "$(ls "$restored")" = $'a.bin\napp.db\nother-wal' ]
	[ "$(stat -c '%a %u %g %Y' "$restored/app.db")" = "$mode" ]
	same --skip app.db --skip app.db-wal --skip app.db-shm app "$restored"
	[ "$(sqlite3 "$restored/app.db" 'PRAGMA integrity_check; PRAGMA journal_mode')" = $'ok\nwal' ]
	[ "$(sqlite3 "$restored/app.db" 'SELECT body FROM notes WHERE id = 77')" = "in the wal" ]
	[ "$(sqlite3 "$restored/app.db" .dump)" = "$(sqlite3 "file:app/app.db?mode=ro" .dump)" ]
}

@test "a WAL left behind by a dead application stays, and so does its folder's time" {
	mkdir app dying
	start_application dying/app.db
	cp dying/app.db dying/app.db-wal app/
	stop_application
	touch -d '2021-03-04 05:06:07.008' app
	when=$(stat -c %y app)
	cp -a app before
	backup app
	cmp app/app.db before/app.db
	cmp app/app.db-wal before/app.db-wal
	restore latest --target out
	[ "$(stat -c %y "out$WORK/app")" = "$when" ]
	[ "$(sqlite3 "out$WORK/app/app.db" 'SELECT body FROM notes WHERE id = 77')" = "in the wal" ]
}

@test "databases keep their journal mode" {
	mkdir app
	for mode in delete wal persist; do
		sqlite3 "app/$mode.db" "PRAGMA journal_mode = $mode; CREATE TABLE t (a); INSERT INTO t VALUES ('$mode')"
	done
	[ -e app/persist.db-journal ]
	backup app
	restore latest --target out
	[ "$(sqlite3 "out$WORK/app/wal.db" 'PRAGMA journal_mode; SELECT a FROM t')" = $'wal\nwal' ]
	[ "$(sqlite3 "out$WORK/app/delete.db" 'PRAGMA journal_mode; SELECT a FROM t')" = $'delete\ndelete' ]
	[ "$(sqlite3 "out$WORK/app/persist.db" 'SELECT a FROM t')" = persist ]
	[ "$(find out -name '*-journal' -o -name '*-wal' -o -name '*-shm' | grep -v 'wal.db-')" = "" ]
}

@test "a stale -wal beside a restored database is moved aside" {
	mkdir app
	sqlite3 app/app.db "CREATE TABLE t (a); INSERT INTO t VALUES (1)"
	backup app
	mkdir -p "out$WORK/app"
	echo "frames of another day" >"out$WORK/app/app.db-wal"
	echo "journal of another day" >"out$WORK/app/app.db-journal"
	run nightjar restore latest --target out
	assert_status 0
	assert_output "*moved aside*"
	[ ! -e "out$WORK/app/app.db-wal" ]
	[ ! -e "out$WORK/app/app.db-journal" ]
	[ "$(cat "out$WORK"/app/app.db.before-restore-*-wal)" = "frames of another day" ]
	[ "$(sqlite3 "out$WORK/app/app.db" 'SELECT a FROM t')" = 1 ]
}

@test "identical content is stored once: copies, other sources, renames, moves" {
	mkdir -p a/sub b
	head -c 9000000 /dev/urandom >a/one
	head -c 1000 /dev/urandom >a/small
	cp a/one a/sub/copy
	backup a
	before=$(repository_bytes)
	[ "$before" -lt 11000000 ]
	cp a/one b/elsewhere
	backup b
	mv a/one a/renamed
	mv a/sub a/moved
	backup a
	nightjar backup --host another b
	growth=$(($(repository_bytes) - before))
	[ "$growth" -lt 100000 ] || { echo "grew by $growth" && false; }
	restore latest:"$WORK/b/elsewhere" --target out
	cmp b/elsewhere "out$WORK/b/elsewhere"
	# A byte in front moves all others, and still little is new.
	{ echo x && cat a/renamed; } >a/shifted
	backup a
	growth=$(($(repository_bytes) - before))
	[ "$growth" -lt 5000000 ] || { echo "grew by $growth" && false; }
}

@test "an unchanged tree: only a manifest is new" {
	mkdir -p src/sub
	head -c 100000 /dev/urandom >src/sub/file
	backup src
	packs=$(find repo/data -type f | sort)
	run nightjar backup --host here --json src
	assert_status 0
	summary=$(grep '"summary"' <<<"$output")
	[ "$(jq '.files_new, .files_changed, .files_unmodified, .data_added' <<<"$summary" | xargs)" = "0 0 1 0" ]
	[ "$(find repo/data -type f | sort)" = "$packs" ]
	[ "$(find repo/snapshots -type f | wc -l)" -eq 2 ]
}

@test "--exclude, --tag, --host" {
	mkdir -p src/cache/deep src/keep
	touch src/a.tmp src/keep/b.tmp src/keep/c src/cache/deep/d src/e
	sqlite3 src/keep/left-out.db "CREATE TABLE t (a)"
	run nightjar backup --host one --tag daily --tag 'two words' --exclude '*.tmp' -e "$WORK/src/cache" \
		--exclude=left-out.db src
	assert_status 0
	run nightjar ls latest
	[ "$(grep "^$WORK/src/" <<<"$output" | sort)" = "$WORK/src/e"$'\n'"$WORK/src/keep"$'\n'"$WORK/src/keep/c" ]
	nightjar backup --host two src
	run nightjar manifests --json
	[ "$(jq -r '.[0] | .hostname, (.tags | join(",")), .paths[0]' <<<"$output")" = $'one\ndaily,two words\n'"$WORK/src" ]
	[ "$(jq -r '.[1].hostname' <<<"$output")" = two ]
	[ "$(jq -r '.[0].time < .[1].time' <<<"$output")" = true ]
	run nightjar ls --host one latest
	[[ $output != *a.tmp* ]]
	run nightjar ls latest
	assert_output "*/cache/deep/d*"
}

@test "--dry-run stores nothing, not even a first time" {
	mkdir src
	head -c 300000 /dev/urandom >src/file
	sqlite3 src/db "CREATE TABLE t (a)"
	before=$(find repo | sort && cat repo/keys/* | sha256sum)
	run nightjar backup --host new --dry-run src
	assert_status 0
	assert_output "*nothing was stored*"
	[ "$(find repo | sort && cat repo/keys/* | sha256sum)" = "$before" ]
	run nightjar backup --host new --dry-run --json src
	summary=$(grep '"summary"' <<<"$output")
	[ "$(jq '.dry_run, .files_new, has("manifest_id")' <<<"$summary" | xargs)" = "true 2 false" ]
	[ "$(jq '.data_added > 300000' <<<"$summary")" = true ]
}

@test "parts of a backup: --include, --exclude, M:/sub" {
	mkdir -p src/one/deep src/two
	for f in one/a.txt one/b.bin one/deep/c.txt two/d.txt; do echo "$f" >"src/$f"; done
	ln src/one/a.txt src/two/linked.txt
	chmod 750 src/one
	backup src
	restore latest --target out1 --include '*.txt' --exclude deep
	[ "$(cd out1 && find . -type f | sort)" = ".$WORK/src/one/a.txt
.$WORK/src/two/d.txt
.$WORK/src/two/linked.txt" ]
	restore "latest:$WORK/src/one" --target out2
	same src/one "out2$WORK/src/one"
	[ ! -e "out2$WORK/src/two" ]
	restore "latest:$WORK/src/two/d.txt" --target out3
	[ "$(find out3 -type f)" = "out3$WORK/src/two/d.txt" ]
	run nightjar restore "latest:$WORK/src/three" --target out4
	assert_status 1
	run nightjar restore latest --target out5 --include nothing-like-it
	assert_status 1
	[ -z "$(find out5 -type f 2>/dev/null)" ]
	run nightjar restore latest
	assert_status 2
}

@test "dump gives the bytes of a file, holes as zeros, and of a database its image" {
	mkdir src
	head -c 9000001 /dev/urandom >src/large
	: >src/empty
	truncate -s 5M src/sparse
	echo end >>src/sparse
	ln -s large src/link
	sqlite3 src/db "CREATE TABLE t (a); INSERT INTO t VALUES (7)"
	backup src
	for f in large empty sparse; do
		nightjar dump "latest:$WORK/src/$f" | cmp - "src/$f"
	done
	nightjar dump latest "$WORK/src/large" | cmp - src/large
	nightjar dump "latest:$WORK/src/db" >image
	[ "$(sqlite3 image 'PRAGMA integrity_check; SELECT a FROM t')" = $'ok\n7' ]
	run nightjar dump "latest:$WORK/src/none"
	assert_status 1
	run nightjar dump "latest:$WORK/src"
	[ "$status" -ne 0 ]
	run nightjar dump "latest:$WORK/src/link"
	[ "$status" -ne 0 ]
	run nightjar dump latest
	assert_status 2
}

@test "ls: parts, types, names that are no text" {
	mkdir -p src/sub
	echo 12345 >src/sub/file
	touch src/$'new\nline' src/$'\xff'
	ln -s sub src/link
	mkfifo src/fifo
	backup src
	run nightjar ls latest
	[ "$(wc -l <<<"$output")" -eq "$(grep -c . <<<"$output")" ]
	assert_output "*/src/sub/file*"
	run nightjar ls "latest:$WORK/src/sub"
	[[ $output == *sub/file* && $output != *fifo* ]]
	run nightjar ls --json "latest:$WORK/src"
	nodes=$(jq -c 'select(.message_type == "node")' <<<"$output")
	[ "$(jq -r "select(.path == \"$WORK/src/sub/file\") | .type, .size" <<<"$nodes" | xargs)" = "file 6" ]
	[ "$(jq -r 'select(.name == "link") | .type, .linktarget' <<<"$nodes" | xargs)" = "symlink sub" ]
	[ "$(jq -r 'select(.name == "fifo") | .type' <<<"$nodes")" = fifo ]
	run nightjar ls -l latest
	assert_output "*-rw*6*/src/sub/file*"
}

@test "what cannot be read: exit 3, named, the rest kept" {
	mkdir -p src/closed src/open
	echo kept >src/open/file
	echo secret >src/unreadable
	echo inside >src/closed/inside
	sqlite3 src/closed.db "CREATE TABLE t (a)"
	chmod 000 src/unreadable src/closed src/closed.db
	run as_nobody "$NIGHTJAR" backup --host here src
	assert_status 3
	assert_output "*unreadable*"
	assert_output "*closed*"
	assert_output "*closed.db*"
	run as_nobody "$NIGHTJAR" restore latest --target out
	assert_status 0
	[ "$(cat "out$WORK/src/open/file")" = kept ]
	[ ! -e "out$WORK/src/unreadable" ]
	[ -d "out$WORK/src/closed" ]
	run as_nobody "$NIGHTJAR" check --read-data
	assert_status 0
}

@test "a source that is not there: exit 1 and nothing is stored" {
	mkdir src
	echo file >src/file
	run --separate-stderr nightjar backup --host here src "$WORK/none"
	assert_status 1
	assert_error "*none*"
	[ -z "$(find repo/snapshots repo/data -type f 2>/dev/null)" ]
}

@test "operands: a file, several, nested, relative, through a symlink" {
	mkdir -p src/sub other
	echo 1 >src/one
	echo 2 >src/sub/two
	echo 3 >other/three
	ln -s src way
	backup src/one other src/sub/../sub ./src/sub
	restore latest --target out1
	[ "$(cd "out1$WORK" && find . -type f | sort | xargs)" = "./other/three ./src/one ./src/sub/two" ]
	backup way
	restore latest --target out2
	same src "out2$WORK/way"
}

@test "restore follows no symlink out of its target" {
	mkdir -p src/sub outside
	echo new >src/sub/file
	echo new >src/top
	backup src
	echo mine >outside/file
	echo mine >outside/top
	mkdir -p "out$WORK/src"
	ln -s "$WORK/outside" "out$WORK/src/sub"
	ln -s "$WORK/outside/top" "out$WORK/src/top"
	run nightjar restore latest --target out
	assert_status 1
	[ "$(cat outside/file outside/top)" = $'mine\nmine' ]
	[ "$(ls outside)" = $'file\ntop' ]
	# The symlink in the place of a file is replaced, what it points to is not touched.
	[ ! -L "out$WORK/src/top" ]
	[ "$(cat "out$WORK/src/top")" = new ]
	# One above the source, too.
	mkdir out3
	ln -s "$WORK/outside" "out3/$(cut -d/ -f2 <<<"$WORK")"
	run nightjar restore latest --target out3
	assert_status 1
	[ "$(ls outside)" = $'file\ntop' ]
}
