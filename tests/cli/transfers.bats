# How a repository is reached: limits, -o, --no-cache.
load helpers

setup() {
	common_setup
	export NIGHTJAR_REPOSITORY=$WORK/repo NIGHTJAR_KEY_FILE=$WORK/key
	mkdir src
	nightjar -q init --key-file key
}

@test "a limit holds for a local repository, too, and takes the time it must" {
	local began took
	head -c 600000 /dev/urandom >src/a
	began=${EPOCHREALTIME/./}
	nightjar backup --limit-upload 400 src
	took=$((${EPOCHREALTIME/./} - began))
	((took > 1200000))
	began=${EPOCHREALTIME/./}
	nightjar --limit-download 300 restore latest --target out
	took=$((${EPOCHREALTIME/./} - began))
	((took > 1500000))
	cmp src/a "out$WORK/src/a"
}

@test "what -o does not know is a usage error, before anything is opened" {
	for word in connections=0 connections=many region=x s3.bucket-lookup=maybe bare; do
		run --separate-stderr nightjar -r "$WORK/nowhere" -o "$word" manifests
		[ "$status" -eq 2 ]
		[[ $stderr == *"-o "* ]]
	done
	run --separate-stderr nightjar manifests --limit-upload fast
	[ "$status" -eq 2 ]
	nightjar manifests -o connections=2 -o s3.region=eu --no-cache --limit-upload 0
}

@test "a signal ends a limited transfer at once" {
	head -c 4000000 /dev/urandom >src/a
	"$NIGHTJAR" backup --limit-upload 10 src 2>err &
	local pid=$!
	sleep 2
	kill -TERM $pid # a shell gives what it starts behind itself no SIGINT
	local began=$EPOCHSECONDS code=0
	wait $pid || code=$?
	[ "$code" -eq 130 ]
	((EPOCHSECONDS - began < 5))
	nightjar backup src
}
