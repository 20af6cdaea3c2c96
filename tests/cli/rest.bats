# rest: over a server that does as rest-server does, and over rclone: what an operator does in a year, what an append-only
# server refuses, passwords, certificates, races.
load helpers
load repo

setup() {
	common_setup
	unset NIGHTJAR_CACERT NIGHTJAR_REST_USERNAME NIGHTJAR_REST_PASSWORD http_proxy https_proxy all_proxy
	export NIGHTJAR_KEY_FILE=key
	run nightjar -r rest:http://127.0.0.1:1/ -o retry-seconds=1 manifests
	[[ $output != *libcurl* ]] || skip "built without libcurl"
}

teardown() {
	local file
	for file in *.pid; do
		[ ! -e "$file" ] || kill "$(cat "$file")" 2>/dev/null || true
	done
	common_teardown
}


# server NAME OPTION…: a rest-server over the folder srv; its port in PORT, its requests in NAME.log
server() {
	local name=$1
	shift
	mkdir -p srv
	python3 "$BATS_TEST_DIRNAME/../tools/restserver.py" --log "$name.log" "$@" srv >"$name.port" 2>"$name.err" 3>&- &
	echo $! >"$name.pid"
	wait_for test -s "$name.port"
	PORT=$(cat "$name.port")
}

stop() {
	kill "$(cat "$1.pid")"
	wait "$(cat "$1.pid")" 2>/dev/null || true
	rm "$1.pid"
}

# rclone_server NAME OPTION…: the same by rclone
rclone_server() {
	local name=$1
	shift
	command -v rclone >/dev/null || skip "there is no rclone"
	mkdir -p srv
	rclone serve restic --config /dev/null --addr 127.0.0.1:0 "$@" srv >"$name.log" 2>&1 3>&- &
	echo $! >"$name.pid"
	wait_for grep -q 'http://127.0.0.1:' "$name.log"
	PORT=$(sed -n 's|.*http://127.0.0.1:\([0-9]*\)/.*|\1|p' "$name.log")
}

wait_for() {
	for _ in $(seq 200); do
		! "$@" 2>/dev/null || return 0
		sleep 0.05
	done
	return 1
}

at() { # LOCATION: the repository from here on
	export NIGHTJAR_REPOSITORY=$1
}

sources() {
	mkdir -p src
	seq 1 60000 >src/numbers
	sqlite3 src/app.db "CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t(b) VALUES('one'),('two')"
}

# two_nights: init and two backups of src, the second with one file more
two_nights() {
	sources
	nightjar -q init >/dev/null
	nightjar -q backup src >/dev/null
	head -c 300000 /dev/urandom >src/photo
	nightjar -q backup src >/dev/null
}

# restores_all: each manifest restores, verified; the latest is src
restores_all() {
	local id
	for id in $(nightjar manifests --json | jq -r '.[].id'); do
		rm -rf back
		nightjar -q restore "$id" --target back --verify
	done
	diff -r --exclude=app.db src "back$WORK/src"
	[ "$(sqlite3 "back$WORK/src/app.db" 'SELECT group_concat(b) FROM t')" = one,two ]
}

@test "a year in short: init, backups, check, restore, forget, and prune by the server's clock" {
	server now
	at "rest:http://127.0.0.1:$PORT/team/app/"
	two_nights
	[ -f srv/team/app/config ]
	run nightjar check --read-data
	assert_status 0
	assert_output "*no damage found*"
	restores_all
	run nightjar init --key-file other
	assert_status 1
	[ ! -e other ]

	rm src/photo
	nightjar -q backup src >/dev/null
	nightjar -q forget --keep-last 1 >/dev/null
	run nightjar prune --max-unused 0
	assert_status 0
	assert_output "*of these condemned*in 72 hours*"
	held=$(find srv -path '*/data/*' -type f | wc -l)
	stop now
	server later --skew $((73 * 3600))
	at "rest:http://127.0.0.1:$PORT/team/app"
	run nightjar prune --max-unused 0
	assert_status 0
	assert_output "*deleted, as condemned earlier*"
	[ "$(find srv -path '*/data/*' -type f | wc -l)" -lt "$held" ]
	[ "$(du -sb srv | cut -f1)" -lt 400000 ]
	[ "$(nightjar manifests --json | jq length)" -eq 1 ]
	run nightjar check --read-data
	assert_status 0
	restores_all
}

# append_only: what a server that removes nothing lets one do
append_only() {
	two_nights
	before=$(find srv -type f | sort)
	run nightjar check --read-data
	assert_status 0
	for words in "forget --keep-last 1" "forget --keep-last 1 --prune"; do
		# shellcheck disable=SC2086
		run --separate-stderr nightjar $words
		assert_status 1
		assert_error "*/snapshots/* cannot be removed: the server is append-only*"
	done
	comm -23 <(echo "$before") <(find srv -type f | sort) >gone
	[ ! -s gone ]
	run nightjar prune
	assert_status 0
	[ "$(nightjar manifests --json | jq length)" -eq 2 ]
	nightjar -q backup src >/dev/null
	run nightjar check --read-data
	assert_status 0
	restores_all
}

@test "append-only: backup and check work, forget says what it may not do, nothing is lost" {
	server ao --append-only
	at "rest:http://127.0.0.1:$PORT/"
	append_only
	run nightjar init --key-file other
	assert_status 1
}

@test "append-only: a prune of what is condemned is refused in one line, and nothing is lost" {
	server free
	at "rest:http://127.0.0.1:$PORT/"
	two_nights
	rm src/photo
	nightjar -q backup src >/dev/null
	nightjar -q forget --keep-last 1 >/dev/null
	stop free
	server ao --append-only
	at "rest:http://127.0.0.1:$PORT/"
	run --separate-stderr nightjar prune --no-writers --max-unused 0
	assert_status 1
	assert_error "*/* cannot be removed: the server is append-only*"
	run nightjar check --read-data
	assert_status 0
	restores_all
}

@test "rclone --append-only is such a server, too" {
	rclone_server ao --append-only
	at "rest:http://127.0.0.1:$PORT/app"
	append_only
}

@test "rclone: init, backups, forget and prune" {
	rclone_server plain
	at "rest:http://127.0.0.1:$PORT/app"
	two_nights
	nightjar -q forget --keep-last 1 --prune >/dev/null
	run nightjar prune --no-writers --max-unused 0
	assert_status 0
	run nightjar check --read-data
	assert_status 0
	restores_all
}

@test "users: from the location or the environment, each refusal in one line, and no password anywhere" {
	server users --user me:hu@sh --user you:other --private
	at "rest:http://me:hu%40sh@127.0.0.1:$PORT/me/app"
	run nightjar init
	assert_status 0
	assert_output "*at rest:http://me:\*\*\*@127.0.0.1:$PORT/me/app*"
	for place in "me:wrong@" "you:other@" "you@"; do
		at "rest:http://${place}127.0.0.1:$PORT/me/app"
		fails 1 "*/me/app/config: the server refuses this user and password" manifests
		[[ $stderr != *wrong* && $stderr != *other* ]]
	done
	at "rest:http://127.0.0.1:$PORT/me/app"
	fails 1 "*/config: the server wants a user and a password" manifests
	NIGHTJAR_REST_USERNAME=me NIGHTJAR_REST_PASSWORD=hu@sh run nightjar manifests
	assert_status 0
	NIGHTJAR_REST_USERNAME=me NIGHTJAR_REST_PASSWORD=no fails 1 "*refuses this user and password" backup .
	# The location beats the environment.
	at "rest:http://you:other@127.0.0.1:$PORT/me/app"
	NIGHTJAR_REST_USERNAME=me NIGHTJAR_REST_PASSWORD=hu@sh fails 1 "*refuses this*" manifests
	at "rest:http://me:hu@sh@127.0.0.1:1/x"
	fails 1 "*127.0.0.1:1/x/config: *onnect*" -o retry-seconds=1 manifests
	[[ $stderr != *hu@sh* ]]
	at "rest:http://me:hu#sh@127.0.0.1:1/x"
	fails 2 "*a location of rest: is written rest:https://*" manifests
	[[ $stderr != *hu#sh* ]]
}

# certificate NAME: NAME.pem and NAME.key, self-made, for that host or address
certificate() {
	local kind=DNS
	[[ $1 != 127.* ]] || kind=IP
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
		-addext "subjectAltName=$kind:$1" -keyout "$1.key" -out "$1.pem" 2>/dev/null
}

@test "https: only with a certificate that is trusted and means this host" {
	command -v openssl >/dev/null || skip "there is no openssl"
	certificate 127.0.0.1
	certificate elsewhere.example
	server tls --tls 127.0.0.1.pem 127.0.0.1.key
	at "rest:https://127.0.0.1:$PORT/app"
	sources
	fails 1 "*/app/config: the server's certificate is not trusted (*): --cacert FILE*" init
	[ ! -e key ]
	fails 1 "*not trusted*" --cacert elsewhere.example.pem init
	fails 1 "*nowhere.pem: no certificates can be read from it" --cacert nowhere.pem init
	nightjar -q --cacert 127.0.0.1.pem init >/dev/null
	export NIGHTJAR_CACERT=127.0.0.1.pem
	nightjar -q backup src >/dev/null
	restores_all
	fails 1 "*not trusted*" manifests --cacert elsewhere.example.pem
	at "rest:http://127.0.0.1:$PORT/app"
	run --separate-stderr nightjar -o retry-seconds=1 manifests
	assert_status 1
	stop tls
	server tls --tls elsewhere.example.pem elsewhere.example.key
	at "rest:https://127.0.0.1:$PORT/app"
	fails 1 "*not trusted*" manifests --cacert elsewhere.example.pem
}

# race: eight inits at once; exactly one wins, and its key opens the repository
race() {
	local i winner=
	unset NIGHTJAR_KEY_FILE
	for i in 1 2 3 4 5 6 7 8; do
		{
			code=0
			nightjar -q init --key-file "key$i" >/dev/null 2>"err$i" || code=$?
			echo $code >"code$i"
		} 3>&- &
	done
	for i in 1 2 3 4 5 6 7 8; do
		wait_for test -s "code$i"
		if [ "$(cat "code$i")" = 0 ]; then
			[ -z "$winner" ]
			winner=$i
		else
			[ "$(cat "code$i")" = 1 ]
			[ "$(wc -l <"err$i")" -eq 1 ]
			[ ! -e "key$i" ]
		fi
	done
	run nightjar --key-file "key$winner" manifests
	assert_status 0
}

@test "eight inits at once: one wins" {
	server race
	at "rest:http://127.0.0.1:$PORT/"
	race
}

@test "eight inits at once over rclone, which replaces: one wins" {
	rclone_server race
	at "rest:http://127.0.0.1:$PORT/app"
	race
}

@test "a night, and its status: the password stays in the configuration" {
	server users --user me:hush
	sources
	chmod 600 key 2>/dev/null || true
	at "rest:http://me:hush@127.0.0.1:$PORT/app/"
	nightjar -q init >/dev/null
	unset NIGHTJAR_REPOSITORY NIGHTJAR_KEY_FILE
	printf '[repository]\nlocation = rest:http://me:hush@127.0.0.1:%s/app/\nkey-file = %s\n[source]\npath = %s\n' \
		"$PORT" "$WORK/key" "$WORK/src" >night.ini
	chmod 600 night.ini
	export NIGHTJAR_CONFIG=night.ini
	run nightjar nightly
	assert_status 0
	assert_output "*(rest:http://127.0.0.1:$PORT/app)*"
	[[ $output != *hush* ]]
	run nightjar status
	assert_status 0
	[[ $output != *hush* ]]
	run nightjar --json status
	[[ $output == *"\"rest:http://127.0.0.1:$PORT/app\""* ]]
	! grep -r hush state cache
}

@test "a server of version 1 is refused, and said" {
	server old --v1
	at "rest:http://127.0.0.1:$PORT/"
	sources
	nightjar -q init >/dev/null
	for words in manifests "backup src" check; do
		# shellcheck disable=SC2086
		run --separate-stderr nightjar $words
		assert_status 1
		assert_error "*/: the server speaks version 1 of restic's REST protocol only*"
	done
}
