# What a large repository costs in requests: one with 200 backups (REQUESTS_BACKUPS=1000: so many) and 10,000 packs,
# behind a server. What is bounded does not depend on how many there are.
load ../cli/helpers

setup_file() {
	common_setup
	export BASE=$WORK NIGHTJAR_KEY_FILE=$WORK/key COUNT=${REQUESTS_BACKUPS:-200} PACKS=10000
	mkdir src
	nightjar -q -r repo init --key-file key
	for ((i = 0; i < COUNT; i++)); do
		echo "$i" >src/a
		nightjar -q -r repo backup src >/dev/null
	done
	python3 - repo/data "$PACKS" <<-'END'
		import hashlib, os, sys
		top, want = sys.argv[1], int(sys.argv[2])
		for _ in range(want - sum(len(files) for _, _, files in os.walk(top))):
		    body = os.urandom(4096)
		    name = hashlib.sha256(body).hexdigest()
		    os.makedirs(f"{top}/{name[:2]}", exist_ok=True)
		    with open(f"{top}/{name[:2]}/{name}", "wb") as file:
		        file.write(body)
	END
	[ "$(find repo/data -type f | wc -l)" -eq "$PACKS" ]
}

teardown_file() {
	rm -rf "$BASE"
}

# Its own cache each: what was kept for one store is no help for the other.
setup() {
	WORK=$BASE
	export HOME=$BASE/home NIGHTJAR_STATE_DIR=$BASE/state-$BATS_TEST_NUMBER NIGHTJAR_CACHE_DIR=$BASE/cache-$BATS_TEST_NUMBER
	unset NIGHTJAR_REPOSITORY NIGHTJAR_CACERT http_proxy https_proxy all_proxy
	cd "$BASE"
}

teardown() {
	[ ! -s server.pid ] || kill "$(cat server.pid)" 2>/dev/null || true
	[ ! -d sshd ] || "$BATS_TEST_DIRNAME/../tools/sshd.sh" stop sshd
	rm -rf server.pid sshd out
}

# requests ARG…: runs it and sets REQUESTS and TOOK_MS
requests() {
	local began=${EPOCHREALTIME/./}
	run --separate-stderr nightjar --verbose "$@"
	TOOK_MS=$(((${EPOCHREALTIME/./} - began) / 1000))
	assert_status 0
	[[ "$output$stderr" =~ network:\ ([0-9,]+)\ request ]]
	REQUESTS=${BASH_REMATCH[1]//,/}
	echo "# $BATS_TEST_DESCRIPTION: $1: $REQUESTS requests, $TOOK_MS ms" >&3
}

# all_of_it MOST FEW: so many for a night, and for a look; a request of sftp: is a round trip, a listing several of them.
all_of_it() {
	local most=$1 few=$2 word
	requests manifests
	((REQUESTS >= COUNT)) # the first time each is read, or nothing was counted
	requests manifests
	((REQUESTS <= few))
	requests backup src
	for word in one two; do
		echo "$word" >src/a
		requests backup src
		((REQUESTS <= most))
	done
	requests backup src
	((REQUESTS <= most))
	requests restore latest --target out
	requests restore latest --target out
	((REQUESTS <= few))
	[ "$(cat "out$BASE/src/a")" = two ]
}

# Each answer after 50 ms.
@test "rest" {
	python3 "$BATS_TEST_DIRNAME/../tools/restserver.py" --delay 0.05 --seconds 900 repo >port 2>server.err 3>&- &
	echo $! >server.pid
	for _ in $(seq 100); do [ -s port ] || sleep 0.1; done
	export NIGHTJAR_REPOSITORY=rest:http://127.0.0.1:$(cat port)/
	run timeout 2 "$NIGHTJAR" -r rest:http://127.0.0.1:1/ manifests # nobody answers there
	[[ $output != *libcurl* ]] || skip "built without libcurl"
	all_of_it 30 10
}

@test "sftp" {
	mkdir sshd
	"$BATS_TEST_DIRNAME/../tools/sshd.sh" start "$BASE/sshd" || skip "there is no sshd"
	export NIGHTJAR_SSH_COMMAND="ssh -F $BASE/sshd/ssh_config" NIGHTJAR_REPOSITORY=sftp:target:$BASE/repo
	all_of_it 40 20
}
