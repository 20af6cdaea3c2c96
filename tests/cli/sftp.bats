# A repository behind SFTP, end to end, over an sshd of the test's own and the system's ssh.
load helpers

SSHD=$BATS_TEST_DIRNAME/../tools/sshd.sh

setup_file() {
	export SSHD_DIR=$BATS_FILE_TMPDIR/sshd
	mkdir -m 700 "$SSHD_DIR"
	"$SSHD" start "$SSHD_DIR" || {
		[ $? -eq 77 ] && touch "$SSHD_DIR/missing"
	}
}

teardown_file() {
	[ -e "$SSHD_DIR/missing" ] || "$SSHD" stop "$SSHD_DIR"
}

setup() {
	common_setup
	[ ! -e "$SSHD_DIR/missing" ] || skip "no sshd here"
	ssh_config "$SSHD_DIR"
	mkdir -p src/sub
	head -c 3000000 /dev/urandom >src/photo.jpg
	echo small >src/sub/a.txt
	sqlite3 src/app.db "CREATE TABLE t(a INTEGER PRIMARY KEY, b); INSERT INTO t(b) VALUES('one'),('two')"
	export NIGHTJAR_REPOSITORY=sftp:target:$WORK/repo NIGHTJAR_KEY_FILE=$WORK/key
}

# ssh_config DIR: what ~/.ssh/config would say; ssh asks for the home of the account, which is not a test's to change.
ssh_config() {
	local ssh
	ssh=$(PATH=${PATH#"$WORK/bin:"} command -v ssh)
	mkdir -p bin
	printf '#!/bin/sh\nexec %s -F %s/ssh_config "$@"\n' "$ssh" "$1" >bin/ssh
	chmod 755 bin/ssh
	PATH=$WORK/bin:${PATH#"$WORK/bin:"}
}

two_nights() {
	nightjar init >/dev/null
	nightjar -q backup src
	head -c 200000 /dev/urandom >src/two.bin
	sqlite3 src/app.db "INSERT INTO t(b) VALUES('three')"
	nightjar -q backup src
}

@test "sftp: init, two nights, check, restore, forget and prune" {
	two_nights
	[ "$(nightjar manifests --json | jq length)" -eq 2 ]
	nightjar check --read-data
	nightjar restore latest --target back --verify
	diff -r --exclude=app.db src "back$WORK/src"
	[ "$(sqlite3 "back$WORK/src/app.db" 'SELECT group_concat(b) FROM t')" = one,two,three ]
	nightjar forget --keep-last 1 --prune
	[ "$(nightjar manifests --json | jq length)" -eq 1 ]
	nightjar prune --no-writers --max-unused 0
	nightjar check --read-data
	nightjar restore latest --target again --verify
	diff -r --exclude=app.db src "again$WORK/src"
}

@test "sftp: what lies there is the same as in a local repository, and nothing else" {
	two_nights
	NIGHTJAR_REPOSITORY=$WORK/repo nightjar check --read-data
	[ -z "$(find repo -name '.tmp-*')" ]
	[ -z "$(find repo -type f -not -perm 400)" ]
	[ -z "$(find repo -type d -not -perm 700)" ]
	(cd repo && find data index snapshots keys -type f | sed 's|.*/\([0-9a-f]*\)$|\1  &|' | sha256sum --check --quiet)
}

@test "sftp: a folder relative to home, a URL" {
	(
		cd "$(getent passwd "$(id -un)" | cut -d: -f6)" || exit 1
		relative=$(realpath --relative-to=. "$WORK")
		nightjar -r "sftp:target:$relative/rel" init
		nightjar -r "sftp://target/$relative/rel" -q backup "$WORK/src"
	)
	nightjar -r "sftp://target/$WORK/rel" check
	[ -f rel/config ]
}

@test "sftp: where no repository is, or one is already" {
	run --separate-stderr nightjar manifests
	assert_status 10
	assert_error "*sftp:target:$WORK/repo: there is no nightjar repository here*"
	nightjar init
	rm key
	run --separate-stderr nightjar init
	assert_status 1
	assert_error "*there is a repository already*"
}

@test "sftp: a host that does not answer is one clear line" {
	run --separate-stderr nightjar -r sftp:no-such-host.invalid:/x manifests
	assert_status 1
	assert_error "*no-such-host.invalid*Could not resolve hostname*check how the host is spelt*"
	run --separate-stderr nightjar -r sftp:-oProxyCommand=x:/x manifests
	assert_status 2
	assert_error "*the host of this location cannot be one*"
}

@test "sftp: a backup whose connection is cut ends with an error; the next one is whole" {
	nightjar init >/dev/null
	nightjar -q backup src
	head -c 30000000 /dev/urandom >src/big.bin
	ssh=$(sed -n 's/^exec \([^ ]*\) .*/\1/p' bin/ssh)
	for delay in 0.1 0.3 0.6; do
		printf '#!/bin/sh\n(sleep %s; kill -9 $$) &\nexec %s -F %s/ssh_config "$@"\n' "$delay" "$ssh" "$SSHD_DIR" >bin/ssh
		run nightjar -o retry-seconds=2 -q backup src
		[ "$status" -ne 139 ]
	done
	ssh_config "$SSHD_DIR"
	nightjar -q backup src
	nightjar check --read-data
	nightjar restore latest --target back --verify
	cmp src/big.bin "back$WORK/src/big.bin"
}

@test "sftp: interrupted, it ends in order and leaves nothing half" {
	nightjar init >/dev/null
	head -c 60000000 /dev/urandom >src/big.bin
	"$NIGHTJAR" -q --limit-upload 2000 backup src 3>&- &
	for _ in $(seq 200); do
		[ -z "$(find repo -name '.tmp-*')" ] || break
		sleep 0.05
	done
	kill -TERM $! # INT is ignored by what a script starts in the background
	status=0
	wait $! || status=$?
	[ "$status" -eq 130 ]
	[ -z "$(find repo -name '.tmp-*')" ]
	[ -z "$(pgrep -f "$SSHD_DIR/ssh_config")" ]
	nightjar -q backup src
	nightjar check
}

@test "sftp: several connections: no ssh has a signal blocked or ignored, and an interrupt leaves none behind" {
	nightjar init >/dev/null
	ssh=$(sed -n 's/^exec \([^ ]*\) .*/\1/p' bin/ssh)
	# In Perl, which ignores SIGFPE itself: a shell would clear the mask before it looks.
	cat >bin/ssh <<-END
		#!/usr/bin/perl
		open(my \$status, "<", "/proc/self/status");
		open(my \$masks, ">>", "$WORK/masks");
		# Without what the C library has for itself, from 32 on.
		/^(Sig(Blk|Ign):)\s*\w{8}(\w{8})/ and printf \$masks "%s%08x\n", \$1, hex(\$3) & 0x7fffffff for <\$status>;
		close(\$masks);
		open(my \$pids, ">>", "$WORK/pids");
		print \$pids "\$\$\n";
		close(\$pids);
		exec("$ssh", "-F", "$SSHD_DIR/ssh_config", @ARGV);
	END
	head -c 60000000 /dev/urandom >src/big.bin
	nightjar -q -o connections=4 backup src
	[ "$(wc -l <pids)" -ge 3 ] # its own, and those of the threads
	[ "$(grep -c '^SigBlk' masks)" -eq "$(wc -l <pids)" ]
	[ "$(sort -u masks)" = $'SigBlk:00000000\nSigIgn:00000080' ] || { cat masks && return 1; }
	nightjar check --read-data
	: >pids
	head -c 60000000 /dev/urandom >src/big.bin
	"$NIGHTJAR" -q -o connections=4 --limit-upload 2000 backup src 3>&- &
	for _ in $(seq 200); do
		[ "$(wc -l <pids)" -lt 3 ] || break
		sleep 0.05
	done
	kill -TERM $!
	status=0
	wait $! || status=$?
	[ "$status" -eq 130 ]
	for pid in $(cat pids); do
		[ ! -e "/proc/$pid" ] || grep -q '^State:.*Z' "/proc/$pid/status"
	done
}

BOOK=$BATS_TEST_DIRNAME/../../BACKUP.md

# book_block MARK: the text of BACKUP.md's block that begins with exactly this mark.
book_block() {
	awk -v mark="\`\`\`$1" '$0 == mark {on = 1; next} on && /^```$/ {exit} on' "$BOOK"
}

# confine [FORCE]: a server as BACKUP.md sets it up, for this user instead of its own, and a client that goes there.
confine() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	JAIL=$(mktemp -d /var/lib/nightjar-test.XXXXXX)
	mkdir -m 700 confined "$JAIL/repos"
	chmod 755 "$JAIL"
	cp -p "$SSHD_DIR"/host_key* "$SSHD_DIR"/user_key* "$SSHD_DIR/authorized_keys" confined
	book_block "sshd file=/etc/ssh/sshd_config.d/nightjar.conf" |
		sed -e "s,User nightjar,User $(id -un),; s,/srv/nightjar,$JAIL,; s,/etc/ssh/nightjar_keys,$PWD/confined/authorized_keys," >book.conf
	[ "$(wc -l <book.conf)" -eq 7 ]
	[ -z "${1:-}" ] || {
		sed -i "s|.*ForceCommand.*|$1|" book.conf
		grep -q "internal-sftp -p" book.conf
	}
	"$SSHD" start "$PWD/confined" "Include $PWD/book.conf"
	ssh_config "$PWD/confined"
	export NIGHTJAR_REPOSITORY=sftp:target:/repos/app
}

teardown() {
	[ ! -d "$WORK/confined" ] || "$SSHD" stop "$WORK/confined"
	[ -z "${JAIL:-}" ] || rm -rf "$JAIL"
	common_teardown
}

@test "sftp: an account that is confined to SFTP and its folder" {
	confine
	two_nights
	nightjar check --read-data
	nightjar restore latest --target back --verify
	[ -f "$JAIL/repos/app/config" ]
	run ssh target id
	[[ $output != *uid=* ]]
}

@test "sftp: a server that only adds: backup, check and restore work, forget is refused, nothing goes" {
	confine "$(book_block "sshd test append-only")"
	two_nights
	find "$JAIL/repos" -type f -not -name '.tmp-*' -exec sha256sum {} + >before
	nightjar check --read-data
	nightjar restore latest --target back --verify
	run --separate-stderr nightjar forget --keep-last 1
	assert_status 1
	assert_error "*cannot remove sftp:target:/repos/app/snapshots/*the server forbids it*set up to add only*"
	nightjar -q backup src
	sha256sum --check --quiet before
	find "$JAIL/repos" -name '.tmp-*' -delete
	nightjar check --read-data
}
