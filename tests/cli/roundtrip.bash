# For bats files that check databases: round_trip backs a file or folder up and finds every database in it
# again, by dump, restore and db copy, with the same rows, settings and verdict.

# Runs a command whose output is part of a failure only.
quietly() {
	"$@" >"$WORK/quiet.log" 2>&1 || {
		local code=$?
		printf '%s: exit status %d\n' "$*" "$code"
		head -50 "$WORK/quiet.log"
		return 1
	}
}

new_repository() {
	export NIGHTJAR_REPOSITORY=$WORK/repo
	rm -rf "$WORK/repo" "$WORK/key"
	quietly nightjar init --key-file "$WORK/key"
	export NIGHTJAR_KEY_FILE=$WORK/key
}

databases_below() { # PATH
	find "$1" -type f -size +0 ! -name '*-wal' ! -name '*-shm' | sort | while read -r file; do
		[ "$(head -c 15 "$file" | tr -d '\0')" != 'SQLite format 3' ] || printf '%s\n' "$file"
	done
}

# Rows and schema, a line each. VACUUM moves virtual tables to the end of the schema, hence sorted.
rows_of() { # DB
	sqlite3 -readonly "$1" .dump | LC_ALL=C sort | sha256sum
}

settings_of() { # DB
	sqlite3 -readonly "$1" 'PRAGMA page_size; PRAGMA encoding; PRAGMA auto_vacuum; PRAGMA user_version;
		PRAGMA application_id; PRAGMA journal_mode; PRAGMA integrity_check'
}

# What stands for the source is a copy, for even a reader makes a -shm.
copy_of() { # DB
	rm -rf "$WORK/source"
	mkdir "$WORK/source"
	cp "$1" "$WORK/source/db"
	[ ! -f "$1-wal" ] || cp "$1-wal" "$WORK/source/db-wal"
}

same_database() { # FOUND WHAT: is it the database in $WORK/source?
	local wanted found
	wanted=$(rows_of "$WORK/source/db") found=$(rows_of "$1")
	[ "$wanted" = "$found" ] || {
		echo "$2: rows differ"
		diff <(sqlite3 -readonly "$WORK/source/db" .dump | sort) <(sqlite3 -readonly "$1" .dump | sort) |
			cut -c1-200 | head -20
		return 1
	}
}

one_database() { # DB RESTORED
	local wanted found
	copy_of "$1"
	same_database "$2" "$1, restored" || return 1
	wanted=$(settings_of "$WORK/source/db") found=$(settings_of "$2")
	[ "$wanted" = "$found" ] || {
		printf '%s: settings\n%s\nbecame\n%s\n' "$1" "$wanted" "$found"
		return 1
	}
	rm -f "$WORK"/dumped*
	nightjar dump "latest:$1" >"$WORK/dumped" || return 1
	same_database "$WORK/dumped" "$1, dumped" || return 1
	# Bytes 18 and 19 say WAL, 24…27 and 92…99 count changes: what setting the journal mode touches.
	[ "$(cmp -l "$WORK/dumped" "$2" | awk '$1 != 19 && $1 != 20 && ($1 < 25 || $1 > 28) && $1 < 93 || $1 > 100' |
		wc -l)" -eq 0 ] || {
		echo "$1: dump and restore give different bytes"
		return 1
	}
	rm -f "$WORK"/copied*
	quietly nightjar db verify "$1" || return 1
	quietly nightjar db copy "$1" "$WORK/copied" || return 1
	same_database "$WORK/copied" "$1, db copy"
}

# A reader of a WAL database leaves an empty -wal where there was none, and a -shm.
contents() { # PATH
	find "$1" -type f ! -name '*-shm' ! \( -name '*-wal' -size 0 \) -print0 | sort -z | xargs -0 sha256sum
}

# round_trip PATH: everything above for each database at or below PATH; leaves their number in $databases.
round_trip() {
	local db before
	databases=0
	before=$(contents "$1")
	quietly nightjar backup "$1" || return 1
	rm -rf "$WORK/out"
	quietly nightjar restore latest --target "$WORK/out" --verify || return 1
	[ -z "$(find "$WORK/out" -name '*-wal' -o -name '*-shm' -o -name '*-journal')" ] || {
		echo "the restored folder holds files that belong to a running application"
		return 1
	}
	while read -r db; do
		one_database "$db" "$WORK/out$db" </dev/null || return 1
		databases=$((databases + 1))
	done < <(databases_below "$1")
	[ "$before" = "$(contents "$1")" ] || {
		echo "the source changed"
		return 1
	}
	quietly nightjar check --read-data
}
