# A repair behind a server that replaces nothing, so records are moved; killed by kill -9 before each thing that it stores. After each
# kill every pack is what it was or what its name says, and the next repair ends whole.
load ../cli/helpers
load ../cli/repo
load ../cli/stores

setup() {
	common_setup
	need_libcurl
	make_repo
	# A block of each pack, which parity gives back.
	for pack in repo/data/*/*; do
		chmod u+w "$pack"
		head -c 4096 /dev/urandom | dd of="$pack" bs=4096 seek=3 conv=notrunc status=none
	done
}

teardown() {
	end_servers
	common_teardown
}

# proxy PORT: before the server; its rules stand in the file rules
proxy() {
	echo '[]' >rules
	python3 "$BATS_TEST_DIRNAME/../tools/netfault.py" --to "127.0.0.1:$1" --rules rules --log log >proxy.port 2>proxy.err 3>&- &
	echo $! >proxy.pid
	wait_until test -s proxy.port
	PORT=$(cat proxy.port)
}

rules() {
	echo "$1" >rules.new
	mv rules.new rules
}

ended_or_stalled() {
	! kill -0 "$1" || grep -q '(stall)' log
}

# cut_off METHOD NUMBER ARG…: the command, killed when its request NUMBER of that method has come and was not passed on. Fails when there is none: it
# has ended, and with 0.
cut_off() {
	local method=$1 skip=$2 pid
	shift 2
	: >log
	rules "[{\"match\": \"^$method \", \"skip\": $skip, \"times\": 1, \"do\": \"stall\"}]"
	"$NIGHTJAR" "$@" >said 2>&1 3>&- &
	pid=$!
	wait_until ended_or_stalled "$pid"
	if grep -q '(stall)' log; then
		kill -9 "$pid"
		wait "$pid" 2>/dev/null || true
		rules '[]'
		return 0
	fi
	rules '[]'
	wait "$pid" || { cat said && exit 1; }
	return 1
}

# old_or_whole OLD NOW: no pack is gone, and each is what it was or what its name says
old_or_whole() {
	local pack
	for pack in "$1"/data/*/*; do
		[ -e "$2${pack#"$1"}" ] || { echo "gone: $pack" && return 1; }
	done
	for pack in "$2"/data/*/*; do
		[ "$(sha256sum <"$pack" | cut -d' ' -f1)" = "$(basename "$pack")" ] || cmp "$pack" "$1${pack#"$2"}" || return 1
	done
}

all_whole() {
	local pack
	for pack in "$1"/data/*/*; do
		[ "$(sha256sum <"$pack" | cut -d' ' -f1)" = "$(basename "$pack")" ] || { echo "$pack" && return 1; }
	done
}

# goes_on: the same repository, looked at past the proxy's rules
goes_on() {
	nightjar -q repair packs
	nightjar -q check --read-data
	nightjar -q prune --no-writers >/dev/null
	nightjar -q check --read-data
	restores "$SECOND"
	rm -rf back
	nightjar -q restore "$FIRST" --target back
	cmp src/photo.jpg "back$SRC/photo.jpg"
}

@test "rest: repair packs moves records, and is killed before each of its POSTs" {
	rest_server
	proxy "${REST##*:}"
	export NIGHTJAR_REPOSITORY=rest:http://127.0.0.1:$PORT/app/
	local k=0
	while :; do
		rm -rf rest/app && cp -a repo rest/app
		cut_off POST "$k" --no-cache -o connections=1 repair packs || break
		old_or_whole repo rest/app
		goes_on
		all_whole rest/app
		k=$((k + 1))
	done
	echo "# $BATS_TEST_DESCRIPTION: $k" >&3
	[ "$k" -ge 4 ] # packs, segments and a note at least
	[[ $(cat said) == *"nothing is lost"* ]]
	goes_on
	all_whole rest/app
}
