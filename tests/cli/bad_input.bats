# What goes wrong at three in the morning: one clear line, the right exit code, nothing lost.
load helpers
load repo

setup() {
	common_setup
}

need_python() {
	python3 -c 'import sqlite3' 2>/dev/null || skip "needs python3 with sqlite3"
}

@test "no repository: 10 for every command, and init is named" {
	nightjar -q -r r init --key-file key
	mkdir empty
	for where in nope empty; do
		for c in manifests "backup key" "ls latest" "dump latest:/x" "restore latest --target t" check "key list" \
			"key add" "key remove 00000000" "key passwd"; do
			# shellcheck disable=SC2086
			fails 10 "nightjar: $where: there is no nightjar repository here*nightjar init*" -r $where --key-file key $c
		done
	done
	[ ! -e t ] && [ ! -e nope ]
	fails 2 "*no repository given*-r REPO*NIGHTJAR_REPOSITORY*" manifests
}

@test "a file or a device where the repository should be: 10, and 1 for init" {
	nightjar -q -r r init --key-file key
	for where in key key/below /dev/null; do
		fails 10 "nightjar: $where: is a file or lies below one*" -r $where --key-file key check
		fails 1 "nightjar: $where: is a file or lies below one*" -r $where --key-file key2 init
	done
	[ ! -e key2 ]
}

@test "init on a repository, in a folder with other things, below a missing one: 1, nothing changed" {
	make_repo
	sum=$(find repo -type f -exec sha256sum {} + | sort | sha256sum)
	fails 1 "nightjar: repo: there is a repository already; nothing was changed" init --key-file key2
	[ "$(find repo -type f -exec sha256sum {} + | sort | sha256sum)" = "$sum" ]
	mkdir full && touch full/letter
	fails 1 "*full holds \"letter\"*choose an empty or a new folder" -r full init --key-file key2
	[ "$(ls -A full)" = letter ]
	fails 1 "*missing (not mounted?)*nowhere/repo*" -r nowhere/repo init --key-file key2
	[ ! -e key2 ]
}

@test "config is lost: said as that, and init makes no second repository there" {
	make_repo
	mv repo/config config
	fails 10 "nightjar: repo: backups are here, but the file config is missing*put it back*" manifests
	fails 1 "nightjar: repo: backups are here, but the file config is missing*" init --key-file key2
	mv config repo/config
	restores latest
}

@test "a newer format of config, index, manifest or pack: 1 and 'made by a newer nightjar'" {
	make_repo
	cp -a repo sound
	put_byte repo/config 4 2
	for c in manifests check "backup src" "restore latest --target t"; do
		# shellcheck disable=SC2086
		fails 1 "*repo/config: config made by a newer nightjar*" $c
	done
	rm -rf repo && cp -a sound repo
	moved=$(newer "$(object index)")
	for c in check "backup src" "restore latest --target t"; do
		# shellcheck disable=SC2086
		fails 1 "*$moved: index segment made by a newer nightjar*" $c
	done
	rm -rf repo && cp -a sound repo
	moved=$(newer "repo/snapshots/$SECOND")
	export NIGHTJAR_STATE_DIR=$WORK/elsewhere # where nobody has seen what it was before
	fails 1 "*${moved#repo/}: manifest made by a newer nightjar*" manifests
	rm -rf repo/index repo/data && cp -a sound/data repo/
	moved=$(newer "$BIG")
	run --separate-stderr nightjar restore "$FIRST" --target t
	assert_status 1
	says "*$moved: pack made by a newer nightjar*"
}

@test "a restore of which not even the root folder is there says so, and writes nothing" {
	make_repo
	rm -rf repo/index/* repo/data/*
	fails 1 "nightjar: /: a part of it (chunk *) is missing from the repository; 'nightjar check' names the damage" restore latest --target t
	[ -z "$(find t -type f)" ]
}

@test "a full disk: init, backup, restore, db copy say what is full; the next run works" {
	make_repo
	# No file may grow at all, not even the one that bats keeps stderr in: hence the pipe.
	# shellcheck disable=SC2016
	run bash -c 'ulimit -f 0; "$0" -r new init --key-file k2 2>&1 | cat; exit "${PIPESTATUS[0]}"' "$NIGHTJAR"
	assert_status 1
	assert_output "nightjar: k2: *File too large*"
	[ ! -e k2 ]
	head -c 2000000 /dev/urandom >src/more.bin
	run --separate-stderr bash -c 'ulimit -f 500; "$0" backup src' "$NIGHTJAR"
	assert_status 1
	assert_error "nightjar: *repo/data/*"
	[ "$(nightjar manifests --json | jq length)" = 2 ]
	[ "$(find repo -name '.tmp*' | wc -l)" -eq 0 ]
	run nightjar check
	assert_status 0
	run nightjar backup src
	assert_status 0
	run --separate-stderr bash -c 'ulimit -f 100; "$0" restore latest --target back' "$NIGHTJAR"
	assert_status 1
	assert_error "nightjar: back: no room left*"
	run nightjar restore latest --target back
	assert_status 0
	cmp src/more.bin "back$WORK/src/more.bin"
}

@test "a full disk that is really full" {
	make_repo
	need_root
	mkdir mnt && mount -t tmpfs -o size=1m tmpfs mnt 2>/dev/null || skip "cannot mount here"
	head -c 2000000 /dev/urandom >src/more.bin
	cp -a repo mnt/repo
	run --separate-stderr nightjar -r mnt/repo backup src
	umount_later="$(find mnt -name '.tmp*' | wc -l) $(nightjar -r mnt/repo manifests --json | jq length) $(nightjar -r mnt/repo check >/dev/null && echo sound)"
	umount mnt
	assert_status 1
	assert_error "nightjar: *mnt/repo/*No space left on device*"
	[ "$umount_later" = "0 2 sound" ]
}

@test "a source that is not there: 1, nothing is stored, even beside one that is" {
	make_repo
	fails 1 "nightjar: nope: there is no such file or folder; nothing was stored" backup nope
	fails 1 "nightjar: nope: *nothing was stored" backup src nope
	[ "$(nightjar manifests --json | jq length)" = 2 ]
}

@test "a clock that was wrong: 'latest' goes by what backups claim, and says when that is not what was made last" {
	make_repo
	mkdir app && echo 1 >app/f
	nightjar -q backup app
	echo 2 >app/f
	nightjar -q backup --time '2099-01-01 00:00:00' app
	run --separate-stderr nightjar dump "latest:$WORK/app/f"
	[ "$output" = 2 ] && [ -z "$stderr" ]
	echo 3 >app/f
	nightjar -q backup app
	run --separate-stderr nightjar dump "latest:$WORK/app/f"
	assert_status 0
	[ "$output" = 2 ]
	says "nightjar: warning: latest is ????????, dated 2099-01-01 00:00:00, but ???????? was made after it: a clock was wrong; *"
	nightjar forget "$(nightjar manifests --json | jq -r '.[-1].short_id')"
	run --separate-stderr nightjar dump "latest:$WORK/app/f"
	[ "$output" = 3 ] && [ -z "$stderr" ]
}

@test "what an ordinary user may not read: 3, each named, the rest is kept" {
	need_root
	chmod 755 "$WORK"
	mkdir -m 755 s && mkdir -m 700 s/private && echo a >s/ok.txt && echo b >s/secret.txt && echo c >s/private/c
	sqlite3 s/locked.db "CREATE TABLE t(a)"
	sqlite3 s/wal.db "PRAGMA journal_mode=WAL; CREATE TABLE t(a)" >/dev/null
	chmod 644 s/ok.txt s/wal.db && chmod 600 s/secret.txt s/locked.db
	as_nobody -q -r nobody/r init --key-file nobody/k
	run --separate-stderr as_nobody -q -r nobody/r --key-file nobody/k backup s
	assert_status 3
	says "nightjar: $WORK/s/secret.txt: Permission denied"
	says "nightjar: $WORK/s/private: Permission denied"
	says "nightjar: $WORK/s/locked.db: *Permission denied"
	says "nightjar: $WORK/s/wal.db: *WAL mode*no -shm*uid 65534 may not write to its directory $WORK/s*"
	[ "$(wc -l <<<"$stderr")" -eq 4 ]
	run as_nobody -r nobody/r --key-file nobody/k dump "latest:$WORK/s/ok.txt"
	assert_status 0
	[ "$output" = a ]
	run --separate-stderr as_nobody -r nobody/r --key-file nobody/k restore latest --target nobody/back
	assert_status 0
	says "nightjar: warning: not all is in this backup: 4 could not be read when it was made; *"
	[ ! -e s/wal.db-shm ]
}

@test "files that only look like databases are files" {
	make_repo
	mkdir odd && head -c 50000 /dev/urandom >odd/photo.db && : >odd/zero.db && printf x >odd/one.db
	run --separate-stderr nightjar backup odd
	assert_status 0
	[ -z "$stderr" ]
	assert_output "*databases: 0*"
	run nightjar restore latest --target back
	diff -r odd "back$WORK/odd"
}

@test "a database that is none any more: emptied or another file 21, gone a warning, each once" {
	make_repo
	mkdir app
	for name in a b c d; do sqlite3 app/$name.db "CREATE TABLE t(x); INSERT INTO t VALUES (1)"; done
	nightjar -q backup app
	: >app/a.db
	{ printf '\377\330\377\340' && head -c 9000 /dev/urandom; } >app/b.db
	rm app/c.db
	run --separate-stderr nightjar backup app
	assert_status 21
	says "nightjar: $WORK/app/a.db: was a database in the last backup and is none now: *"
	says "nightjar: $WORK/app/b.db: was a database in the last backup and is none now: *"
	says "nightjar: warning: $WORK/app/c.db: was a database in the last backup and is not there any more"
	[[ $stderr != *d.db* ]]
	nightjar restore latest --target back
	cmp app/b.db "back$WORK/app/b.db"
	run --separate-stderr nightjar -q backup app
	assert_status 0
	[ -z "$stderr" ]
}

@test "one that is none any more, and excluded: nothing is said" {
	make_repo
	mkdir app && sqlite3 app/a.db "CREATE TABLE t(x)" && printf x >app/f
	nightjar -q backup app
	: >app/a.db
	run --separate-stderr nightjar -q backup --exclude a.db app
	assert_status 0
	[ -z "$stderr" ]
}

@test "a corrupt database: kept as it is, marked, exit 21, said with -q, too" {
	make_repo
	mkdir odd && sqlite3 odd/bad.db "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE INDEX i ON t(b);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000)
		INSERT INTO t(b) SELECT hex(randomblob(50)) FROM n"
	head -c 4096 /dev/zero | tr '\0' '\377' | dd of=odd/bad.db bs=4096 seek=20 conv=notrunc status=none
	printf 'SQLite format 3\0' >odd/head.db
	run --separate-stderr nightjar -q backup odd
	assert_status 21
	says "nightjar: $WORK/odd/bad.db: FAILED its integrity check and was kept as it is: *"
	says "nightjar: $WORK/odd/head.db: FAILED its integrity check*"
	[ "$(nightjar manifests --json | jq -r '.[-1].databases[].verdict' | sort -u)" = failed ]
	run --separate-stderr nightjar restore latest --target back --verify
	assert_status 0
	says "nightjar: warning: $WORK/odd/bad.db: was broken already when it was backed up*'nightjar manifests'*"
	says "nightjar: warning: $WORK/odd/head.db: was broken already*"
	run --separate-stderr nightjar restore latest --target back --verify
	says "nightjar: warning: $WORK/odd/bad.db: was broken already*"
	# SQLite's page copy counts itself as a change of the header; every other byte is the source's.
	cmp <(tail -c +101 odd/bad.db) <(tail -c +101 "back$WORK/odd/bad.db")
	cmp odd/head.db "back$WORK/odd/head.db"
	run nightjar check --read-data
	assert_status 0
}

@test "a collation, function or module of the application: kept, unchecked, 0 with a warning, every night" {
	need_python
	make_repo
	mkdir odd && python3 - <<-'EOF'
		import sqlite3
		def make(name, *steps):
		    c = sqlite3.connect('odd/' + name)
		    c.create_collation('appcoll', lambda a, b: (a > b) - (a < b))
		    c.create_function('appfn', 1, lambda x: x * 2, deterministic=True)
		    for s in steps: c.execute(s)
		    c.commit()
		fill = "INSERT INTO t(a) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<50) SELECT i FROM n"
		make('coll.db', 'CREATE TABLE t(a TEXT COLLATE appcoll)', 'CREATE INDEX i ON t(a)', fill)
		make('func.db', 'CREATE TABLE t(a)', 'CREATE INDEX i ON t(appfn(a))', fill)
		make('gen.db', 'CREATE TABLE t(a INT, g AS (appfn(a)) STORED)', fill)
		make('mod.db', 'CREATE TABLE t(a)', fill, 'PRAGMA writable_schema=ON',
		     "INSERT INTO sqlite_schema VALUES('table','v','v',0,'CREATE VIRTUAL TABLE v USING appmod(x)')")
	EOF
	for night in 1 2; do
		run --separate-stderr nightjar backup odd
		assert_status 0
		for db in coll func gen mod; do
			says "nightjar: warning: $WORK/odd/$db.db: was kept, but could not be checked here: *app*"
		done
		[ "$(nightjar manifests --json | jq -r '.[-1].databases[].verdict' | sort -u)" = unchecked ]
	done
	run nightjar restore latest --target back --verify
	assert_status 0
	[ "$(sqlite3 "back$WORK/odd/coll.db" 'SELECT count(*) FROM t')" = 50 ]
}

@test "a hot journal is rolled back in the backup and left alone in the source" {
	need_python
	make_repo
	mkdir odd && python3 - <<-'EOF'
		import sqlite3, os
		if os.fork() == 0:
		    c = sqlite3.connect('odd/hot.db', isolation_level=None)
		    c.execute('PRAGMA cache_size=1')
		    c.execute('CREATE TABLE t(a, b)')
		    c.execute('BEGIN')
		    c.executemany('INSERT INTO t VALUES(?, ?)', [(i, 'x' * 500) for i in range(200)])
		    c.execute('COMMIT')
		    c.execute('BEGIN')
		    c.execute("UPDATE t SET b = 'y' || b")
		    os._exit(0)
		os.wait()
	EOF
	[ -s odd/hot.db-journal ]
	before=$(sha256sum odd/*)
	run nightjar backup odd
	assert_status 0
	[ "$(sha256sum odd/*)" = "$before" ]
	nightjar -q restore latest --target back
	[ "$(sqlite3 "back$WORK/odd/hot.db" "SELECT count(*), sum(b LIKE 'y%') FROM t")" = "200|0" ]
}

@test "exit codes: what failed wins over what was not readable, and all are said" {
	make_repo
	mkdir odd && printf 'SQLite format 3\0' >odd/head.db && sqlite3 odd/long.db "CREATE TABLE t(a)"
	need_root
	chmod 755 "$WORK" odd && chmod 644 odd/head.db && chmod 600 odd/long.db
	as_nobody -q -r nobody/r init --key-file nobody/k
	run --separate-stderr as_nobody -q -r nobody/r --key-file nobody/k backup odd
	assert_status 21
	says "*long.db: *Permission denied"
	says "*head.db: FAILED*"
}

@test "SIGINT during a backup: 130, one line, earlier backups as they were" {
	make_repo
	env --default-signal=INT true 2>/dev/null || skip "this env cannot reset signals"
	head -c 150000000 /dev/zero | openssl enc -aes-128-ctr -k x -nosalt -pbkdf2 >src/huge 2>/dev/null ||
		head -c 150000000 /dev/urandom >src/huge
	env --default-signal=INT "$NIGHTJAR" backup src >said 2>errors &
	pid=$!
	sleep 0.4
	kill -INT $pid
	status=0 && wait $pid || status=$?
	[ "$status" -eq 130 ]
	[ "$(wc -l <errors)" -eq 1 ]
	grep -q "interrupted" errors
	run nightjar check
	assert_status 0
	restores "$SECOND" "$BATS_FILE_TMPDIR/base/src"
	[ "$(nightjar manifests --json | jq length)" = 2 ]
}

@test "a stdout that is full or closed loses the result: 1 and one line" {
	make_repo
	[ -e /dev/full ] || skip "no /dev/full here"
	for c in manifests "ls latest" "dump latest:$SRC/photo.jpg" check; do
		# shellcheck disable=SC2016,SC2086
		run --separate-stderr bash -c '"$0" "$@" >/dev/full' "$NIGHTJAR" $c
		assert_status 1
		assert_error "*standard output: No space left on device"
		# shellcheck disable=SC2016,SC2086
		run --separate-stderr bash -c '"$0" "$@" >&-' "$NIGHTJAR" $c
		assert_status 1
		assert_error "*standard output*"
	done
	# shellcheck disable=SC2016
	run --separate-stderr bash -c '"$0" "$@" | true' "$NIGHTJAR" dump "latest:$SRC/photo.jpg"
	[ -z "$stderr" ]
}

@test "names with terminal escapes never reach the terminal raw" {
	make_repo
	mkdir $'odd\e[31m' && touch $'odd\e[31m/bell\a' $'odd\e[31m/line\nbreak' $'odd\e[31m/\x9bcsi'
	ln -s $'\e[2J' $'odd\e[31m/link'
	{
		nightjar -v backup $'odd\e[31m' --host $'host\e[31m'
		nightjar manifests
		nightjar ls latest
		nightjar ls -l latest
		nightjar restore latest --target $'back\e[31m'
		nightjar dump $'latest:/\e[31m'
		nightjar -r $'nope\e[31m' check
		nightjar $'\e[31m'
	} >shown 2>&1 || true
	[ -s shown ]
	! LC_ALL=C grep -qP '[\x00-\x09\x0b-\x1f\x7f\x9b]' shown
	grep -qF 'line\nbreak' shown
	run nightjar ls --json latest
	! LC_ALL=C grep -qP '[\x00-\x09\x0b-\x1f\x7f\x9b]' <<<"$output"
}

@test "a manifest or path that is not there: one line, and 'latest' of an empty repository" {
	make_repo
	fails 1 "*no backup whose id begins with 00000000*" restore 00000000 --target t
	fails 2 "*'zz' names no backup*" ls zz
	fails 1 "*/nope: no such path in this backup" dump latest:/nope
	fails 1 "*/nope: no such path in this backup" restore latest:/nope --target t
	fails 2 "*restore*--target DIR*" restore latest
	nightjar -q -r new init --key-file key2
	fails 1 "*no backup in this repository yet" -r new --key-file key2 ls latest
}

@test "no line names an object twice" {
	local dir how object command
	make_repo
	head -c 100000 /dev/urandom >src/more
	nightjar -q backup src
	rm src/more && nightjar -q backup src
	nightjar -q forget --keep-last 1
	nightjar -q prune >/dev/null
	nightjar -q -r other --key-file key2 init
	cp -a repo whole
	for dir in keys snapshots index data locks; do
		for how in flip cut_short; do
			rm -rf repo && cp -a whole repo
			object=$(object $dir)
			$how "$object" 60
			# prune and the repairs last: they change what they find
			for command in "restore latest --target back" "diff $FIRST $SECOND" "backup src" check stats \
				"-r other --key-file key2 copy --from-repo repo --from-key-file key" prune "repair index" "repair manifests"; do
				# shellcheck disable=SC2086
				nightjar $command >/dev/null 2>>said || true
			done
		done
	done
	grep -q 'warning: index/[0-9a-f]*: damaged' said && grep -q 'locks/[0-9a-f]*: damaged' said && grep -q 'cut short' said
	run grep -E '([a-z]+/[0-9a-f/]{64,}).*\1' said
	[ -z "$output" ] || { echo "$output" && return 1; }
}
