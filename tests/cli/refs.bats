# --refs: every file that a database names must be in the backup, and check looks again.
bats_require_minimum_version 1.5.0
load helpers
load repo

setup() {
	common_setup
	nightjar -q -r repo init --key-file key
	export NIGHTJAR_REPOSITORY=$WORK/repo NIGHTJAR_KEY_FILE=$WORK/key
	mkdir -p src/att
	printf one >src/att/1
	printf three >"src/att/two words: x"
	sqlite3 src/app.db "CREATE TABLE f(p, s, h); INSERT INTO f VALUES
		('att/1', 3, '$(printf one | sha256sum | cut -c1-64)'), ('att/two words: x', 5, NULL), (NULL, 1, 1), ('', 1, 1)"
}

sql() {
	sqlite3 src/app.db "$1"
}

@test "all there: 0, the query is recorded, and check runs it again" {
	run --separate-stderr nightjar backup --refs 'app.db: SELECT p, s, h FROM f' src
	assert_status 0
	[[ $output == *"references of app.db: 2 files named, 0 missing, 0 orphans"* ]]
	run --separate-stderr nightjar check --read-data
	assert_status 0
	[[ $output == *"references: 2 files named, 0 missing"* ]]
}

@test "missing, of another size, of another SHA-256: 22 with the list, the manifest is made, check says 22" {
	sql "INSERT INTO f VALUES('att/gone', NULL, NULL); UPDATE f SET s = 6 WHERE p LIKE 'att/two%'"
	sql "UPDATE f SET h = '$(printf %064d 0)' WHERE p = 'att/1'"
	run --separate-stderr nightjar backup --json --refs 'src/app.db: SELECT p, s, h FROM f' src
	assert_status 22
	says "*att/gone*"
	says "*two words: x*"
	says "*its SHA-256 differs*att/1*"
	[ "$(jq -r 'select(.message_type == "summary") | .references[0].missing, .references_missing, (.manifest_id | length)' <<<"$output" | xargs)" = "3 3 64" ]
	run --separate-stderr nightjar check
	assert_status 22
	says "*manifest *att/gone: is not in this backup"
	says "*two words: x: its size differs: 6 bytes in the database, 5 in this backup"
	run --separate-stderr nightjar check --read-data --json
	assert_status 22
	says "*SHA-256 differs*"
	[ "$(jq -r .references_missing <<<"$output")" = 3 ]
}

@test "check looks at the newest backup of a group, or at those that are named" {
	sql "INSERT INTO f VALUES('att/late', NULL, NULL)"
	run nightjar backup --refs 'app.db: SELECT p FROM f' src
	assert_status 22
	touch src/att/late
	run nightjar backup --refs 'app.db: SELECT p FROM f' src
	assert_status 0
	run nightjar check
	assert_status 0
	run nightjar check "$(nightjar manifests --json | jq -r '.[0].id')"
	assert_status 22
}

@test "a database unchanged since the last backup is asked all the same" {
	touch -d '2 hours ago' src/app.db src/att/*
	nightjar -q backup src
	nightjar -q backup --refs 'app.db: SELECT p FROM f' src
	rm src/att/1
	run --separate-stderr nightjar backup --refs 'app.db: SELECT p FROM f' src
	assert_status 22
	says "*att/1: is not in this backup"
}

@test "orphans are counted" {
	touch src/att/{x,y} src/beside
	run --separate-stderr nightjar backup --refs 'app.db: SELECT p FROM f' src
	assert_status 0
	[[ $output == *"2 files named, 0 missing, 2 orphans"* ]]
}

@test "which database: none, two of one name, more of the path, a symlink" {
	mkdir src/b && cp src/app.db src/b/app.db && ln -s app.db src/link.db
	fails 2 "*'app.db' means both */src/app.db and */src/b/app.db*" backup --refs 'app.db: SELECT 1' src
	fails 2 "*'nope.db'*" backup --refs 'nope.db: SELECT 1' src
	fails 2 "*'pp.db'*" backup --refs 'pp.db: SELECT 1' src
	fails 2 "*'link.db'*" backup --refs 'link.db: SELECT 1' src
	fails 2 "*--refs: a query is written*" backup --refs 'app.db' src
	fails 2 "*--refs: a query is written*" backup --refs 'app.db: DELETE FROM f' src
	[ "$(nightjar manifests --json)" = "[]" ]
	run nightjar backup --refs "$PWD/src/app.db: SELECT p FROM f" --refs 'b/app.db: SELECT NULL' src
	assert_status 0
	ln -s src/app.db operand.db
	run nightjar backup --refs 'operand.db: SELECT p FROM f' operand.db src/att
	assert_status 22 # counted from where the link is
	run nightjar backup --refs "operand.db: SELECT 'src/' || p FROM f WHERE p <> ''" operand.db src/att
	assert_status 0
}

@test "a folder that is a symlink is followed to what is in the backup" {
	mv src/att elsewhere && ln -s "$PWD/elsewhere" src/att
	run nightjar backup --refs 'app.db: SELECT p FROM f' src
	assert_status 22
	run nightjar backup --refs 'app.db: SELECT p FROM f' src elsewhere
	assert_status 0
	run nightjar check latest
	assert_status 0
}

@test "a database in UTF-16, and a name that is no UTF-8, as a blob" {
	rm src/app.db
	sqlite3 src/app.db "PRAGMA encoding='UTF-16be'; CREATE TABLE f(p); INSERT INTO f VALUES('att/s' || char(228) || 'ge'), (x'6174742fff')"
	touch src/att/säge "src/att/$(printf '\xff')"
	run nightjar backup --refs 'app.db: SELECT p FROM f' src
	assert_status 0
	rm "src/att/$(printf '\xff')"
	run nightjar backup --refs 'app.db: SELECT p FROM f' src
	assert_status 22
}

@test "hostile and wrong queries: 22, told, nothing written, the backup is made" {
	local sum query
	sum=$(sha256sum src/app.db)
	for query in "SELECT 1; DELETE FROM f" "SELECT load_extension('x')" "SELECT q FROM f" "SELECT 1,2,3,4" \
		"WITH x AS (SELECT 1) DELETE FROM f" "SELECT * FROM pragma_database_list" \
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c"; do
		run --separate-stderr nightjar backup --refs "app.db: $query" src
		assert_status 22
		says "nightjar: --refs app.db: *"
	done
	[ "$(sha256sum src/app.db)" = "$sum" ]
	[ "$(nightjar manifests --json | jq length)" = 7 ]
}

@test "10,000 references, half of them missing: a bounded list" {
	mkdir src/many && (cd src/many && seq 5000 | xargs touch)
	sql "DELETE FROM f; WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x < 10000) INSERT INTO f SELECT 'many/' || x, 0, NULL FROM c"
	run --separate-stderr nightjar backup --refs 'app.db: SELECT p, s FROM f' src
	assert_status 22
	[ "$(grep -c 'is not in this backup' <<<"$stderr")" -eq 100 ]
	says "*and 4900 more"
	[[ $output == *"10000 files named, 5000 missing"* ]]
}

@test "in a dry run, too" {
	run nightjar backup --dry-run --refs 'app.db: SELECT p FROM f' src
	assert_status 0
	run nightjar backup --dry-run --refs "app.db: SELECT 'none'" src
	assert_status 22
}

@test "a damaged pack keeps a query from running: that is damage, 20, and no missing reference" {
	sql "CREATE TABLE b(x); INSERT INTO b SELECT randomblob(1000000) FROM f"
	nightjar -q backup --refs 'app.db: SELECT p FROM f' src
	pack=$(object data)
	flip "$pack" 1500000
	run --separate-stderr nightjar check --json
	assert_status 20
	[ "$(jq -r 'select(.message_type == "summary") | .references_missing, .references_failed, .noted' <<<"$output" | xargs)" = "0 1 1" ]
	says "*${pack#repo/}*"
	says "*manifest *src/app.db*"
	[[ $stderr != *'"references"'* ]]
	run --separate-stderr nightjar check --read-data
	assert_status 20
	[[ $stderr != *"references"* ]]
}

@test "damage and missing references: both are told, and 20 wins" {
	sql "CREATE TABLE b(x); INSERT INTO b SELECT randomblob(1000000) FROM f"
	sqlite3 src/other.db "CREATE TABLE g(p); INSERT INTO g VALUES('att/gone')"
	run nightjar backup --refs 'app.db: SELECT p FROM f' --refs 'other.db: SELECT p FROM g' src
	assert_status 22
	flip "$(object data)" 1500000
	run --separate-stderr nightjar check
	assert_status 20
	says "*manifest *src/app.db: *data/*"
	says "*manifest *src/att/gone: is not in this backup"
}

@test "an image that is no database keeps the query from running: check ends with 20" {
	sql "CREATE TABLE b(x); INSERT INTO b SELECT zeroblob(1000) FROM f"
	printf 'garbage' | dd of=src/app.db bs=1 seek=100 conv=notrunc status=none
	run nightjar backup --refs 'app.db: SELECT p FROM f' src
	assert_status 21
	run --separate-stderr nightjar check
	assert_status 20
	says "*manifest *src/app.db: *malformed*"
	[[ $stderr != *"references"* ]]
}
