#!/usr/bin/env bats
# Bad networks and bad servers, as tables: each row spoils requests of one backup over HTTP, which then succeeds or
# ends with one clear line, in bounded memory. After each the repository is whole, and takes the next backup.
# tests/tools/netfault.py says what the words of a rule mean.

load ../cli/helpers
load ../cli/repo

teardown() {
	local pid
	for pid in $PIDS; do
		kill "$pid" 2>/dev/null || true
	done
	common_teardown
}

# started WORD… : the program in the background; waits for the line it prints, its port, and leaves it in $port
started() {
	"$@" >port 2>program.log 3>&- &
	PIDS+=" $!"
	for _ in $(seq 100); do
		[ ! -s port ] || break
		sleep 0.05
	done
	port=$(cat port)
	[ -n "$port" ]
}

# A repository that a real server serves, and the proxy before it: $URL. Rules are in the file rules.
serve_rest() {
	command -v rclone >/dev/null || skip "rclone is not installed"
	make_repo
	cp -a src more
	echo '[]' >rules
	local real
	real=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
	rclone serve restic --addr "127.0.0.1:$real" repo >server.log 2>&1 3>&- &
	PIDS+=" $!"
	for _ in $(seq 100); do
		(: </dev/tcp/127.0.0.1/"$real") 2>/dev/null && break
		sleep 0.05
	done
	started python3 "$BATS_TEST_DIRNAME/../tools/netfault.py" --to "127.0.0.1:$real" --rules rules --log log
	URL=rest:http://127.0.0.1:$port/
	POST=POST
}

serve_s3() {
	make_repo
	cp -a src more
	echo '[]' >rules
	export AWS_ACCESS_KEY_ID=AKTEST AWS_SECRET_ACCESS_KEY=SKTEST
	started python3 "$BATS_TEST_DIRNAME/../tools/s3server.py" buckets=nightjar page=3
	started python3 "$BATS_TEST_DIRNAME/../tools/netfault.py" --to "127.0.0.1:$port" --rules rules --log log
	URL=s3:http://127.0.0.1:$port/nightjar/
	POST=PUT
	rm key
	bounded -q init --key-file key
	bounded -q backup src
	bounded -q backup src
}

# spoil JSON…: the rules; "$P" in them is the method that stores
spoil() {
	local text
	text=$(printf ',%s' "$@")
	echo "[${text:1}]" | sed "s/\$P/$POST/g" >rules.new
	mv rules.new rules
}

# bounded ARG…: nightjar over the network in at most 1.5 GB of address space and 60 s
bounded() {
	(
		ulimit -v 1500000
		exec timeout 60 "$NIGHTJAR" -r "$URL" --no-cache -o retry-seconds=3 -o stall-seconds=1 "$@"
	)
}

# whole N: without faults the repository verifies, and holds N backups
whole() {
	run --separate-stderr bounded check --read-data
	assert_status 0
	[ "$(bounded manifests --json | jq length)" -eq "$1" ]
}

# each_row: reads "name | expected glob or - | rules" and backs up under each; the glob is of the one error line
each_row() {
	local name want rules made=2 rows=0
	while IFS='|' read -r name want rules; do
		name=$(xargs <<<"$name") want=$(sed 's/^ *//; s/ *$//' <<<"$want")
		[ -n "$name" ] || continue
		echo "row: $name"
		head -c 100000 /dev/urandom >more/new.bin
		spoil "$rules"
		: >log
		run --separate-stderr bounded -q backup more
		if [ "$want" = - ]; then
			assert_status 0
			made=$((made + 1))
		else
			assert_status 1
			assert_error "$want"
		fi
		grep -q '(' log || { echo "no request was spoiled"; cat log; return 1; }
		spoil
		whole "$made"
		rows=$((rows + 1))
	done
	echo "# $BATS_TEST_DESCRIPTION: $rows faults" >&3
}

passing='
500 once                 | - | {"match": "$P .*/data/", "do": "status", "status": 500, "times": 1}
503 that asks to wait    | - | {"match": "$P .*/data/", "do": "status", "status": 503, "headers": {"Retry-After": "1"}, "times": 1}
429                      | - | {"match": "GET .*/?index/", "do": "status", "status": 429, "headers": {"Retry-After": "1"}, "times": 1}
500 of a listing         | - | {"match": "GET .*(snapshots/$|prefix=[^&]*snapshots)", "do": "status", "status": 500, "times": 1}
reset while sending      | - | {"match": "$P .*/data/", "do": "reset", "bytes": 1000, "times": 1}
a pack whose answer is lost     | - | {"match": "$P .*/data/", "do": "lost", "times": 1}
a manifest whose answer is lost | - | {"match": "$P .*/snapshots/", "do": "lost", "times": 1}
500 though it was done   | - | {"match": "$P .*/index/", "do": "after", "status": 500, "times": 1}
a stall                  | - | {"match": "$P .*/data/", "do": "stall", "times": 1}
a slow drip              | - | {"match": "GET .*/index/.", "do": "drip", "every_ms": 400, "times": 1}
200, then close          | - | {"match": "GET .*/(index|snapshots)/.", "do": "close", "times": 1}
cut while receiving      | - | {"match": "GET .*/(index|snapshots)/.", "do": "cut", "bytes": 100, "times": 1}
fewer bytes than said    | - | {"match": "GET .*/(index|snapshots)/.", "do": "longer", "bytes": 10, "times": 1}
more bytes than said     | - | {"match": "GET .*/(index|snapshots)/.", "do": "shorter", "bytes": 10, "times": 1}
a wrong bit              | - | {"match": "GET .*/(index|snapshots)/.", "do": "flip", "times": 1}
a wrong bit of a chunk   | - | {"match": "GET .*/data/.", "do": "flip", "times": 1}
a pack that is not kept  | - | {"match": "$P .*/data/", "do": "lie", "times": 1}
a clock an hour ahead    | - | {"match": ".", "do": "date", "seconds": 3600}
a clock an hour behind   | - | {"match": ".", "do": "date", "seconds": -3600}
'

lasting='
500                      | *500* | {"match": "$P .*/data/", "do": "status", "status": 500}
no space                 | *full*  | {"match": "$P .*/data/", "do": "status", "status": 507}
a server that forbids    | *403* | {"match": "$P .*/data/", "do": "status", "status": 403}
nobody may               | * | {"match": ".", "do": "status", "status": 401}
resets                   | *data/* | {"match": "$P .*/data/", "do": "reset", "bytes": 1000}
stalls                   | *data/* | {"match": "$P .*/data/", "do": "stall"}
no HTTP at all           | * | {"match": ".", "do": "garbage"}
headers without end      | * | {"match": ".", "do": "headers"}
a redirect               | *redirect* | {"match": "GET", "do": "status", "status": 302, "headers": {"Location": "http://127.0.0.1:9/"}}
packs that are not kept  | *data/* | {"match": "$P .*/data/", "do": "lie"}
manifests not kept       | *snapshots/* | {"match": "$P .*/snapshots/", "do": "lie"}
'

@test "rest: what passes is tried again, and the backup succeeds" {
	serve_rest
	each_row <<<"$passing"
}

@test "rest: what does not pass ends with one line, and nothing is lost" {
	serve_rest
	each_row <<<"$lasting"
}

@test "s3: what passes is tried again, and the backup succeeds" {
	serve_s3
	each_row <<<"$passing"
}

@test "s3: what does not pass ends with one line, and nothing is lost" {
	serve_s3
	each_row <<<"$lasting"
}

@test "rest: a listing with names that climb out, twice the same, or without end" {
	serve_rest
	each_row <<'TABLE'
names that climb | - | {"match": "GET .*data/$", "do": "insert", "before": "]", "text": ",{\"name\":\"../../x\",\"size\":1},{\"name\":\"\",\"size\":1}"}
without end      | *data* | {"match": "GET .*data/$", "do": "endless", "before": "]", "text": ",{\"name\":\"x\",\"size\":1}"}
no listing       | *data* | {"match": "GET .*data/$", "do": "status", "status": 200, "body": "<html>Please log in</html>"}
TABLE
}

@test "s3: a listing with names that climb out, that is none, or without end" {
	serve_s3
	each_row <<'TABLE'
names that climb | - | {"match": "GET .*prefix=[^&]*data", "do": "insert", "before": "</ListBucketResult>", "text": "<Contents><Key>data/../../x</Key><Size>1</Size></Contents>"}
no clear answer  | *listing* | {"match": "GET .*prefix=[^&]*data", "do": "insert", "before": "<IsTruncated>false", "text": "<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>"}
without end      | *answer* | {"match": "GET .*prefix=[^&]*data", "do": "endless", "before": "</ListBucketResult>", "text": "<Contents><Key>x</Key><Size>1</Size></Contents>"}
no listing       | *listing* | {"match": "GET .*prefix=[^&]*data", "do": "status", "status": 200, "body": "<html>Please log in</html>"}
TABLE
}

@test "a stale listing after a backup is a fork, and both backups stay" {
	serve_rest
	spoil '{"match": "GET .*snapshots/$", "do": "replay"}'
	run bounded -q backup more
	assert_status 0
	echo more >more/b.txt
	run bounded -q backup more
	assert_status 24 # made, and the one before is not to be seen
	[[ $output == *"has vanished"* ]]
	spoil
	run bounded -q manifests
	assert_status 0
	whole 4
	run bounded -q backup more
	assert_status 0
	whole 5
}

@test "rest: where packs cannot be read just now, copy calls nothing damaged and a drill has not failed" {
	serve_rest
	local code
	"$NIGHTJAR" -q -r copied init --key-file copied.key
	for code in 503 403; do
		spoil "{\"match\": \"GET .*/data/.\", \"do\": \"status\", \"status\": $code}"
		run --separate-stderr timeout 60 "$NIGHTJAR" -r copied --key-file copied.key copy --from-repo "$URL" --from-key-file key \
			--no-cache -o retry-seconds=1
		assert_status 1
		assert_error "*/data/*the server answered $code*"
		run --separate-stderr bounded drill
		assert_status 1
		assert_error "*/data/*the server answered $code*"
	done
	spoil
	[ "$(bounded manifests --json | jq -r '.[].drills // empty | length')" = "" ]
	whole 2
}

# A wire that fails is none of the repository's damage, and no object is waited for after the first.
@test "rest: a check that is not answered, or refused, ends with 1 and one line, and finds no damage" {
	serve_rest
	local status_code what
	for status_code in 503 403; do
		for what in keys index snapshots data; do
			spoil "{\"match\": \"GET .*/$what/.\", \"do\": \"status\", \"status\": $status_code}"
			echo "row: $status_code $what"
			run --separate-stderr bounded check --read-data
			assert_status 1
			assert_error "*/$what/*the server answered $status_code*"
			[[ $output != *DAMAGE* ]]
		done
	done
	spoil '{"match": "GET .*/(index|snapshots)/$", "do": "status", "status": 200, "body": "<html>log in</html>"}'
	run --separate-stderr bounded check
	assert_status 1
	assert_error "*the listing is none of restic's REST protocol*"
	spoil
	whole 2
}

@test "rest: a key that cannot be read just now is no wrong password" {
	serve_rest
	echo one >password && chmod 600 password
	env -u NIGHTJAR_KEY_FILE "$NIGHTJAR" -q -r locked init --password-file password
	rm -rf repo/* && cp -a locked/. repo/
	local code
	for code in 503 403; do
		spoil "{\"match\": \"GET .*/keys/.\", \"do\": \"status\", \"status\": $code}"
		run --separate-stderr env -u NIGHTJAR_KEY_FILE timeout 60 "$NIGHTJAR" -r "$URL" --password-file password --no-cache \
			-o retry-seconds=1 manifests
		assert_status 1
		assert_error "*/keys/*the server answered $code*"
	done
}

@test "a redirect is not followed" {
	serve_rest
	started python3 -c '
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open("followed", "w").close()
        self.send_error(404)
    do_HEAD = do_POST = do_GET
s = http.server.HTTPServer(("127.0.0.1", 0), H)
print(s.server_port, flush=True)
s.serve_forever()'
	spoil "{\"match\": \".\", \"do\": \"status\", \"status\": 307, \"headers\": {\"Location\": \"http://127.0.0.1:$port/\"}}"
	run --separate-stderr bounded -q backup more
	assert_status 1
	[ ! -e followed ]
}
