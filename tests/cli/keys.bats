# Keys: passwords from files, commands and the terminal, key files, and the key commands.
load helpers
load repo

setup() {
	common_setup
}

secret_file() { # FILE TEXT
	(umask 077 && printf '%s\n' "$2" >"$1")
}

# A repository with a password; Argon2id takes its time, so it is made once.
password_repo() {
	local base=$BATS_FILE_TMPDIR/pw
	if [ ! -e "$base" ]; then
		mkdir "$base"
		secret_file "$base/pw" "correct horse"
		nightjar -q -r "$base/repo" init --password-file "$base/pw"
	fi
	cp -a "$base/." .
	secret_file pw2 "battery staple"
	export NIGHTJAR_REPOSITORY=repo
}

@test "a wrong password is 12 in one line, for every command" {
	password_repo
	for c in manifests "backup pw" "ls latest" "dump latest:/x" "restore latest --target t" check "key list" \
		"key add --new-password-file pw" "key remove 00000000" "key passwd --new-password-file pw"; do
		# shellcheck disable=SC2086
		fails 12 "*repo: wrong password*" $c --password-file pw2
	done
	[ ! -e t ]
}

@test "a slot with a flipped bit is a wrong password; one of a newer format says so" {
	password_repo
	for slot in repo/keys/*; do
		[ "$(od -An -tu1 -j 5 -N 1 "$slot")" -eq 2 ] && break
	done
	cp -a repo sound
	flip "$slot" 60
	fails 12 "*wrong password, or the key slot*damaged*" manifests --password-file pw
	rm -rf repo && cp -a sound repo
	moved=$(newer "$slot")
	fails 1 "*$moved: key slot made by a newer nightjar*" manifests --password-file pw
}

@test "add, list, remove, passwd" {
	password_repo
	run nightjar key list --password-file pw --json
	assert_status 0
	first=$(jq -r '.[0].id' <<<"$output")
	fails 2 "*only password*add another*" key remove "$first" --password-file pw
	run nightjar key add --password-file pw --new-password-file pw2
	assert_status 0
	run nightjar key list --password-file pw2
	assert_status 0
	[ "${#lines[@]}" -eq 2 ]
	run nightjar key remove "${first:0:8}" --password-file pw2
	assert_status 0
	fails 12 "*wrong password*" manifests --password-file pw
	secret_file pw3 "third"
	run nightjar key passwd --password-file pw2 --new-password-file pw3
	assert_status 0
	fails 12 "*wrong password*" manifests --password-file pw2
	run nightjar key list --password-file pw3
	assert_status 0
	[ "${#lines[@]}" -eq 1 ]
	fails 1 "*no key whose id begins with 00000000*" key remove 00000000 --password-file pw3
	fails 2 "*'zz'*at least 4 digits*" key remove zz --password-file pw3
}

@test "passwd: a password that was added twice opens nothing any more" {
	password_repo
	run nightjar key add --password-file pw --new-password-file pw
	assert_status 0
	run nightjar key passwd --password-file pw --new-password-file pw2
	assert_status 0
	fails 12 "*wrong password*" manifests --password-file pw
	run nightjar key list --password-file pw2
	assert_status 0
	[ "${#lines[@]}" -eq 1 ]
}

@test "password file: missing, empty, only a newline, a folder, open to everybody" {
	password_repo
	fails 1 "*password file nope: No such file*" manifests --password-file nope
	: >empty && chmod 600 empty
	fails 12 "*password file empty: the password is empty" manifests --password-file empty
	echo >newline && chmod 600 newline
	fails 12 "*password file newline: the password is empty" manifests --password-file newline
	mkdir folder
	fails 1 "*password file folder: *directory" manifests --password-file folder
	cp pw new
	for mode in 644 640 604 620; do
		chmod $mode pw
		fails 2 "nightjar: password file pw: is open to others: 'chmod 600 pw'" manifests --password-file pw
	done
	chmod 600 pw
	chmod 644 new
	fails 2 "*password file new: is open to others*" key add --password-file pw --new-password-file new
	run nightjar manifests --password-file /dev/stdin < <(cat pw)
	assert_status 0
}

@test "a secret that the system mounted is taken with its mode, and a warning" {
	need_root
	unshare -m true 2>/dev/null || skip "needs unshare"
	password_repo
	mkdir ro && cp pw ro/pw && chmod 444 ro/pw
	fails 2 "*ro/pw: is open to others*" manifests --password-file ro/pw
	# shellcheck disable=SC2016
	run --separate-stderr unshare -m sh -c 'mount --bind ro ro && mount -o remount,bind,ro ro && exec "$@"' - \
		"$NIGHTJAR" manifests --password-file ro/pw
	assert_status 0
	assert_error "nightjar: warning: password file ro/pw is open to others; it is taken*"
	# shellcheck disable=SC2016
	run --separate-stderr unshare -m sh -c 'mount -t tmpfs none /run && mkdir /run/secrets && cp -p ro/pw /run/secrets/ && exec "$@"' - \
		"$NIGHTJAR" manifests --password-file /run/secrets/pw
	assert_status 0
	assert_error "nightjar: warning: password file /run/secrets/pw is open to others; it is taken*"
}

@test "password command: its first line; what it says when it fails; its words are not repeated" {
	password_repo
	run nightjar manifests --password-command 'cat pw; echo more'
	assert_status 0
	fails 1 "*password command: exit status 3" manifests --password-command 'true s3cret; exit 3'
	[[ $stderr != *s3cret* ]]
	fails 12 "*password command: the password is empty" manifests --password-command true
	NIGHTJAR_PASSWORD_COMMAND='cat pw' run nightjar manifests
	assert_status 0
}

@test "terminal: asked with echo off; without a terminal the options that would do are named" {
	password_repo
	command -v script setsid >/dev/null || skip "needs script and setsid"
	run --separate-stderr setsid -w "$NIGHTJAR" manifests
	assert_status 12
	assert_error "*no terminal*--password-file*--password-command*--key-file*"
	{
		sleep 1
		echo "correct horse"
		sleep 3
	} | script -qec "$NIGHTJAR manifests" typescript >shown
	grep -q "0 manifests" shown
	grep -q "password: " shown
	! grep -q "correct horse" shown
}

@test "no secret in argv, the environment of others, or any message" {
	password_repo
	mkfifo gate
	secret_file pw "correct horse"
	nightjar -v manifests --password-command 'cat gate; cat pw' >log 2>&1 &
	pid=$!
	sleep 0.5
	tr '\0' ' ' <"/proc/$pid/cmdline" >argv
	ps -eo args >>argv
	! grep -q "correct horse" argv
	printf '' >gate
	wait $pid
	! grep -q "correct horse" log
	secret_file wrong "tr0ub4dor"
	run nightjar -v -v manifests --password-file wrong
	assert_status 12
	[[ $output != *tr0ub4dor* ]]
	! grep -rq "correct horse" repo cache state home 2>/dev/null
}

@test "init --key-file makes the file with mode 0600, refuses an existing one, and keeps no slot" {
	run nightjar -r a init --key-file key
	assert_status 0
	[ "$(stat -c %a key)" = 600 ]
	cp key key.was
	fails 1 "*key: exists already; it was not touched (*cut off, move it away*)" -r b init --key-file key
	cmp key key.was
	[ ! -e b ]
	run nightjar -r a --key-file key key list
	assert_status 0
	[ -z "$output" ]
}

@test "a key file that is missing, empty, garbage, cut, a folder, or of another repository: 12 and its name" {
	nightjar -q -r repo init --key-file key
	nightjar -q -r other init --key-file other.key
	export NIGHTJAR_REPOSITORY=repo
	fails 12 "*key file nope: cannot be opened: No such file*" manifests --key-file nope
	(umask 077 && : >empty && head -c 1000 /dev/urandom >garbage && head -c 100 key >cut && head -c 100000 /dev/zero >long)
	mkdir folder
	fails 12 "*key file empty: not a nightjar key file" manifests --key-file empty
	fails 12 "*key file garbage: not a nightjar key file" manifests --key-file garbage
	fails 12 "*key file cut: damaged key file" manifests --key-file cut
	fails 12 "*key file long: too long*" manifests --key-file long
	fails 12 "*key file folder: cannot be read: Is a directory" manifests --key-file folder
	fails 12 "*key file other.key: *another repository" manifests --key-file other.key
	run nightjar manifests --key-file key
	assert_status 0
}

@test "a key file open to others is refused" {
	nightjar -q -r repo init --key-file key
	[ "$(stat -c %a key)" = 600 ]
	for mode in 644 640 604; do
		chmod $mode key
		fails 2 "nightjar: key file key: is open to others: 'chmod 600 key'" -r repo --key-file key manifests
	done
	chmod 400 key
	run nightjar -r repo --key-file key manifests
	assert_status 0
}

@test "key add gives a key file repository a password; key passwd wants a password" {
	nightjar -q -r repo init --key-file key
	secret_file pw "correct horse"
	export NIGHTJAR_REPOSITORY=repo
	fails 2 "*key passwd*key add*" key passwd --key-file key --new-password-file pw
	run nightjar key add --key-file key --new-password-file pw
	assert_status 0
	run nightjar manifests --password-file pw
	assert_status 0
}
