#!/usr/bin/env bash
# cov.sh BUILD: lines reached, a source file a line, worst first, and the sum, from a --coverage build.
set -u
find "$1/core" "$1/repo" "$1/cli" -name '*.gcno' 2>/dev/null | sort | while read -r notes; do
	source=${notes#"$1"/}
	source=${source%.gcno}.c
	gcov -n -o "${notes%/*}" "$notes" 2>/dev/null | awk -v want="$source" '
		/^File / {found = index($0, want)}
		/^Lines executed:/ && found {
			split($0, part, /[:% ]+/)
			print part[3], part[5], want
			exit
		}'
done | sort -n | awk '
	{printf "%6.2f %%  %5d lines  %s\n", $1, $2, $3; hit += $1 * $2 / 100; all += $2}
	END {if (all) printf "%6.2f %%  %5d lines  in all\n", 100 * hit / all, all}'
