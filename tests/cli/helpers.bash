# What every bats file here loads: a temporary folder for each test, an environment in which nothing of the
# developer's own is seen, and the program as $NIGHTJAR.
#
# A test calls `run nightjar …` and then `assert_status N`, `assert_output PATTERN`. stdout and stderr
# apart: `run --separate-stderr`.

bats_require_minimum_version 1.5.0

setup() {
	common_setup
}

teardown() {
	common_teardown
}

common_setup() {
	NIGHTJAR=${NIGHTJAR:-$BATS_TEST_DIRNAME/../../build/nightjar}
	WORK=$(mktemp -d "${TMPDIR:-/tmp}/nightjar-cli.XXXXXX")
	export HOME=$WORK/home NIGHTJAR_CACHE_DIR=$WORK/cache NIGHTJAR_STATE_DIR=$WORK/state
	unset NIGHTJAR_REPOSITORY NIGHTJAR_PASSWORD_FILE NIGHTJAR_PASSWORD_COMMAND NIGHTJAR_KEY_FILE
	unset NIGHTJAR_CONFIG XDG_CACHE_HOME XDG_STATE_HOME
	mkdir "$HOME"
	cd "$WORK" || return 1
}

common_teardown() {
	cd / && rm -rf "$WORK"
}

nightjar() {
	"$NIGHTJAR" "$@"
}

# assert_status N
assert_status() {
	[ "$status" -eq "$1" ] || {
		printf 'exit status %s, not %s; output:\n%s\n%s\n' "$status" "$1" "$output" "${stderr:-}"
		return 1
	}
}

# assert_output PATTERN: the output matches this glob as a whole.
assert_output() {
	# shellcheck disable=SC2053
	[[ $output == $1 ]] || {
		printf 'output:\n%s\ndoes not match:\n%s\n' "$output" "$1"
		return 1
	}
}

# assert_error PATTERN: stderr is exactly one line "nightjar: …" that matches this glob.
assert_error() {
	# shellcheck disable=SC2053
	[[ $stderr == "nightjar: "* && $stderr != *$'\n'* && $stderr == $1 ]] || {
		printf 'stderr:\n%s\ndoes not match as one line:\n%s\n' "$stderr" "$1"
		return 1
	}
}

# put_byte FILE OFFSET BYTE
put_byte() {
	chmod u+w "$1"
	# shellcheck disable=SC2059
	printf "\\x$(printf %02x "$3")" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# flip FILE OFFSET: changes a bit of that byte
flip() {
	put_byte "$1" "$2" $(($(od -An -tu1 -j "$2" -N 1 "$1") ^ 4))
}
