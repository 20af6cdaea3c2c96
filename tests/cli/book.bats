# BACKUP.md, run as it is printed: its files are installed in a sandbox, its command sequences run there in
# order. A block is marked in its first line: "sh test" is run, "sh test NAME" is run by a test of its own,
# "… file=/path" is a file that an operator copies. The book's paths are those of a real machine: below $WORK here.
load helpers

BOOK=$BATS_TEST_DIRNAME/../../BACKUP.md

setup() {
	common_setup
	bin=$WORK/usr/local/bin APP=$WORK/srv/app REPO=$WORK/srv/backup/nightjar INI=$WORK/etc/nightjar/nightjar.ini
	export KEY=$WORK/etc/nightjar/key OFFSITE=$WORK/mnt/offsite/nightjar READER=$BATS_TEST_DIRNAME/../reader
	export NIGHTJAR_CONFIG=$INI TMPDIR=$WORK/tmp
	mkdir -p "$bin" "$APP/attachments" "$TMPDIR" "$WORK/etc/nightjar" "$WORK/srv/backup"
	ln -s "$(readlink -f "$NIGHTJAR")" "$bin/nightjar"
	PATH=$bin:$PATH
	install_files
	sqlite3 "$APP/app.db" "PRAGMA journal_mode = WAL; CREATE TABLE notes (body TEXT); CREATE TABLE attachments (path TEXT);
		INSERT INTO notes VALUES (1), (2), (3);
		INSERT INTO attachments VALUES ('attachments/1.bin'), ('attachments/2.bin')" >/dev/null
	head -c 300000 /dev/urandom >"$APP/attachments/1.bin"
	head -c 400000 /dev/urandom >"$APP/attachments/2.bin"
}

teardown() {
	[ ! -e "$WORK/rclone.pid" ] || kill "$(cat "$WORK/rclone.pid")" 2>/dev/null || true
	common_teardown
}

# block N: the text of the fenced block that begins on line N, with the sandbox's paths.
block() {
	awk -v first="$1" 'NR > first && /^```$/ {exit} NR > first' "$BOOK" |
		sed -E "s,(^|[^A-Za-z0-9\$])/(srv|mnt|etc/nightjar|usr/local/bin|var/lib|var/log)(/|\$),\1$WORK/\2\3,g"
}

# blocks MARK: the lines on which blocks with exactly this mark begin.
blocks() {
	grep -nxF "\`\`\`$1" "$BOOK" | cut -d: -f1
}

install_files() {
	local line path
	while IFS=: read -r line path; do
		case $path in /*) ;; *) path=/build/$path ;; esac
		mkdir -p "$WORK${path%/*}"
		block "$line" >"$WORK$path"
		case $path in /usr/local/bin/*) chmod 755 "$WORK$path" ;; esac
	done < <(sed -n '/^```.* file=/{=;s/.* file=//p}' "$BOOK" | paste -d: - -)
	chmod 600 "$INI"
}

# run_blocks MARK: each block in a shell of its own, as an operator pastes it; the first that fails is named.
run_blocks() {
	local line count=0
	: >"$WORK/all-said"
	for line in $(blocks "$1"); do
		block "$line" >"$WORK/block"
		if ! sh -eu "$WORK/block" >"$WORK/said" 2>&1 </dev/null; then
			printf 'BACKUP.md:%s fails:\n' "$line"
			cat "$WORK/block" "$WORK/said"
			return 1
		fi
		cat "$WORK/said" >>"$WORK/all-said"
		count=$((count + 1))
	done
	[ "$count" -gt 0 ]
}

needs() {
	command -v "$1" >/dev/null || skip "no $1 here"
}

a_repository() {
	nightjar init >/dev/null
	nightjar backup --host myapp "$APP" >/dev/null
}

mirror() {
	nightjar-offsite "$REPO" "$OFFSITE"
}

break_database() {
	sqlite3 "$APP/bad.db" 'CREATE TABLE t (x); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
		INSERT INTO t SELECT hex(randomblob(40)) FROM n'
	head -c 8192 /dev/urandom | dd of="$APP/bad.db" bs=4096 seek=10 conv=notrunc status=none
}

largest_pack() {
	(cd "$REPO" && find data -type f -printf '%s %p\n' | sort -rn | head -1 | cut -d' ' -f2)
}

notes() {
	sqlite3 "${1:-$APP/app.db}" 'SELECT group_concat(body) FROM notes'
}

@test "every command sequence of the book works, in order" {
	run_blocks "sh test"
	grep -q 'nightly: all is well' all-said
	grep -q 'references of app.db: 2 files named, 0 missing' all-said
	grep -q 'drill of .*: good' all-said
}

@test "who holds which key: the recipe" {
	a_repository
	run_blocks "sh test roles"
	grep -q 'every byte reads back' all-said
	[ "$(grep -c 'active$' all-said)" = 2 ]
	run nightjar --key-file "$WORK/etc/nightjar/write.key" restore latest --target out
	assert_status 12
	run nightjar --key-file "$WORK/etc/nightjar/maintain.key" forget --keep-last 1
	assert_status 0
}

@test "forget, prune and check on the side of the storage, with a maintain key" {
	a_repository
	nightjar -q key export --role maintain "$WORK/etc/nightjar/maintain.key"
	run_blocks "sh test storage"
	grep -q 'nightly: all is well' all-said
	grep -q '1 manifest$' all-said
	run ! grep -q myapp all-said
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
	shellcheck -s sh "$bin"/nightjar-*
}

@test "every exit code has its row, and no other" {
	run sh -c "sed -n '/^| exit code/,/^\$/s/^| \([0-9]*\) .*/\1/p' '$BOOK' | tr '\n' ' '"
	assert_output "0 1 2 3 10 11 12 20 21 22 23 24 130 "
}

@test "a REST server: the book's commands, over rclone" {
	needs rclone
	export REST_FOLDER=$WORK/srv/rest REST_PASSWORD=hush REST_KEY=$WORK/restkey port=
	mkdir "$REST_FOLDER"
	rclone serve restic --config /dev/null --append-only --addr 127.0.0.1:0 --user myapp --pass hush "$REST_FOLDER" >rclone.log 2>&1 3>&- &
	echo $! >rclone.pid
	for _ in $(seq 200); do
		port=$(sed -n 's|.*http://127.0.0.1:\([0-9]*\)/.*|\1|p' rclone.log)
		[ -z "$port" ] || break
		sleep 0.05
	done
	export REST="rest:http://127.0.0.1:$port/"
	run_blocks "sh test rest"
	grep -q "no damage found" all-said
	NIGHTJAR_REST_USERNAME=myapp NIGHTJAR_REST_PASSWORD=hush nightjar -r "$REST" --key-file "$REST_KEY" backup --host myapp "$APP"
	NIGHTJAR_REST_USERNAME=myapp NIGHTJAR_REST_PASSWORD=hush run nightjar -r "$REST" --key-file "$REST_KEY" forget --keep-last 1
	assert_status 1
	assert_output "*cannot be removed: the server is append-only*"
	run_blocks "sh test restprune"
	[ "$(nightjar -r "$REST_FOLDER" --key-file "$REST_KEY" manifests --json | jq length)" -eq 1 ]
}

# What stands in the table of messages: what is in `` of a row's first column, without the parts that … stands for.
fragments() {
	sed -n '/^| message/,/^$/p' "$BOOK" | sed 1,2d | cut -d'|' -f2 | grep -o '`[^`]*`' | tr -d '`' | sed 's/…/\n/g' |
		sed -e 's/^[: ]*//' -e 's/[; ]*$//' | awk 'length > 7'
}

@test "every message of the troubleshooting table is one that the program has" {
	local bad=0 fragment count=0
	while IFS= read -r fragment; do
		count=$((count + 1))
		case $fragment in
		"Permission denied" | "No space left on device" | "Operation not permitted" | "database disk image is malformed") continue ;;
		esac
		# What is put together from parts is provoked by the test below.
		grep -qaF -- "$fragment" "$NIGHTJAR" || grep -E '^	[A-Z_a-z$=/"]* ?says ' "$BATS_TEST_FILENAME" | grep -qF -- "$fragment" || {
			echo "the program never says: $fragment"
			bad=1
		}
	done < <(fragments | sed -e 's/^warning: //' -e "s/'$//")
	[ "$count" -gt 50 ] && [ "$bad" -eq 0 ]
}

# says CODE TEXT ARG…: the program ends with CODE and says TEXT (… stands for anything), and the troubleshooting tables have both.
says() {
	local code=$1 text=$2 pattern=${2//\[/\\[}
	shift 2
	run nightjar "$@"
	assert_status "$code"
	assert_output "*${pattern//…/*}*"
	grep -q "^| $code |" "$BOOK"
	grep -F -- "$text" "$BOOK" | grep -q '^| `' || {
		echo "no line for: $text"
		return 1
	}
}

@test "what the program says stands in the troubleshooting tables" {
	says 10 "there is no nightjar repository here; 'nightjar init' makes one" manifests
	says 1 "no backup into it was ever made from this host" status
	NIGHTJAR_CONFIG='' XDG_CONFIG_HOME=$WORK/none says 2 "no repository given: use -r REPO or NIGHTJAR_REPOSITORY" manifests
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
	says 2 "'restore' needs --target DIR; --target / puts everything" restore latest
	says 2 "no policy was given, so nothing is removed:" forget
	says 2 "is the newest backup of its host and paths, which is never removed" forget latest
	says 2 "hours at least, or a running backup could lose what it rests on" prune --grace 1h
	says 1 "exists already; it was not touched" db copy "$APP/app.db" "$APP/app.db"
	says 1 "not an SQLite database" db verify "$APP/attachments/1.bin"
	says 2 "--refs '…': none of the … databases of this backup ends so; nothing was stored" backup --refs 'no.db: SELECT 1' "$APP"
	says 22 "the query of --refs failed:" backup --refs 'app.db: SELECT no FROM attachments' "$APP"
	rm "$APP/attachments/1.bin"
	nightjar restore latest:"$APP/attachments" --target / --overwrite never # as the disasters have it
	[ -s "$APP/attachments/1.bin" ]
	sqlite3 "$APP/app.db" "INSERT INTO attachments VALUES ('attachments/3.bin')"
	says 22 "is not in this backup" backup --refs 'app.db: SELECT path FROM attachments' "$APP"
	says 23 "is not in this backup" drill
	break_database
	says 21 "FAILED its integrity check and was kept as it is:" backup "$APP"
	says 21 "was copied page by page:" backup "$APP"
	chmod 644 "$KEY"
	says 2 "key file …: is open to others: 'chmod 600 …'" manifests
	chmod 600 "$KEY"
	(umask 077 && echo wrong >wrong)
	says 12 "wrong password, or the key slot in keys/ is damaged or missing" -r "$REPO" --password-file wrong manifests
	mv "$KEY" key.away
	says 12 "key file …: cannot be opened: No such file or directory" manifests
	mv key.away "$KEY"
	flip "$REPO/$(largest_pack)" 5000
	says 20 "the record is damaged or was changed" check --read-data
	chmod 666 "$INI"
	says 2 "others can write to it: 'chmod go-w' it" nightly
	chmod 600 "$INI"
	printf '[ping]\nurl = https://127.0.0.1:1/x\n[hooks]\nbefore = false\n' >>"$INI"
	says 1 "hook '…': exit status …" nightly
	says 1 "no night has backed up every source yet; the last … ended with exit code …" status
	chmod 644 "$INI"
	says 2 "can be read by others: 'chmod 600 …'" nightly
	chmod 600 "$INI"
	sed -i 's/^prune = /pruned = /' "$INI"
	says 2 "unknown key '…' in […]" nightly
}

@test "the configuration: what it comments out works, too, and the night is what the book shows" {
	sed -i -E 's,^# (refs|immutable|\[metrics\]|textfile) ?,\1 ,; s,^\[metrics\] ,[metrics],' "$INI"
	sed -i "s,^textfile.*,textfile = $WORK/m.prom," "$INI"
	nightjar init
	run --separate-stderr nightjar nightly
	assert_status 0
	[ -z "$stderr" ]
	assert_output "*--- backup app*references of app.db: 2 files named, 0 missing, 0 orphans*--- forget*--- prune*--- check*--- drill*good*--- summary*nightly: all is well*"
	[ "$(nightjar manifests --json | jq -r '.[0] | .hostname + " " + .tags[0]')" = "myapp nightly" ]
	run nightjar nightly
	assert_output "*drill * not done: not due*nightly: all is well*"
	echo changed >"$APP/attachments/1.bin"
	run nightjar nightly
	assert_status 0 # as the book says
	assert_output "*ALARM: *1.bin *though files in its folder never change; manifest * has the old one*"
	# Every metric that the alert rules ask for is there.
	for metric in $(grep -o 'nightjar_[a-z_]*' "$WORK/etc/prometheus/rules/nightjar.yml" | sort -u); do
		grep -q "^$metric[ {]" m.prom || {
			echo "no metric $metric"
			return 1
		}
	done
}

@test "a night that fails: its summary, its mail, and what a monitor sees" {
	nightjar init
	break_database
	run nightjar nightly
	assert_status 21
	assert_output "*backup app * exit code 21: *nightly: NOT all is well*"
	[ "$(nightjar manifests --json | jq length)" -eq 1 ]
	run nightjar status --max-age 26h
	assert_status 1
	assert_output "*the last night ended with exit code 21 (a database failed its integrity check)*"
	printf '#!/bin/sh\necho "the log of $2"\n' >"$bin/journalctl"
	printf '#!/bin/sh\n{ echo "$@"; cat; } >%s/mail\n' "$WORK" >"$bin/mail"
	chmod 755 "$bin/journalctl" "$bin/mail"
	nightjar-alert nightjar-nightly.service
	grep -q "nightjar-nightly.service failed root" mail
	grep -q "the log of nightjar-nightly.service" mail
}

@test "in place: refused while the database is open; what was there is aside, and comes back" {
	a_repository
	good=$(notes)
	sqlite3 "$APP/app.db" "UPDATE notes SET body = 'spoilt'"
	rm "$APP/attachments/1.bin"
	mkfifo hold
	sqlite3 "$APP/app.db" <hold >/dev/null 3>&- &
	exec 9>hold
	echo 'SELECT 1 FROM notes;' >&9
	sleep 0.5
	run nightjar restore latest --target /
	assert_status 11
	assert_output "*has this database open: stop it and restore again, or use --force*"
	[ ! -e "$APP/attachments/1.bin" ]
	exec 9>&-
	wait
	# One that died: its -wal is there still.
	cp "$APP/app.db" "$WORK/dead.db"
	sqlite3 "$APP/app.db" >/dev/null <<-END
		PRAGMA wal_autocheckpoint = 0;
		INSERT INTO notes VALUES ('only in the wal');
		.shell cp "$APP/app.db-wal" "$WORK/dead.db-wal"
	END
	cp "$WORK/dead.db" "$APP/app.db" && cp "$WORK/dead.db-wal" "$APP/app.db-wal"
	run nightjar restore latest --target / --verify
	assert_status 0
	assert_output "*app.db: what was there is kept beside it as app.db.before-restore-*verified 3 files*"
	[ "$(notes)" = "$good" ]
	[ -s "$APP/attachments/1.bin" ]
	[ ! -e "$APP/app.db-wal" ]
	run_blocks "sh test in-place"
	[ "$(notes)" = "spoilt,spoilt,spoilt,only in the wal" ]
	[ "$(notes "$APP/app.db.restored")" = "$good" ]
}

@test "another machine: from the mirror alone, with and without the program" {
	needs rsync
	a_repository
	mirror
	echo more >"$APP/more"
	nightjar backup --host myapp "$APP"
	mirror
	rm -rf "$REPO" "$NIGHTJAR_STATE_DIR" "$NIGHTJAR_CACHE_DIR" "$INI"
	unset NIGHTJAR_CONFIG
	run_blocks "sh test offsite"
	nightjar -r "$OFFSITE" --key-file "$KEY" restore latest --target "$WORK/back"
	diff -r "$APP/attachments" "$WORK/back$APP/attachments"
	needs python3
	run_blocks "sh test reader"
	grep -q '^whole: 2 manifests' all-said
	diff -r "$APP/attachments" "$WORK/out$APP/attachments"
	[ "$(notes "$WORK/out$APP/app.db")" = "$(notes)" ]
}

@test "the mirror by the night's hook; one that fails is a failed night with a backup" {
	needs rsync
	nightjar init
	block "$(blocks "ini test hooks")" >>"$INI"
	nightjar nightly
	nightjar -r "$OFFSITE" --key-file "$KEY" check --read-data
	rm -r "$OFFSITE" && echo "not a folder" >"$OFFSITE"
	run nightjar nightly
	assert_status 1
	assert_output "*hook:after * exit code 1*"
	[ "$(nightjar manifests --json | jq length)" -eq 2 ]
}

# between_steps COMMAND…: after the first folder was sent, this happens once.
between_steps() {
	local real
	real=$(command -v rsync)
	printf '#!/bin/sh\n"%s" "$@" || exit\nif [ ! -e %s/ran ]; then\ntouch %s/ran\n(%s) >/dev/null\nfi\n' \
		"$real" "$WORK" "$WORK" "$*" >"$bin/rsync"
	chmod 755 "$bin/rsync"
}

@test "mirror: a backup that runs between its steps does not tear it" {
	needs rsync
	a_repository
	between_steps "head -c 500000 /dev/urandom >$APP/attachments/3.bin; nightjar backup $APP"
	mirror
	[ "$(nightjar manifests --json | jq length)" -eq 2 ]
	[ "$(nightjar -r "$OFFSITE" --key-file "$KEY" manifests --json | jq length)" -eq 1 ]
	nightjar -r "$OFFSITE" --key-file "$KEY" check --read-data
	mirror
	[ "$(nightjar -r "$OFFSITE" --key-file "$KEY" manifests --json | jq length)" -eq 2 ]
	nightjar -r "$OFFSITE" --key-file "$KEY" check --read-data
}

# Two backups, of which the first is forgotten; what only it needs is condemned. No test waits 72 hours: --no-writers deletes it.
a_prune_that_is_due() {
	a_repository
	rm "$APP/attachments/2.bin"
	head -c 500000 /dev/urandom >"$APP/attachments/3.bin"
	nightjar backup --host myapp "$APP"
	[ -z "${1:-}" ] || "$1"
	nightjar forget --host myapp --keep-last 1
	nightjar prune --max-unused 0
}

@test "mirror: what was forgotten and pruned here is still whole there" {
	needs rsync
	a_prune_that_is_due mirror
	nightjar prune --no-writers | grep -q '^deleted  '
	mirror
	[ "$(nightjar manifests --json | jq length)" -eq 1 ]
	[ "$(nightjar -r "$OFFSITE" --key-file "$KEY" manifests --json | jq length)" -eq 2 ]
	nightjar -r "$OFFSITE" --key-file "$KEY" check --read-data
	nightjar -r "$OFFSITE" --key-file "$KEY" restore latest --target "$WORK/back" --verify
}

@test "mirror: a prune that deletes between its steps makes it fail, never a torn one; again, and it is whole" {
	needs rsync
	a_prune_that_is_due
	between_steps "nightjar prune --no-writers --max-unused 0"
	run mirror
	[ "$status" -eq 23 ] || [ "$status" -eq 24 ]
	[ ! -d "$OFFSITE/snapshots" ]
	mirror
	nightjar -r "$OFFSITE" --key-file "$KEY" check --read-data
}

@test "mirror: the checksums find a changed object without a key" {
	needs rsync
	a_repository
	mirror
	flip "$OFFSITE/$(largest_pack)" 5000
	run run_blocks "sh test offsite"
	assert_status 1
	[[ $output == *"sha256sum"*FAILED* || $output == *"check --read-data"*damaged* ]]
	cd "$OFFSITE"
	run sh -c "find data -type f | sed 's|.*/\([0-9a-f]*\)\$|\1  &|' | sha256sum --check --quiet"
	[[ $output == *FAILED* ]]
}

@test "mirror with rclone; not when a prune took a segment meanwhile" {
	needs rclone
	export REMOTE=$WORK/remote
	a_prune_that_is_due
	run_blocks "sh test rclone"
	nightjar -r "$REMOTE" --key-file "$KEY" check --read-data
	rm -r "$REMOTE"
	real=$(command -v rclone)
	printf '#!/bin/sh\n"%s" "$@" || exit\n[ -e %s/ran ] || nightjar prune --no-writers --max-unused 0 >%s/ran\n' "$real" "$WORK" "$WORK" >"$bin/rclone"
	chmod 755 "$bin/rclone"
	run run_blocks "sh test rclone"
	assert_status 1
	[ ! -d "$REMOTE/snapshots" ]
}

@test "a damaged object comes back from the mirror" {
	needs rsync
	a_repository
	mirror
	export OBJECT=$(largest_pack)
	flip "$REPO/$OBJECT" 5000
	run nightjar --json check --read-data
	assert_status 20
	[[ $(jq -r 'select(.item) | .item' <<<"$output") == *"$OBJECT"* ]]
	run_blocks "sh test damage"
}

@test "bit rot is mended by parity" {
	a_repository
	flip "$REPO/$(largest_pack)" 5000
	run nightjar check --read-data
	[[ $output == *"'nightjar check --repair' can mend this"* ]]
	run_blocks "sh test parity"
	grep -q 'mended by its parity: 1 of' all-said
	grep -q 'no damage found$' all-said
}

@test "repair without a mirror, step by step" {
	a_repository
	run_blocks "sh test repair"
	grep -q 'packs added: 1,' all-said
}

@test "a second repository by copy" {
	a_repository
	export SECOND=$WORK/second SECOND_KEY=$WORK/second.key
	run_blocks "sh test copy"
	grep -q 'manifests copied: 1, there already: 0' all-said
}

@test "a repository behind SFTP, as the book sets it up; its ssh and sshd take the files" {
	local sshd=$BATS_TEST_DIRNAME/../tools/sshd.sh status=0 ssh
	mkdir -m 700 "$WORK/sshd"
	"$sshd" start "$WORK/sshd" "Include $WORK/etc/ssh/sshd_config.d/nightjar.conf" || status=$?
	[ "$status" -ne 77 ] || skip "no sshd here"
	ssh=$(command -v ssh)
	run "$ssh" -F "$WORK/root/.ssh/config" -G offsite
	[[ $output == *"hostname backup.example.com"* && $output == *"user nightjar"* ]]
	sed -i 's/^Host target/& offsite/' "$WORK/sshd/ssh_config"
	printf '#!/bin/sh\nexec %s -F %s/sshd/ssh_config "$@"\n' "$ssh" "$WORK" >"$bin/ssh"
	chmod 755 "$bin/ssh"
	mkdir "$WORK/repos"
	block "$(blocks "ini test sftp")" | sed "s,offsite:/repos,offsite:$WORK/repos," >"$INI"
	printf '[source "app"]\npath = %s\n' "$APP" >>"$INI"
	run run_blocks "sh test sftp"
	"$sshd" stop "$WORK/sshd"
	assert_status 0
	[ -f "$WORK/repos/myapp/config" ]
}

@test "sidecar: sleeps until the hour, then runs; goes on after a failure" {
	printf '#!/bin/sh\nif [ -e %s/slept ]; then kill "$PPID"; exit; fi\necho "$1" >%s/slept\n' "$WORK" "$WORK" >"$bin/sleep"
	rm "$bin/nightjar"
	printf '#!/bin/sh\necho "$1" >%s/ran\nexit 3\n' "$WORK" >"$bin/nightjar"
	chmod 755 "$bin"/*
	run env AT="$(date -d '+2 hours' +%H:%M)" nightjar-sidecar
	[ "$(cat ran)" = nightly ]
	[ "$(cat slept)" -gt 7000 ] && [ "$(cat slept)" -le 7200 ]
	[[ $output == *"exit code 3"* ]]
}

@test "container: its healthcheck is what the book says, its packages are those that the program needs" {
	compose=$WORK/build/compose.yaml dockerfile=$WORK/build/Dockerfile
	for package in $(sed -n "s/^demo='//;/build-essential/,/'/p" "$BATS_TEST_DIRNAME/../tools/deps.sh" | grep -o 'lib[a-z0-9-]*-dev' | sort -u); do
		grep -q -- "$package" "$dockerfile" || {
			echo "Dockerfile: no $package"
			return 1
		}
	done
	python3 -c 'import yaml' 2>/dev/null || skip "no python3-yaml here"
	python3 - "$compose" "$WORK/etc/prometheus/rules/nightjar.yml" >parsed <<-END
		import sys, yaml
		compose, rules = (yaml.safe_load(open(path)) for path in sys.argv[1:])
		backup = compose["services"]["backup"]
		assert all(v.split(":")[0].startswith("/") or v.split(":")[0] in compose["volumes"] for v in backup["volumes"])
		assert all(set(r) >= {"alert", "expr"} for g in rules["groups"] for r in g["rules"])
		print(*backup["healthcheck"]["test"][1:])
	END
	nightjar init && nightjar nightly
	sh -c "$(cat parsed)"
}

@test "systemd takes the units" {
	needs systemd-analyze
	units=$WORK/etc/systemd/system
	run systemd-analyze verify "$units"/nightjar-nightly.timer "$units"/nightjar-nightly.service "$units"/nightjar-alert@.service
	[[ $output != *nightjar-* ]] || {
		echo "$output"
		return 1
	}
	systemd-analyze calendar "$(sed -n 's/^OnCalendar=//p' "$units/nightjar-nightly.timer")" >/dev/null
	grep -qx 'OnFailure=nightjar-alert@%n.service' "$units/nightjar-nightly.service"
}

@test "what the units and cron start works as it stands there" {
	nightjar init
	start=$(sed -n 's/^ExecStart=//p' "$WORK/etc/systemd/system/nightjar-nightly.service")
	sh -c "$start"
	[ -x "$(sed -n 's/^ExecStart=\([^ ]*\) %i$/\1/p' "$WORK/etc/systemd/system/nightjar-alert@.service")" ]
	mkdir -p "$WORK/var/log"
	line=$(grep ' root ' "$WORK/etc/cron.d/nightjar")
	[[ $line == "17 3 * * * root "* ]]
	run --separate-stderr sh -c "${line#* root }"
	assert_status 0
	[ -z "$output$stderr" ]
	grep -q 'nightly: all is well' "$WORK/var/log/nightjar.log"
}

@test "the README's quickstart works" {
	BOOK=$BATS_TEST_DIRNAME/../../README.md
	cd "$WORK/srv"
	unset NIGHTJAR_CONFIG
	run_blocks "sh test"
}

@test "the README's night works, and its list of commands is that of help" {
	BOOK=$BATS_TEST_DIRNAME/../../README.md
	block "$(blocks ini)" >"$INI"
	nightjar init
	run nightjar nightly
	assert_status 0
	assert_output "*references of app.db: 2 files named, 0 missing*nightly: all is well*"
	sed -n '/^| for | commands/,/^$/p' "$BOOK" | sed 1,2d | grep -o '`[^`]*`' | tr -d '`' | sort >listed
	nightjar help | sed -n '/^Commands:/,/^$/s/^  \([a-z ]*[a-z]\)  .*/\1/p' | sed 's/  .*//' | sort >there
	diff listed there
}
