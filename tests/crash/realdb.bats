# Databases that were not made for us: those of Debian packages, kept in build/debs, and one so large that
# it holds the lock-byte page.
load ../cli/helpers
load ../cli/roundtrip

setup() {
	common_setup
	new_repository
}

# unpacked PACKAGE: its files are in $WORK/<package>, or the test is skipped.
unpacked() {
	local debs=$BATS_TEST_DIRNAME/../../build/debs deb
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || skip "apt-get or dpkg-deb is missing"
	mkdir -p "$debs/partial.$1"
	deb=$(find "$debs" -maxdepth 1 -name "$1_*.deb" | head -1)
	if [ -z "$deb" ]; then
		(cd "$debs/partial.$1" && timeout 120 apt-get -qq download "$1") >"$WORK/apt.log" 2>&1 ||
			{ rmdir "$debs/partial.$1"; skip "apt-get cannot download $1"; }
		mv "$debs/partial.$1"/*.deb "$debs/"
		deb=$(find "$debs" -maxdepth 1 -name "$1_*.deb" | head -1)
	fi
	rmdir "$debs/partial.$1"
	dpkg-deb -x "$deb" "$WORK/$1"
}

# round_trip_of PACKAGE AT_LEAST: everything in the package, with so many databases.
round_trip_of() {
	unpacked "$1"
	round_trip "$WORK/$1"
	[ "$databases" -ge "$2" ]
	diff -r --no-dereference "$WORK/$1" "$WORK/out$WORK/$1" >"$WORK/differ" || true
	# Files are equal byte for byte; databases were compared row by row.
	while read -r _ _ file _; do
		[ "$(head -c 15 "$file" | tr -d '\0')" = 'SQLite format 3' ]
	done < <(grep '^Binary files' "$WORK/differ")
	! grep -v '^Binary files' "$WORK/differ"
}

@test "proj-data: WITHOUT ROWID, triggers" {
	round_trip_of proj-data 1
}

@test "qgis-common: R-Tree, triggers" {
	round_trip_of qgis-common 1
}

@test "bibledit-data: pages of 1 KiB" {
	round_trip_of bibledit-data 5
}

@test "hamster-time-tracker: FTS3" {
	round_trip_of hamster-time-tracker 1
}

@test "a database over 1 GiB, with the lock-byte page" {
	[ "$(df -k --output=avail "$WORK" | tail -1)" -gt 8000000 ] || skip "less than 8 GB free in $WORK"
	mkdir "$WORK/app"
	sqlite3 "$WORK/app/large.db" <<-'SQL'
		PRAGMA page_size = 65536;
		PRAGMA synchronous = OFF;
		PRAGMA journal_mode = OFF;
		CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB);
		WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 36)
		INSERT INTO t SELECT i, zeroblob(30 << 20) FROM c;
		INSERT INTO t VALUES (37, 'behind the lock-byte page');
	SQL
	[ "$(stat -c %s "$WORK/app/large.db")" -gt $((1 << 30)) ]
	quietly nightjar backup "$WORK/app"
	quietly nightjar restore latest --target "$WORK/out" --verify
	[ "$(sqlite3 "$WORK/out$WORK/app/large.db" 'PRAGMA integrity_check; SELECT body FROM t WHERE id = 37')" = \
		"ok"$'\n'"behind the lock-byte page" ]
	cmp "$WORK/out$WORK/app/large.db" <(nightjar dump "latest:$WORK/app/large.db")
}
