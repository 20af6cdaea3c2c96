#!/usr/bin/env bash
# suite.sh TEST...: runs tests that speak TAP (cmocka binaries, bats files, gates.sh with its
# arguments) and counts them. A line a test file; the output of a failing one in full. The last line
# is "tests: N passed, N failed, N skipped", which .ci/run adds up. Nonzero when anything failed.
set -u

export CMOCKA_MESSAGE_OUTPUT=TAP
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1:exitcode=99}"
# 99, because a leak's usual 23 and a bug's usual 1 are exit codes that a test may be waiting for.
export ASAN_OPTIONS="${ASAN_OPTIONS:-exitcode=99:detect_stack_use_after_return=1}"
export LSAN_OPTIONS="${LSAN_OPTIONS:-exitcode=99}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-exitcode=99:print_stacktrace=1}"

log=$(mktemp "${TMPDIR:-/tmp}/nightjar-suite.XXXXXX") || exit 1
trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0

run_one() { # the command of one test file
	local name=$1 status ok bad skip planned began=$SECONDS
	shift
	timeout --kill-after=10 "${TEST_TIMEOUT_S:-900}" "$@" >"$log" 2>&1 </dev/null
	status=$?
	read -r ok bad skip planned < <(awk '
		# bats says "ok N # skip", cmocka "not ok N # SKIP".
		/^(not )?ok .*# *[Ss][Kk][Ii][Pp]/ {skip++; next}
		/^ok / {ok++}
		/^not ok / {bad++}
		/^1\.\.[0-9]+/ {sub(/^1\.\./, ""); planned += $1}
		END {print ok + 0, bad + 0, skip + 0, planned + 0}' "$log")
	# A file that dies early, loses tests or fails without naming one has failed once more.
	if [ $((ok + bad + skip)) -ne "$planned" ] || [ "$planned" -eq 0 ] ||
		{ [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; }; then
		bad=$((bad + 1))
		echo "# exit status $status, $planned tests planned, $((ok + bad + skip - 1)) seen" >>"$log"
	fi
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
	printf '%-6s %s: %d passed' "$([ "$bad" -eq 0 ] && echo ok || echo FAILED)" "$name" "$ok"
	[ "$bad" -eq 0 ] || printf ', %d failed' "$bad"
	[ "$skip" -eq 0 ] || printf ', %d skipped' "$skip"
	printf ' (%d s)\n' $((SECONDS - began))
	if [ "$bad" -ne 0 ] || [ -n "${V:-}" ]; then
		sed 's/^/    /' "$log"
	elif [ "$skip" -ne 0 ]; then
		grep -iE '^(not )?ok .*# *skip' "$log" | sed 's/^/    /'
	fi
}

while [ $# -gt 0 ]; do
	case $1 in
	*gates.sh)
		run_one "$1" "$@"
		break
		;;
	*.bats) run_one "$1" bats -F tap "$1" ;;
	*/replay/*) run_one "$1" "$1" "fuzz/corpus/${1##*/}" fuzz/found/"${1##*/}"-* ;;
	*) run_one "$1" "$1" ;;
	esac
	shift
done
echo "tests: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
