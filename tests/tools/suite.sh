#!/usr/bin/env bash
# suite.sh TEST...: runs tests that speak TAP (cmocka binaries, bats files, gates.sh with its
# arguments) and counts them. A line a test file as it ends; the output of a failing one in full. The last line
# is "tests: N passed, N failed, N skipped", which .ci/run adds up. Nonzero when anything failed.
set -u

export CMOCKA_MESSAGE_OUTPUT=TAP
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1:exitcode=99}"
# 99, because a leak's usual 23 and a bug's usual 1 are exit codes that a test may be waiting for.
export ASAN_OPTIONS="${ASAN_OPTIONS:-exitcode=99:detect_stack_use_after_return=1}"
export LSAN_OPTIONS="${LSAN_OPTIONS:-exitcode=99}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-exitcode=99:print_stacktrace=1}"

# Two at a time where there are two processors: many a test waits for a clock or a server. More would
# make those that watch a running program wait for their turn.
jobs=${SUITE_JOBS:-$(($(nproc) > 1 ? 2 : 1))}
work=$(mktemp -d "${TMPDIR:-/tmp}/nightjar-suite.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
: >"$work/counts"

run_one() { # NUMBER, the name of a test file, its command
	local log=$work/$1.log name=$2 status ok bad skip planned began=$SECONDS
	shift 2
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
	{
		flock 9
		echo "$ok $bad $skip" >>"$work/counts"
		report "$name" "$ok" "$bad" "$skip" $((SECONDS - began)) "$log"
	} 9>"$work/lock"
	rm -f "$log"
}

report() { # NAME OK BAD SKIP SECONDS LOG
	printf '%-6s %s: %d passed' "$([ "$3" -eq 0 ] && echo ok || echo FAILED)" "$1" "$2"
	[ "$3" -eq 0 ] || printf ', %d failed' "$3"
	[ "$4" -eq 0 ] || printf ', %d skipped' "$4"
	printf ' (%d s)\n' "$5"
	if [ "$3" -ne 0 ] || [ -n "${V:-}" ]; then
		sed 's/^/    /' "$6"
	elif [ "$4" -ne 0 ]; then
		grep -iE '^(not )?ok .*# *skip' "$6" | sed 's/^/    /'
	fi
	# What the matrices counted.
	[ -z "${NIGHTJAR_LONG:-}" ] || [ "$3" -ne 0 ] || grep '^# ' "$6" | tail -n 20 | cut -c 1-200 | sed 's/^/    /'
}

number=0 running=0
start() { # as run_one, without the number
	number=$((number + 1))
	if [ "$running" -ge "$jobs" ]; then
		wait -n
		running=$((running - 1))
	fi
	run_one "$number" "$@" &
	running=$((running + 1))
}

while [ $# -gt 0 ]; do
	case $1 in
	*gates.sh)
		start "$1" "$@"
		break
		;;
	*.bats) start "$1" bats -F tap "$1" ;;
	*/replay/*) start "$1" "$1" "fuzz/corpus/${1##*/}" fuzz/found/"${1##*/}"-* ;;
	*) start "$1" "$1" ;;
	esac
	shift
done
wait
read -r passed failed skipped < <(awk '{ok += $1; bad += $2; skip += $3} END {print ok + 0, bad + 0, skip + 0}' "$work/counts" /dev/null)
echo "tests: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$(wc -l <"$work/counts")" -eq "$number" ]
