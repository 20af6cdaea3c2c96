#!/bin/sh
# sshd.sh start DIR [OPTION...]: an sshd of this user's own on loopback, with new keys, everything in DIR: host_key, user_key,
# ssh_config (host "target", "ssh -F DIR/ssh_config target"), sshd.log, sshd.pid. OPTIONs are lines of its configuration; one that names
# a Subsystem replaces "internal-sftp". Exit 77 where sshd is missing.
# sshd.sh stop DIR: ends it.
set -eu

sshd=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v sshd) && command -v ssh >/dev/null && command -v ssh-keygen >/dev/null || exit 77
action=$1 dir=$2
shift 2

stop() {
	[ -s "$dir/sshd.pid" ] || return 0
	pid=$(cat "$dir/sshd.pid")
	kill "$pid" 2>/dev/null || true
	while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
	rm -f "$dir/sshd.pid"
}

configure() {
	cat >"$dir/sshd_config" <<-END
		Port $port
		ListenAddress 127.0.0.1
		HostKey $dir/host_key
		PidFile $dir/sshd.pid
		AuthorizedKeysFile $dir/authorized_keys
		PasswordAuthentication no
		KbdInteractiveAuthentication no
		UsePAM no
		StrictModes no
		PermitRootLogin prohibit-password
		MaxStartups 100
	END
	printf '%s\n' "$@" | grep -q '^Subsystem' || echo "Subsystem sftp internal-sftp" >>"$dir/sshd_config"
	printf '%s\n' "$@" >>"$dir/sshd_config"
	cat >"$dir/ssh_config" <<-END
		Host target
		HostName 127.0.0.1
		Port $port
		User $(id -un)
		IdentityFile $dir/user_key
		IdentitiesOnly yes
		IdentityAgent none
		UserKnownHostsFile $dir/known_hosts
		GlobalKnownHostsFile /dev/null
		StrictHostKeyChecking yes
		LogLevel ERROR
	END
	echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 "$dir/host_key.pub")" >"$dir/known_hosts"
}

# It goes into the background when it listens; a port that somebody has makes it fail.
start() {
	[ -s "$dir/user_key" ] || {
		ssh-keygen -q -t ed25519 -N '' -f "$dir/host_key"
		ssh-keygen -q -t ed25519 -N '' -f "$dir/user_key"
		cp "$dir/user_key.pub" "$dir/authorized_keys"
	}
	[ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd
	for try in 1 2 3 4 5 6 7 8 9 10; do
		port=$((20000 + ($(od -An -N2 -tu2 /dev/urandom) + try) % 40000))
		configure "$@"
		"$sshd" -f "$dir/sshd_config" -E "$dir/sshd.log" && break
	done
	# The pid is written after that; a second may pass on a busy machine.
	for _ in $(seq 100); do
		[ ! -s "$dir/sshd.pid" ] || exit 0
		sleep 0.05
	done
	cat "$dir/sshd.log" >&2
	exit 1
}

"$action" "$@"
