#!/usr/bin/env bash
# make.sh: makes everything here anew, from the program at $NIGHTJAR and the tool golden below $TOOLS (make; make
# build/release/tests/bench/golden). When: see README.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$here/../..
NIGHTJAR=$(realpath "${NIGHTJAR:-$top/build/nightjar}")
TOOL=$(realpath "${TOOLS:-$top/build/release/tests/bench}")/golden
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export HOME=$work NIGHTJAR_CACHE_DIR=$work/cache NIGHTJAR_STATE_DIR=$work/state
export NIGHTJAR_REPOSITORY=repo NIGHTJAR_KEY_FILE=full.key LC_ALL=C
mkdir cache hostile src src/sub

nj() {
	"$NIGHTJAR" -q "$@"
}

id_of() { # HOST: its newest
	"$NIGHTJAR" manifests --json | jq -r --arg host "$1" '[.[] | select(.hostname == $host)][-1].id'
}

sql() {
	sqlite3 src/app.db "$1"
}

objects() { # TYPE KIND FOLDER: paths, as their headers say
	local f
	find "repo/$3" -type f | sort | while read -r f; do
		[ "$(od -An -tu1 -j 5 -N 2 "$f" | xargs)" != "$1 $2" ] || echo "$f"
	done
}

# --- the repository ---

sql "PRAGMA page_size = 1024; CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w BLOB); CREATE INDEX i ON t (v);
	CREATE TABLE wr (a TEXT, b INT, PRIMARY KEY (a, b)) WITHOUT ROWID;
	WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
	INSERT INTO t (v, w) SELECT 'value ' || i, CASE i WHEN 7 THEN randomblob(3000) END FROM n;
	INSERT INTO wr VALUES ('x', 1), ('y', 2)"
head -c 300 /dev/urandom >src/one
head -c 300 /dev/urandom >src/two
: >src/empty
printf 'text of a file\n' >src/sub/text
ln src/sub/text src/sub/hard
ln -s ../one src/sub/link
ln -s nowhere src/dangling
printf 'odd\n' >"src/odd "$'\n\xff'" name"
mkfifo src/fifo
truncate -s 20000 src/holes && printf x | dd of=src/holes bs=1 seek=9000 conv=notrunc status=none
chmod 640 src/one
nj init --key-file full.key
nj backup --host alpha src
for night in 1 2; do
	sql "UPDATE t SET v = v || '.$night' WHERE id % 20 = $night; INSERT INTO t (v) VALUES ('night $night')"
	nj backup --host alpha --tag "night$night" src
done
nj tag --add kept "$(id_of alpha)"
nj backup --host beta src/sub
nj forget --keep-last 2 --host alpha
nj drill "$(id_of alpha)"
"$TOOL" fill repo full.key "$work/src/sub" "$work/cache" . # gamma, passwords, keys
cp -a repo before
# Delta has a key of its own, which is revoked after its first backup; and one was made with it later, where nobody knew.
nj key export --role write --host delta stolen
nj --key-file stolen backup src/sub
cp -a repo elsewhere
NIGHTJAR_STATE_DIR=$work/elsewhere nj -r elsewhere --key-file stolen backup src/sub
cp "$(comm -13 <(find repo/snapshots -type f | sort) <(find elsewhere/snapshots -type f | sed 's/^elsewhere/repo/' | sort) | sed 's/^repo/elsewhere/')" hostile/late
nj writer revoke "$(nj writer list --json | jq -r '.[] | select(.hostName == "delta") | .id')"
rm -rf elsewhere before
cp -a repo before
# A damaged record of beta's, noted, and put back.
head -c 400 /dev/urandom >src/sub/fresh
nj backup --host beta src/sub
pack=$(comm -13 <(cd before && find data -type f | sort) <(cd repo && find data -type f | sort))
cp "repo/$pack" good
chmod u+w "repo/$pack"
for at in $(seq 700 20 1500); do printf '\x55\xaa' | dd of="repo/$pack" bs=1 seek="$at" conv=notrunc status=none; done
nj check --read-data >/dev/null 2>&1 || true
cp good "repo/$pack"
rm -rf before
nj backup --host beta src/sub # which heals it
# One that is there without its backup, and one that nobody needs: watched, and condemned.
cp -a repo before
head -c 500 /dev/urandom >src/sub/orphan
NIGHTJAR_STATE_DIR=$work/elsewhere nj backup --host beta src/sub # or it would be missed
for f in $(cd repo && find index snapshots -type f); do [ -e "before/$f" ] || rm -f "repo/$f"; done
rm -rf before src/sub/orphan
nj prune --max-unused 0 >/dev/null
# A pack without parity, and a segment by a writer, beside those by G.
head -c 320 /dev/urandom >src/sub/bare
nj backup --host beta --parity off src/sub
head -c 310 /dev/urandom >src/three
head -c 310 /dev/urandom >src/four
nj backup --host alpha src
find repo -type d -empty -name '??' -delete

# --- what restores must give ---

# shellcheck source=tests/golden/apply.sh
. "$here/apply.sh"
"$NIGHTJAR" manifests --json | jq -r '.[].id' | while read -r id; do
	nj restore "$id" --target out --verify >/dev/null
	entries out | sed "s/^/$id\t/"
	rm -rf out
done >restores
# The newest of alpha is what was there, but for the database, whose rows are.
nj restore "$(id_of alpha)" --target out >/dev/null
[ "$(sqlite3 "out$work/src/app.db" .dump)" = "$(sqlite3 src/app.db .dump)" ]
diff -r --no-dereference --exclude=app.db --exclude=fifo src "out$work/src"
rm -rf out

# --- variants ---

"$TOOL" hostile repo full.key hostile
latest=$(id_of alpha)
gamma=$(id_of gamma)
manifest=repo/snapshots/$latest
tagged=$(objects 6 3 snapshots | sed -n 1p)
retire=$(objects 6 2 snapshots | sed -n 1p)
drill=$(objects 6 4 snapshots | sed -n 1p)
damage=$(objects 6 5 snapshots | sed -n 1p)
condemn=$(objects 7 1 locks | sed -n 1p)
slot=$(objects 2 0 keys | sed -n 1p)
rosters=$(objects 3 0 keys | xargs)
u32() { # FILE OFFSET
	od -An -tu4 -j "$2" -N 4 "$1" | xargs
}

bare=$(find repo/data -type f | sort | while read -r f; do [ "$(u32 "$f" 32)" -ne 0 ] || echo "$f"; done)
# A pack with parity and with two records of equal length, of which there is no other copy.
for f in $(find repo/data -type f | sort); do
	[ "$(u32 "$f" 32)" -ne 0 ] || continue
	read -r a b n < <("$TOOL" twins repo full.key "$f") || continue
	mv "$f" away
	missed=0
	nj check >/dev/null 2>&1 || missed=$?
	mv away "$f"
	[ "$missed" -eq 0 ] || { twins=$f && break; }
done
tail=$(($(stat -c %s "$twins") - $(u32 "$twins" 32)))
copied=$((tail + ($(u32 "$twins" 32) - tail) / 2)) # the body once more, between two tables
parent=$("$NIGHTJAR" manifests --json | jq -r '[.[] | select(.hostname == "alpha")][-2].id')
pub=$(od -An -tx1 -v -j 24 -N 32 "repo/snapshots/$gamma" | tr -d ' \n')
naming=$(for r in $rosters; do
	! od -An -tx1 -v "$r" | tr -d ' \n' | grep -q "$pub" || echo "$r"
done | xargs)
segment=$(objects 5 1 index | sed -n 1p)
second=$(objects 5 2 index | sed -n 1p)
for f in "$tagged" "$retire" "$drill" "$damage" "$condemn" "$slot" "$segment" "$second" "$bare" "$twins"; do
	[ -f "$f" ]
done
{
	cat <<-VARIANTS
		sound | : | check --read-data | 0 | | 0
		sound-maintain | : | --key-file maintain.key check | 0 | | 0
		sound-repair | : | check --repair | 0 | no damage found | 0
		config-flip | flip repo/config 40 | check | 20 | repo/config: damaged | 1
		config-newer | bytes repo/config 4 02 | check | 1 | made by a newer nightjar | 1
		config-cut | cut repo/config 100 | check | 20 | repo/config: damaged | 1
		config-missing | drop repo/config | check | 10 | config is missing | 1
		slot-flip | flip $slot 120 | --password-file password check | 12 | wrong password, or the key slot in keys/ is damaged | -
		slot-newer | bytes $slot 4 02; named $slot | --password-file password check | 1 | made by a newer nightjar | -
		rosters-lost | drop $rosters | check | 20 | signed by a host that the roster in keys/ does not name | 1
		writer-unknown | drop $naming | restore $gamma --target out | 1 | signed by a host that the roster in keys/ does not name | 1
		pack-flip | flip $twins $((a + 3)) | restore $latest --target out | 1 | is damaged or was changed | 1
		pack-flip-check | flip $twins $((a + 3)) | check --read-data | 20 | the record is damaged or was changed | 1
		pack-front-flip | flip $twins 100 | check --read-data | 20 | damaged, though every record in it still opens | 1
		pack-cut | cut $twins 2000 | check | 20 | cut short | 1
		pack-cut-maintain | cut $twins 2000 | --key-file maintain.key check | 20 | cut short | 1
		pack-flip-mended | flip $twins $((a + 3)) | check --repair | 0 | mended by its parity: 1 of | 1
		pack-head-mended | bytes $twins 0 0000000000000000 | check --repair | 0 | mended by its parity: 1 of | 1
		pack-cut-mended | cut $twins $((tail + 100)) | check --repair | 0 | mended by its parity | 1
		pack-beyond | flip $twins $((a + 3)); flip $twins $((copied + a + 9)) | check --repair | 20 | beyond what its parity can mend | 1
		pack-without-parity | flip $bare 3000 | check --repair | 20 | it has no parity | 1
		parity-flip | flip $twins $((copied + 50)) | check --read-data | 20 | damaged, though every record in it still opens | 1
		parity-kind | bytes $twins 30 03; named $twins; drop $segment $second | repair index | 20 | the head of a pack has an unknown kind of parity | 1
		pack-missing | drop $twins | check | 20 | : missing | 1
		pack-missing-restore | drop $twins | restore $latest --target out | 1 | the pack is missing | 1
		pack-newer | bytes $twins 4 02; named $twins | check | 1 | made by a newer nightjar | 1
		records-swapped | swap $twins $a $b $n; named $twins | restore $latest --target out | 1 | the pack is missing | 1
		records-swapped-check | swap $twins $a $b $n; named $twins | check --read-data | 20 | the record is damaged or was changed | 1
		index-flip | flip $segment 300 | check | 20 | damaged: its bytes are not those of its name | 1
		index-signature | flip $segment $(($(stat -c %s "$segment") - 2)); named $segment | check | 20 | index with a wrong signature | 1
		index-cut | cut $segment 1000 | check | 20 | damaged: its bytes are not those of its name | 1
		index-newer | bytes $segment 4 02; named $segment | check | 1 | made by a newer nightjar | 1
		index-missing | drop $(echo repo/index/*) | restore $latest --target out | 0 | | 1
		index-as-another | copy $second $segment | check | 20 | damaged: its bytes are not those of its name | 1
		manifest-flip | flip $manifest 900 | restore $latest --target out | 1 | damaged: its bytes are not those of its name | 1
		manifest-flip-check | flip $manifest 900 | check | 20 | damaged: its bytes are not those of its name | 1
		manifest-signature | flip $manifest $(($(stat -c %s "$manifest") - 2)); named $manifest | check | 20 | manifest with a wrong signature | 1
		manifest-cut | cut $manifest 1000 | check | 20 | damaged: its bytes are not those of its name | 1
		manifest-newer | bytes $manifest 4 02; named $manifest | check | 20 | made by a newer nightjar | 1
		manifest-as-tag | bytes $manifest 6 03; named $manifest | check | 20 | tag with a wrong signature | 1
		manifest-vanished | drop repo/snapshots/$parent | check | 24 | has vanished, and no record says that it was removed | 1
		manifest-late | put snapshots golden/hostile/late | check | 0 | not counted: made with a revoked key | 0
		retire-vanished | drop $retire | check | 24 | has vanished, and no record says that it was removed | 1
		tag-flip | flip $tagged 200 | check | 20 | damaged: its bytes are not those of its name | 1
		retire-flip | flip $retire 60 | check | 24 | damaged: its bytes are not those of its name | 1
		drill-flip | flip $drill 200 | check | 20 | damaged: its bytes are not those of its name | 1
		damage-flip | flip $damage 200 | check | 20 | damaged: its bytes are not those of its name | 1
		condemn-flip | flip $condemn 60 | prune | 0 | it bound nobody and was removed | -
		kind-unknown | bytes $drill 6 09; named $drill | check | 20 | made by a newer nightjar | 1
		hostile-manifest | put snapshots golden/hostile/manifest | check | 20 | a manifest's part is cut short or for somebody else | 1
		hostile-segment | put index golden/hostile/segment | check | 20 | an index segment is cut short | 1
		hostile-retire | put snapshots golden/hostile/retire | check | 20 | a retire record of 4294967295 backups | 1
		hostile-condemn | put locks golden/hostile/condemn | check | 20 | a condemn record of 4294967295 packs | -
		hostile-roster | put keys golden/hostile/roster | check | 0 | | 1
	VARIANTS
} >variants

rm -rf "$here/hostile"
cp -r hostile restores variants ./*.key "$here/"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --mode=u+rw -cf "$here/repo.tar" repo
du -sh "$here" | sed 's/^/# /'
