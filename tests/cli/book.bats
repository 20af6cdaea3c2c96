# BACKUP.md, run as it is printed: its scripts are installed in a sandbox, its command sequences run there in
# order. A block is marked in its first line: "sh test" is run, "sh test NAME" is run by a test of its own,
# "… file=/path" is a file that an operator copies.
load helpers

BOOK=$BATS_TEST_DIRNAME/../../BACKUP.md

setup() {
	common_setup
	bin=$WORK/usr/local/bin
	export APP=$WORK/srv/app REPO=$WORK/srv/backup/nightjar KEY=$WORK/etc/nightjar/key
	export OFFSITE=$WORK/mnt/offsite/nightjar NIGHTJAR_ENV=$WORK/etc/nightjar/env
	export NIGHTJAR_REPOSITORY=$REPO NIGHTJAR_KEY_FILE=$KEY TMPDIR=$WORK/tmp
	mkdir -p "$bin" "$APP/attachments" "$TMPDIR" "$WORK/etc/nightjar" "$WORK/srv/backup"
	ln -s "$(readlink -f "$NIGHTJAR")" "$bin/nightjar"
	PATH=$bin:$PATH
	install_files
	sqlite3 "$APP/app.db" 'PRAGMA journal_mode = WAL; CREATE TABLE notes (body TEXT);
		INSERT INTO notes VALUES (1), (2), (3)' >/dev/null
	head -c 300000 /dev/urandom >"$APP/attachments/1.bin"
	head -c 400000 /dev/urandom >"$APP/attachments/2.bin"
}

# block N: the text of the fenced block that begins on line N.
block() {
	awk -v first="$1" 'NR > first && /^```$/ {exit} NR > first' "$BOOK"
}

# blocks MARK: the lines on which blocks with exactly this mark begin.
blocks() {
	grep -nxF "\`\`\`$1" "$BOOK" | cut -d: -f1
}

# Each file= block at its path below $WORK. The settings are the only file whose paths are not the book's.
install_files() {
	local line path
	while IFS=: read -r line path; do
		case $path in
		/usr/local/bin/*)
			block "$line" >"$WORK$path"
			chmod 755 "$WORK$path"
			;;
		/etc/nightjar/env) block "$line" | sed "s|=/|=$WORK/|" >"$WORK$path" ;;
		/*)
			mkdir -p "$WORK${path%/*}"
			block "$line" >"$WORK$path"
			;;
		esac
	done < <(sed -n '/^```.* file=/{=;s/.* file=//p}' "$BOOK" | paste -d: - -)
}

# run_blocks MARK: each block in a shell of its own, as an operator pastes it; the first that fails is named.
run_blocks() {
	local line count=0
	for line in $(blocks "$1"); do
		block "$line" >"$WORK/block"
		if ! sh -eu "$WORK/block" >"$WORK/said" 2>&1 </dev/null; then
			printf 'BACKUP.md:%s fails:\n' "$line"
			cat "$WORK/block" "$WORK/said"
			return 1
		fi
		count=$((count + 1))
	done
	[ "$count" -gt 0 ]
}

needs() {
	command -v "$1" >/dev/null || skip "no $1 here"
}

# What ALERT gets, a line a call, in $WORK/alerts.
catch_alerts() {
	printf '#!/bin/sh\necho "$1: $2" >>%s/alerts\n' "$WORK" >"$bin/catch-alert"
	chmod 755 "$bin/catch-alert"
	set_env ALERT "$bin/catch-alert"
}

set_env() { # NAME VALUE
	sed -i "s|^$1=.*|$1=$2|" "$NIGHTJAR_ENV"
}

a_repository() {
	nightjar init >/dev/null
	nightjar backup --host myapp "$APP" >/dev/null
}

break_database() {
	sqlite3 "$APP/bad.db" 'CREATE TABLE t (x); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
		INSERT INTO t SELECT hex(randomblob(40)) FROM n'
	head -c 8192 /dev/urandom | dd of="$APP/bad.db" bs=4096 seek=10 conv=notrunc status=none
}

largest_pack() {
	(cd "$REPO" && find data -type f -printf '%s %p\n' | sort -rn | head -1 | cut -d' ' -f2)
}

@test "every command sequence of the book works, in order" {
	run_blocks "sh test"
}

@test "every link within the book leads somewhere" {
	local anchors target
	anchors=$(sed -n 's/^##* //p' "$BOOK" | tr 'A-Z' 'a-z' | tr -d '`,.:?' | tr ' ' '-')
	for target in $(grep -o '](#[^)]*)' "$BOOK" | tr -d '](#)' | sort -u); do
		grep -qxF "$target" <<<"$anchors" || {
			echo "no heading for #$target"
			return 1
		}
	done
}

@test "the scripts are sh, without a word that only bash knows" {
	needs dash
	for script in "$bin"/nightjar-*; do
		dash -n "$script"
	done
	command -v shellcheck >/dev/null || return 0
	shellcheck -s sh -e SC1090,SC1091,SC2153,SC2154 "$bin"/nightjar-*
}

# says CODE TEXT ARG…: the program ends with CODE and says TEXT, and the troubleshooting tables have both.
says() {
	local code=$1 text=$2
	shift 2
	run nightjar "$@"
	assert_status "$code"
	assert_output "*$text*"
	grep -q "^| $code |" "$BOOK"
	grep -F "$text" "$BOOK" | grep -q '^| `' || {
		echo "no line for: $text"
		return 1
	}
}

@test "what the program says stands in the troubleshooting tables" {
	says 10 "there is no nightjar repository here; 'nightjar init' makes one" manifests
	env -u NIGHTJAR_REPOSITORY "$NIGHTJAR" manifests 2>&1 | grep -F "no repository given: use -r REPO or NIGHTJAR_REPOSITORY"
	nightjar init
	says 1 "there is no backup in this repository yet" ls latest
	says 1 "there is a repository already; nothing was changed" init
	nightjar -r "$WORK/other" --key-file "$WORK/otherkey" init
	says 12 "the key belongs to another repository" --key-file "$WORK/otherkey" manifests
	nightjar backup "$APP"
	says 1 "there is no such file or folder; nothing was stored" backup "$WORK/nowhere"
	says 1 "there is no backup whose id begins with" ls 00000000
	says 1 "no such path in this backup" dump latest:/nowhere
	says 1 "nothing in it matches what was asked for" restore latest --target out --include nowhere
	says 2 "'restore' needs --target DIR;" restore latest
	nightjar restore latest --target out
	touch "out$APP/app.db-wal"
	says 0 "a stale -wal, -shm or -journal beside it was moved aside" restore latest --target out
	says 1 "exists already; it was not touched" db copy "$APP/app.db" "out$APP/app.db"
	says 1 "not an SQLite database" db verify "$APP/attachments/1.bin"
	break_database
	says 21 "FAILED its integrity check and was kept as it is:" backup "$APP"
	says 21 "was copied page by page:" backup "$APP"
	chmod 644 "$KEY"
	says 0 "can be read by others; 'chmod 600' it" manifests
	chmod 600 "$KEY"
	echo wrong >wrong
	says 12 "wrong password, or the key slot in keys/ is damaged or missing" --password-file wrong manifests
}

@test "nightly: 0 and silence when all is well" {
	catch_alerts
	set_env OFFSITE ''
	nightjar init
	run --separate-stderr nightjar-nightly
	assert_status 0
	[ -z "$stderr" ]
	[ ! -e alerts ]
	[ "$(nightjar manifests --json | jq -r '.[0] | .hostname + " " + .tags[0]')" = "myapp nightly" ]
}

@test "nightly: 21 warns, and the backup is there" {
	catch_alerts
	set_env OFFSITE ''
	nightjar init
	break_database
	run nightjar-nightly
	assert_status 21
	[[ $(cat alerts) == "warning: saved, but a database FAILED"*21* ]]
	[ "$(nightjar manifests --json | jq length)" -eq 1 ]
}

@test "nightly: 3 warns, and the backup is there" {
	catch_alerts
	set_env OFFSITE ''
	nightjar init
	sqlite3 "$APP/locked.db" 'CREATE TABLE t (x)'
	{ echo 'BEGIN EXCLUSIVE;' && sleep 15; } | sqlite3 "$APP/locked.db" 3>&- &
	sleep 0.5
	run nightjar-nightly
	kill "$!" 2>/dev/null || true
	assert_status 3
	[[ $(cat alerts) == "warning: saved, but a source"*3* ]]
	[ "$(nightjar manifests --json | jq length)" -eq 1 ]
}

@test "nightly: no repository is a failure with its code" {
	catch_alerts
	run nightjar-nightly
	assert_status 10
	[[ $(cat alerts) == "failed: NO backup"*10* ]]
}

@test "nightly: an offsite copy that fails is a failure, the backup stays" {
	needs rsync
	catch_alerts
	nightjar init
	mkdir -p "$WORK/mnt"
	echo "not a folder" >"$WORK/mnt/offsite"
	run nightjar-nightly
	assert_status 1
	[[ $(cat alerts) == "failed: the backup is here"* ]]
	[ "$(nightjar manifests --json | jq length)" -eq 1 ]
}

@test "nightly with its offsite copy: the copy is whole and restores elsewhere" {
	needs rsync
	nightjar init
	nightjar-nightly
	echo more >"$APP/more"
	nightjar-nightly
	rm -rf "$REPO"
	run_blocks "sh test offsite"
	nightjar -r "$OFFSITE" restore latest --target "$WORK/out"
	diff -r "$APP/attachments" "$WORK/out$APP/attachments"
}

@test "offsite: a backup that runs between its steps does not tear the copy" {
	needs rsync
	a_repository
	real=$(command -v rsync)
	# After the first folder was copied, the application's night goes on.
	cat >"$bin/rsync" <<-END
		#!/bin/sh
		"$real" "\$@" || exit
		if [ ! -e "$WORK/ran" ]; then
			touch "$WORK/ran"
			head -c 500000 /dev/urandom >"$APP/attachments/3.bin"
			nightjar backup "$APP" >/dev/null
		fi
	END
	chmod 755 "$bin/rsync"
	nightjar-offsite
	[ "$(nightjar manifests --json | jq length)" -eq 2 ]
	[ "$(nightjar -r "$OFFSITE" manifests --json | jq length)" -eq 1 ]
	nightjar -r "$OFFSITE" check --read-data
	nightjar-offsite
	[ "$(nightjar -r "$OFFSITE" manifests --json | jq length)" -eq 2 ]
	nightjar -r "$OFFSITE" check --read-data
}

@test "offsite: the checksums find a changed object without a key" {
	needs rsync
	a_repository
	nightjar-offsite
	object=$OFFSITE/$(largest_pack)
	chmod u+w "$object"
	printf X | dd of="$object" bs=1 seek=5000 conv=notrunc status=none
	run run_blocks "sh test offsite"
	assert_status 1
	[[ $output == *FAILED* ]]
}

@test "offsite with rclone" {
	needs rclone
	a_repository
	export REMOTE=$WORK/remote
	run_blocks "sh test rclone"
	nightjar -r "$REMOTE" check --read-data
}

@test "a damaged object comes back from the offsite copy" {
	needs rsync
	a_repository
	nightjar-offsite
	export OBJECT=$(largest_pack)
	chmod u+w "$REPO/$OBJECT"
	printf X | dd of="$REPO/$OBJECT" bs=1 seek=5000 conv=notrunc status=none
	run nightjar --json check --read-data
	assert_status 20
	[[ $(jq -r 'select(.item) | .item' <<<"$output") == *"$OBJECT"* ]]
	run_blocks "sh test damage"
}

damage_a_record() {
	object=$REPO/$(largest_pack)
	chmod u+w "$object"
	head -c 16 /dev/urandom | dd of="$object" bs=1 seek=100000 conv=notrunc status=none
}

@test "damage that the source still has heals with the next backup" {
	a_repository
	damage_a_record
	run run_blocks "sh test heal"
	assert_status 0
	run nightjar check --read-data
	assert_status 0
	[[ $output == *"nothing is lost by it, there is another copy"* ]]
	grep -F "nothing is lost by it, there is another copy" "$BOOK" | grep -q '^| `'
}

@test "damage that the source has no more: the new backup is whole, the old one is not" {
	a_repository
	first=$(nightjar manifests --json | jq -r '.[0].id')
	damage_a_record
	for file in "$APP"/attachments/*; do
		head -c 300000 /dev/urandom >"$file"
	done
	run_blocks "sh test heal"
	run nightjar check --read-data "$first"
	assert_status 20
}

@test "weekly: 0 when whole, 20 and an alert when not" {
	catch_alerts
	a_repository
	nightjar-weekly
	[ ! -e alerts ]
	object=$REPO/$(largest_pack)
	chmod u+w "$object"
	printf X | dd of="$object" bs=1 seek=5000 conv=notrunc status=none
	run nightjar-weekly
	assert_status 20
	[[ $(cat alerts) == "failed: "*20* ]]
}

@test "age: young, old, none, broken, unreadable repository" {
	run nightjar-age
	assert_status 1
	[[ $output == *"FAILED: the repository cannot be read (exit code 10)" ]]
	nightjar init
	run nightjar-age
	assert_status 1
	assert_output "FAILED: no backup of myapp"
	nightjar backup --host myapp "$APP"
	run nightjar-age
	assert_status 0
	assert_output "OK: *, 0 hours old, 3 files"
	set_env MAX_AGE_HOURS 0
	run nightjar-age
	assert_status 1
	assert_output "FAILED: the newest backup is 0 hours old"
	set_env MAX_AGE_HOURS 26
	break_database
	run nightjar backup --host myapp "$APP"
	assert_status 21
	run nightjar-age
	assert_status 1
	assert_output "FAILED: broken in the newest backup: $APP/bad.db"
}

@test "restore script: whole, a part, a full target, a broken database, usage" {
	a_repository
	nightjar-restore latest "$WORK/whole"
	diff -r "$APP/attachments" "$WORK/whole$APP/attachments"
	[ "$(sqlite3 "$WORK/whole$APP/app.db" 'SELECT count(*) FROM notes')" -eq 3 ]
	id=$(nightjar manifests --json | jq -r '.[0].short_id')
	nightjar-restore "$id:$APP/attachments" "$WORK/part"
	[ ! -e "$WORK/part$APP/app.db" ]
	run nightjar-restore latest "$WORK/whole"
	assert_status 1
	run nightjar-restore latest
	assert_status 2
	break_database
	run nightjar backup --host myapp "$APP"
	run nightjar-restore latest "$WORK/broken"
	[ "$status" -ne 0 ]
}

@test "sidecar: sleeps until the hour, then runs; goes on after a failure" {
	printf '#!/bin/sh\nif [ -e %s/slept ]; then kill "$PPID"; exit; fi\necho "$1" >%s/slept\n' "$WORK" "$WORK" >"$bin/sleep"
	printf '#!/bin/sh\ntouch %s/ran\nexit 3\n' "$WORK" >"$bin/nightjar-nightly"
	printf '#!/bin/sh\n' >"$bin/nightjar-weekly"
	chmod 755 "$bin"/*
	run env AT="$(date -d '+2 hours' +%H:%M)" nightjar-sidecar
	[ -e ran ]
	[ "$(cat slept)" -gt 7000 ] && [ "$(cat slept)" -le 7200 ]
	[[ $output == *"nightjar-nightly: exit code 3"* ]]
}

@test "systemd takes the units" {
	needs systemd-analyze
	units=$WORK/etc/systemd/system
	sed -i "s|ExecStart=/|ExecStart=$WORK/|" "$units"/*.service
	run systemd-analyze verify "$units"/nightjar-*.timer "$units"/nightjar-*.service
	[[ $output != *nightjar-* ]] || {
		echo "$output"
		return 1
	}
	grep -qx 'SuccessExitStatus=3 21' "$units/nightjar-nightly.service"
	for timer in "$units"/*.timer; do
		systemd-analyze calendar "$(sed -n 's/^OnCalendar=//p' "$timer")" >/dev/null
	done
}

@test "cron and container call scripts that the book has" {
	for script in $(grep -ho 'nightjar-[a-z]*' "$WORK/etc/cron.d/nightjar" | grep -v '^nightjar-cache' | sort -u) \
		nightjar-sidecar; do
		[ -x "$bin/$script" ]
	done
	[ "$(grep -c '^[0-9* ]* root ' "$WORK/etc/cron.d/nightjar")" -eq 2 ]
}

@test "the README's quickstart works" {
	BOOK=$BATS_TEST_DIRNAME/../../README.md
	cd "$WORK/srv"
	unset NIGHTJAR_REPOSITORY NIGHTJAR_KEY_FILE
	run_blocks "sh test"
}
