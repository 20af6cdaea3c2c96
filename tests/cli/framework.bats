# Options, help, messages and exit codes, before any command does real work.
load helpers

usage_error() { # PATTERN ARG…: exit 2, nothing on stdout, one clear line
	local pattern=$1
	shift
	run --separate-stderr nightjar "$@"
	assert_status 2
	[ -z "$output" ]
	assert_error "$pattern"
}

@test "no command: one line that names help" {
	usage_error "*no command given*nightjar help*"
}

@test "an unknown command names itself and help" {
	usage_error "*unknown command 'bakcup'*nightjar help*" bakcup
}

@test "an unknown long option, before and after the command" {
	usage_error "*unknown option --nope" --nope version
	usage_error "*unknown option --nope" --nope=3 version
	usage_error "*unknown option --nope" version --nope
	usage_error "*unknown option --nope" -q version --nope -v
}

@test "an unknown letter" {
	usage_error "*unknown option -x" -x version
	usage_error "*unknown option -x" version -qx
}

@test "an option without its value" {
	usage_error "*--repo needs a REPO" -r
	usage_error "*--repo needs a REPO" --repo
	usage_error "*--key-file needs a FILE" version --key-file
}

@test "an option with an empty value" {
	usage_error "*--repo needs a value*" -r "" version
}

@test "a flag with a value" {
	usage_error "*--json takes no value" --json=yes version
}

@test "an operand too many" {
	usage_error "*'version' does not take 'extra'*" version extra
}

@test "an empty operand" {
	usage_error "*operand is empty*" help ""
}

@test "control bytes of an operand do not reach the terminal" {
	usage_error "*unknown command '*x1b*n*'*" $'\e[31m\n'
}

@test "global options before and after the command" {
	run nightjar --json version
	assert_status 0
	before=$output
	run nightjar version --json
	assert_status 0
	[ "$output" = "$before" ]
	[ "$(jq -r .message_type <<<"$output")" = version ]
}

@test "-- ends options, before and after the command" {
	run nightjar -- version
	assert_status 0
	usage_error "*'version' does not take '--json'*" version -- --json
}

@test "quiet and verbose contradict each other" {
	usage_error "*--quiet or --verbose*" -q version -v
}

@test "two secrets at once are refused, on both sides of the command" {
	usage_error "*not several" --password-file a --key-file b version
	usage_error "*not several" --password-file a version --password-command b
}

@test "two secrets in the environment are refused, unless an option decides" {
	export NIGHTJAR_PASSWORD_FILE=a NIGHTJAR_KEY_FILE=b
	usage_error "*NIGHTJAR_*not several" version
	run nightjar version --password-command true
	assert_status 0
}

@test "an empty variable is not set" {
	NIGHTJAR_PASSWORD_FILE='' NIGHTJAR_KEY_FILE=b run nightjar version
	assert_status 0
}

@test "version: name and number first, libraries after, only the first with -q" {
	run nightjar version
	assert_status 0
	[[ ${lines[0]} =~ ^nightjar\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
	[ "${#lines[@]}" -ge 5 ]
	run nightjar version -q
	[ "${#lines[@]}" -eq 1 ]
	run nightjar --version
	assert_status 0
	assert_output "nightjar *"
}

@test "help lists commands; help of one shows its usage; -h is the same" {
	run nightjar help
	assert_status 0
	assert_output "*version*Options*--password-file*"
	run nightjar -h
	assert_status 0
	run nightjar help version
	assert_status 0
	assert_output "Usage: nightjar version*"
	usage=$output
	run nightjar version -h
	assert_status 0
	[ "$output" = "$usage" ]
	run nightjar version --json --help
	[ "$output" = "$usage" ]
}

@test "help of a group of commands: before it, behind it, by name" {
	for words in 'help key' '-h key' 'key -h' 'key --help'; do
		# shellcheck disable=SC2086
		run nightjar $words
		assert_status 0
		assert_output "Usage: nightjar key COMMAND*key passwd*"
	done
	usage_error "*'key' needs one of: add, *" key
	usage_error "*'key' needs one of: add, *" key -h add
}

@test "help about what is no command" {
	usage_error "*unknown command 'nope'*" help nope
	usage_error "*unknown command 'version nope'*" help version nope
}

@test "usage errors with --json are one exit_error object on stderr" {
	run --separate-stderr nightjar --json nope
	assert_status 2
	[ -z "$output" ]
	[ "$(jq -r '.message_type + " " + (.code | tostring)' <<<"$stderr")" = "exit_error 2" ]
	[[ $(jq -r .message <<<"$stderr") == *nope* ]]
}

@test "a full device behind stdout is an error" {
	[ -e /dev/full ] || skip "no /dev/full here"
	run --separate-stderr bash -c '"$0" version >/dev/full' "$NIGHTJAR"
	assert_status 1
	assert_error "*standard output*"
}

@test "a reader that went away is an error without words" {
	run --separate-stderr bash -c '{ sleep 0.3; "$0" help; echo $? >status; } | true' "$NIGHTJAR"
	[ -z "$stderr" ]
	[ "$(cat status)" -eq 1 ]
}

@test "closed standard descriptors do no harm" {
	run bash -c '"$0" version <&- 2>&-' "$NIGHTJAR"
	assert_status 0
	run bash -c '"$0" nope >&- 2>&-' "$NIGHTJAR"
	assert_status 2
}
