# The program over S3: a server that checks signatures (tests/tools/s3server.py), and what is said when it refuses.

load helpers
load repo

setup() {
	common_setup
	unset "${!AWS_@}"
	export AWS_ACCESS_KEY_ID=AKTEST AWS_SECRET_ACCESS_KEY=SKTEST NIGHTJAR_KEY_FILE=$WORK/key
	mkdir -p src/sub
	head -c 300000 /dev/urandom >src/photo.jpg
	echo small >src/sub/a.txt
	sqlite3 src/app.db "CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t(b) VALUES('one'),('two')"
	SRC=$WORK/src
}

teardown() {
	[ -z "${SERVER:-}" ] || kill "$SERVER" || true
	common_teardown
}

# server OPTION…: its bucket is nightjar, unless an option says otherwise
server() {
	python3 "$BATS_TEST_DIRNAME/../tools/s3server.py" buckets=nightjar page=3 log="$WORK/log" "$@" >port 2>server.err 3>&- &
	SERVER=$!
	for _ in $(seq 100); do
		[ ! -s port ] || break
		sleep 0.1
	done
	HOST=127.0.0.1:$(cat port)
	export NIGHTJAR_REPOSITORY="s3:http://$HOST/nightjar/my apps/a+b"
}

two_nights() {
	nightjar -q init
	nightjar -q backup src
	head -c 200000 /dev/urandom >src/two.bin
	nightjar -q backup src
}

@test "s3: init, two backups, check, restore, forget with prune" {
	server
	two_nights
	run --separate-stderr nightjar check --read-data
	assert_status 0
	restores latest
	run nightjar manifests --json
	[ "$(jq length <<<"$output")" -eq 2 ]
	run --separate-stderr nightjar forget --keep-last 1 --prune
	assert_status 0
	run nightjar manifests --json
	[ "$(jq length <<<"$output")" -eq 1 ]
	run --separate-stderr nightjar check --read-data
	assert_status 0
	restores latest
	grep -q '^DELETE /nightjar/my%20apps/a%2Bb/snapshots/' log
}

@test "s3: init again is refused, and other prefixes are other repositories" {
	server
	nightjar -q init
	rm key
	fails 1 "*there is a repository already*" init
	NIGHTJAR_REPOSITORY=s3:http://$HOST/nightjar/other nightjar -q init
}

@test "s3: a bucket that is missing is told, and made by init" {
	server
	NIGHTJAR_REPOSITORY=s3:http://$HOST/another/x
	touch key
	fails 10 '*the bucket "another" does not exist; *init* would make it' manifests
	rm key
	nightjar -q init
	nightjar -q backup src
	restores latest
}

@test "s3: a wrong secret, an unknown key and a missing token are told apart, without the secret" {
	server token=TOKEN
	touch key
	AWS_SECRET_ACCESS_KEY=hush fails 1 "*SignatureDoesNotMatch*AWS_SECRET_ACCESS_KEY does not belong to the key*" manifests
	[[ $stderr != *hush* ]]
	AWS_ACCESS_KEY_ID=OTHER fails 1 "*InvalidAccessKeyId*AWS_ACCESS_KEY_ID is not known there*" manifests
	fails 1 "*InvalidToken*" manifests
	rm key
	AWS_SESSION_TOKEN=TOKEN nightjar -q init
}

@test "s3: no credentials, half of them, and profiles" {
	server
	unset AWS_SECRET_ACCESS_KEY
	fails 2 "*AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not*" init
	unset AWS_ACCESS_KEY_ID
	fails 2 "*no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY*" init
	[ ! -e key ]
	mkdir "$HOME/.aws"
	printf '[default]\naws_access_key_id = OTHER\naws_secret_access_key = hush\n\n[night]\n# ours\naws_access_key_id=AKTEST\naws_secret_access_key = SKTEST \r\n' \
		>"$HOME/.aws/credentials"
	fails 1 "*InvalidAccessKeyId*" init
	AWS_PROFILE=morning fails 2 '*AWS_PROFILE says "morning", which is neither in *' init
	AWS_PROFILE=night nightjar -q init
	# A role and the like: said, rather than tried without.
	printf '[profile role]\nrole_arn = arn:aws:iam::1:role/x\ns3 =\n  aws_access_key_id = AKTEST\n  aws_secret_access_key = SKTEST\n' >"$HOME/.aws/config"
	AWS_PROFILE=role fails 2 '*the AWS profile "role" has no aws_access_key_id*' manifests
	# The region is the config's, in a section of its own form.
	printf '[profile night]\nregion = no/region\n' >"$HOME/.aws/config"
	AWS_PROFILE=night fails 2 '*the S3 region "no/region" is no region*' manifests
	mv "$HOME/.aws/credentials" elsewhere
	AWS_SHARED_CREDENTIALS_FILE=elsewhere AWS_CONFIG_FILE=none AWS_PROFILE=night nightjar manifests
}

@test "s3: a long session token of a profile goes along" {
	local token
	token=$(head -c 3000 /dev/zero | tr '\0' t)
	server token="$token"
	unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
	mkdir "$HOME/.aws"
	printf '[default]\naws_access_key_id = AKTEST\naws_secret_access_key = SKTEST\naws_session_token = %s\n' "$token" >"$HOME/.aws/credentials"
	nightjar -q init
	# Keys of the environment are whole: a token of the file's key is none of theirs.
	AWS_ACCESS_KEY_ID=AKTEST AWS_SECRET_ACCESS_KEY=SKTEST fails 1 "*InvalidToken*" manifests
}

@test "s3: a key that may not delete backs up and checks; forget says what it may not do" {
	server readonly=AKLESS:less
	two_nights
	export AWS_ACCESS_KEY_ID=AKLESS AWS_SECRET_ACCESS_KEY=less
	nightjar -q backup src
	run --separate-stderr nightjar check --read-data
	assert_status 0
	run --separate-stderr nightjar forget --keep-last 1 --prune
	assert_status 1
	says "*/snapshots/*AccessDenied*"
	restores latest
	run nightjar manifests --json
	[ "$(jq length <<<"$output")" -eq 3 ]
}

@test "s3: locations that cannot be meant are refused in one line" {
	touch key
	fails 2 "*holds no user and no password*" -r s3:https://me:hush@h/bucket manifests
	[[ $stderr != *hush* ]]
	fails 2 "*names no bucket*" -r s3:https://host manifests
	fails 2 "*no host name*" -r s3:///bucket manifests
	fails 2 "*3 to 63 letters*" -r s3:host/b manifests
	fails 2 "*empty, \".\" or \"..\"*" -r s3:host/bucket/a/../b manifests
	fails 2 "*'?'*" -r s3:host/bucket/a?b manifests
}
