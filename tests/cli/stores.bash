# The servers of each kind of store, of a test's own: rest_server, s3_server, sftp_server. Each is ended by end_servers, which
# teardown calls, and says its location's beginning in REST, S3 or SFTP; PATHs behind it are repositories.

# Where a build has no libcurl there is neither rest: nor s3:.
need_libcurl() {
	run "$NIGHTJAR" -r rest:http://127.0.0.1:1/ -o retry-seconds=1 --key-file none manifests
	[[ $output != *libcurl* ]] || skip "built without libcurl"
}

wait_until() {
	for _ in $(seq 200); do
		! "$@" 2>/dev/null || return 0
		sleep 0.05
	done
	return 1
}

# rest_server OPTION…: over the folder rest
rest_server() {
	mkdir -p rest
	python3 "$BATS_TEST_DIRNAME/../tools/restserver.py" --log rest.log "$@" rest >rest.port 2>rest.err 3>&- &
	echo $! >rest.pid
	wait_until test -s rest.port
	REST=rest:http://127.0.0.1:$(cat rest.port)
}

# s3_server OPTION…: its bucket is nightjar
s3_server() {
	unset "${!AWS_@}"
	export AWS_ACCESS_KEY_ID=AKTEST AWS_SECRET_ACCESS_KEY=SKTEST
	python3 "$BATS_TEST_DIRNAME/../tools/s3server.py" buckets=nightjar log="$PWD/s3.log" "$@" >s3.port 2>s3.err 3>&- &
	echo $! >s3.pid
	wait_until test -s s3.port
	S3=s3:http://127.0.0.1:$(cat s3.port)/nightjar
}

# sftp_server: an sshd over the whole file system; skips where there is none
sftp_server() {
	local code=0 ssh
	mkdir -m 700 sshd
	"$BATS_TEST_DIRNAME/../tools/sshd.sh" start "$PWD/sshd" || code=$?
	[ "$code" -ne 77 ] || skip "no sshd here"
	[ "$code" -eq 0 ]
	ssh=$(command -v ssh)
	export NIGHTJAR_SSH_COMMAND="$ssh -F $PWD/sshd/ssh_config"
	SFTP=sftp:target:$PWD
}

end_servers() {
	local file
	for file in "$WORK"/*.pid; do
		[ ! -e "$file" ] || kill "$(cat "$file")" 2>/dev/null || true
	done
	[ ! -d "$WORK/sshd" ] || "$BATS_TEST_DIRNAME/../tools/sshd.sh" stop "$WORK/sshd"
}
