# shellcheck shell=bash
# data.sh: the data that benches run on, and whether it came back. Sourced, with $dir (where data is kept for the next run), $work
# (this run's own), $shared (where gen.c of the shared data is, if anywhere) and $tools.
#
#   BENCH_DB_MB, BENCH_FILES, BENCH_MEAN_BYTES, BENCH_SEED    instead of those of the data set

size_of() { # SET: "seed db_mb files mean_bytes"
	case $1 in
	tiny) echo 4 2 40 20000 ;;
	dbs) echo 1 96 0 1 ;;
	app) echo 3 48 1500 105000 ;;
	medium) echo 1 512 10000 105000 ;;
	small) echo 2 16 150000 4000 ;;
	*)
		echo "bench: no data set '$1'" >&2
		return 1
		;;
	esac
}

generator() { # leaves its path in $gen
	gen=$tools/gen generated_by=tests/bench
	if [ -f "$shared/gen.c" ]; then
		gen=$dir/gen generated_by=$shared
		[ "$gen" -nt "$shared/gen.c" ] ||
			${CC:-cc} -O2 -w -o "$gen" "$shared/gen.c" -lsqlite3 -lcrypto -lm || {
			gen=$tools/gen generated_by=tests/bench
		}
	fi
}

# make_data SET: a fresh copy at $data of what was made once, and $shape, which says what it is.
make_data() {
	local seed db_mb files mean_bytes kept
	read -r seed db_mb files mean_bytes < <(size_of "$1")
	seed=${BENCH_SEED:-$seed} db_mb=${BENCH_DB_MB:-$db_mb}
	files=${BENCH_FILES:-$files} mean_bytes=${BENCH_MEAN_BYTES:-$mean_bytes}
	kept=$dir/data-$(cksum <"$gen" | cut -d' ' -f1)-$seed-$db_mb-$files-$mean_bytes
	if [ ! -d "$kept" ]; then
		echo "making the data of '$1' (kept in ${kept#"$PWD"/})" >&2
		rm -rf "$kept.part"
		"$gen" init "$kept.part" "$seed" "$db_mb" "$files" "$mean_bytes" >/dev/null
		mv "$kept.part" "$kept"
	fi
	data=$work/data
	rm -rf "$data"
	cp -a "$kept" "$data"
	shape="database $db_mb MB, $files files of $mean_bytes bytes in the mean, generator of $generated_by"
}

bytes_of() { du -sb --apparent-size "$1" | cut -f1; }

same_rows() { # DATABASE DATABASE
	[ "$(sqlite3 -readonly "$1" '.sha3sum --schema')" = "$(sqlite3 "$2" '.sha3sum --schema')" ]
}

# same_content FOUND: is what was restored there what is in the data?
same_content() {
	if [ -d "$data/files" ]; then
		diff -rq "$data/files" "$1/files" >&2 || return 1
	fi
	[ ! -f "$data/app.db" ] || same_rows "$data/app.db" "$1/app.db"
}
