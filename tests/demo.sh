#!/usr/bin/env bash
# The demo: an application that never stops writing to its WAL database, with attachments beside it, is
# backed up on two nights, compared, restored and verified, drilled, and what a policy keeps is shown. Everything
# happens in a temporary folder.
set -euo pipefail

nightjar=${NIGHTJAR:-$PWD/build/nightjar}
work=$(mktemp -d "${TMPDIR:-/tmp}/nightjar-demo.XXXXXX")
app=$work/app
writer=
finish() {
	if [ -n "$writer" ]; then
		kill "$writer" 2>/dev/null || true
		wait "$writer" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap finish EXIT

export NIGHTJAR_REPOSITORY=$work/repo NIGHTJAR_CACHE_DIR=$work/cache NIGHTJAR_STATE_DIR=$work/state
export XDG_CONFIG_HOME=$work/config # nothing of a configuration, and none of its hooks
unset NIGHTJAR_CONFIG NIGHTJAR_PASSWORD_FILE NIGHTJAR_PASSWORD_COMMAND NIGHTJAR_KEY_FILE

step() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
run() {
	printf '$ nightjar %s\n' "$*"
	"$nightjar" "$@"
}
fail() {
	echo "demo: $*" >&2
	exit 1
}
sql() { sqlite3 -cmd '.timeout 10000' "$@"; }
bytes_of() { find "$@" -type f -printf '%s\n' | awk '{sum += $1} END {printf "%d", sum}'; }
human() { numfmt --to=iec-i --suffix=B --format=%.1f "$1"; }

attach() { # FIRST LAST: immutable files, named in the database
	local i
	for i in $(seq "$1" "$2"); do
		head -c $((20000 + i * 1777)) /dev/urandom >"$app/attachments/$i.bin"
		sql "$app/app.db" "INSERT INTO attachments VALUES ($i, '$i.bin')"
	done
}

step "An application: a WAL database with 20,000 notes, and 30 attachments"
mkdir -p "$app/attachments"
sql "$app/app.db" >/dev/null <<'SQL'
PRAGMA journal_mode = WAL;
CREATE TABLE notes (id INTEGER PRIMARY KEY, at TEXT, body TEXT);
CREATE INDEX notes_at ON notes (at);
CREATE TABLE attachments (id INTEGER PRIMARY KEY, file TEXT UNIQUE);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO notes (at, body)
SELECT datetime('2024-01-01', i || ' minutes'), 'note ' || i || ' ' || hex(randomblob(60)) FROM n;
SQL
attach 1 30
ls -l "$app" | sed 1d

# The application goes on through everything below.
(
	while :; do
		sql "$app/app.db" "INSERT INTO notes (at, body) VALUES (datetime('now'), hex(randomblob(100)));
			UPDATE notes SET body = body || '.' WHERE id = abs(random()) % 20000" >/dev/null
		sleep 0.02
	done
) &
writer=$!

step "A repository, with a raw key file"
run init --key-file "$work/key"
export NIGHTJAR_KEY_FILE=$work/key

# night N: a backup, what it stored, and plain copies to compare with.
night() {
	local before=0 after plain
	[ ! -d "$NIGHTJAR_REPOSITORY/data" ] || before=$(bytes_of "$NIGHTJAR_REPOSITORY")
	run backup --host demo --tag "night-$1" --refs "$refs" "$app"
	after=$(bytes_of "$NIGHTJAR_REPOSITORY")
	plain=$(bytes_of "$app")
	report+=$(printf 'night %d: plain copy %10s   repository grew by %10s' "$1" "$(human "$plain")" \
		"$(human $((after - before)))")$'\n'
}
report=
# Every attachment that the database names must be in the backup.
refs="app.db: SELECT 'attachments/' || file FROM attachments"

step "The first night, while the application writes"
kill -0 "$writer" || fail "the application stopped"
night 1
cp -a "$app/attachments" "$work/attachments-1"

step "A day later: more notes, five more attachments"
sleep 1
attach 31 35
before_second=$(sql "$app/app.db" 'SELECT count(*) FROM notes')

step "The second night"
night 2
after_second=$(sql "$app/app.db" 'SELECT count(*) FROM notes')
kill -0 "$writer" || fail "the application stopped"

step "What is there"
run manifests
first=$("$nightjar" manifests --json | jq -r '.[0].short_id')

step "What changed between the nights: files, and rows of the database"
run diff "$first" latest | grep -v '^ *[A-Z].* Blobs:'

step "Restore both nights and verify them"
run restore "$first" --target "$work/restored-1" --verify
run restore latest --target "$work/restored-2" --verify
for night in 1 2; do
	database=$work/restored-$night$app/app.db
	verdict=$(sqlite3 "$database" 'PRAGMA integrity_check')
	[ "$verdict" = ok ] || fail "night $night: integrity_check says $verdict"
	printf 'night %d: integrity_check ok, %s notes, journal_mode %s\n' "$night" \
		"$(sqlite3 "$database" 'SELECT count(*) FROM notes')" \
		"$(sqlite3 "$database" 'PRAGMA journal_mode')"
	missing=$(sqlite3 "$database" 'SELECT file FROM attachments' | while read -r file; do
		[ -f "$work/restored-$night$app/attachments/$file" ] || echo "$file"
	done)
	[ -z "$missing" ] || fail "night $night: attachments missing: $missing"
done
diff -r "$work/attachments-1" "$work/restored-1$app/attachments" || fail "night 1: attachments differ"
diff -r "$app/attachments" "$work/restored-2$app/attachments" || fail "night 2: attachments differ"
notes=$(sqlite3 "$work/restored-2$app/app.db" 'SELECT count(*) FROM notes')
if [ "$notes" -lt "$before_second" ] || [ "$notes" -gt "$after_second" ]; then
	fail "night 2 has $notes notes, not $before_second to $after_second"
fi
echo "attachments: identical, byte for byte"

step "Check every byte of the repository"
run check --read-data

step "A drill: a restore for practice, of which nothing readable reaches a disk"
run drill --assert 'app.db: SELECT count(*) >= 20000 FROM notes'

step "What a policy would keep, and why"
run forget --keep-last 1 --dry-run

step "What it cost"
printf '%s' "$report"
printf 'both nights as plain copies %s, in the repository %s\n' \
	"$(human $(($(bytes_of "$work/restored-1") + $(bytes_of "$work/restored-2"))))" \
	"$(human "$(bytes_of "$NIGHTJAR_REPOSITORY")")"
printf '\nThe demo went well.\n'
