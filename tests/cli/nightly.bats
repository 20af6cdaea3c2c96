# A night as the configuration says it: every step, each of them failing, two repositories, hooks, metrics and pings.
load helpers
load repo

setup() {
	common_setup
	make_repo
	unset NIGHTJAR_REPOSITORY NIGHTJAR_KEY_FILE
	export XDG_CONFIG_HOME=$WORK/config NIGHTJAR_CONFIG=$WORK/n.ini
	config
}

teardown() {
	[ ! -e pingd.pid ] || kill "$(cat pingd.pid)" 2>/dev/null || true
	[ ! -e writer.pid ] || kill "$(cat writer.pid)" 2>/dev/null || true
	mountpoint -q "$WORK/small" 2>/dev/null && umount "$WORK/small"
	common_teardown
}

# config: n.ini with one repository and one source; further lines from stdin when there are any
config() {
	cat >n.ini <<-END
		[repository]
		location = $WORK/repo
		key-file = $WORK/key
		[source "app"]
		path = $WORK/src
		tag = nightly
	END
	[ -t 0 ] || cat >>n.ini
	chmod 600 n.ini
}

# monitor [STATUS]: a fake ping server; its address is in `URL`, what it heard in the file heard
monitor() {
	: >heard
	python3 "$BATS_TEST_DIRNAME/../tools/pingd.py" heard 120 "${1:-200}" >port 2>/dev/null 3>&- &
	echo $! >pingd.pid
	for _ in $(seq 100); do
		[ ! -s port ] || break
		sleep 0.05
	done
	URL=http://127.0.0.1:$(cat port)/secret-uuid
}

has_curl() {
	printf '[repository]\nlocation = /x\n[source]\npath = /x\n[ping]\nurl = https://127.0.0.1:1/x\n' >curl.ini
	chmod 600 curl.ini
	! nightjar --config curl.ini nightly -n 2>&1 | grep -q "built without"
}

heard() {
	cut -d' ' -f1 heard | tr '\n' ' '
}

step() { # NAME [REPOSITORY]: its exit code in night.json, or "skipped"
	jq -r --arg n "$1" --arg r "${2:-repository}" '.repositories[] | select(.name == $r) | .steps[] | select(.name == $n) |
		if .skipped then "skipped" else .exit_code end' night.json
}

# night CODE [ARG…]: runs it with --json, keeps the summary in night.json
night() {
	local want=$1 code=0
	shift
	nightjar --json "$@" nightly >all.json 2>err.json || code=$?
	jq -c 'select(.message_type == "nightly_summary")' all.json >night.json
	[ "$code" -eq "$want" ] || { cat all.json err.json && return 1; }
}

@test "a night on a live database: backup, check, metrics, status; what it kept can be restored" {
	config <<-END
		[checks]
		read-data-days = 1
		[metrics]
		textfile = $WORK/m.prom
	END
	(for i in $(seq 2000); do sqlite3 src/app.db "PRAGMA busy_timeout=5000; INSERT INTO t(b) VALUES('live $i')" || true; done) >/dev/null 2>&1 3>&- &
	echo $! >writer.pid
	run --separate-stderr nightjar nightly
	kill "$(cat writer.pid)" && rm writer.pid
	assert_status 0
	assert_output "*--- backup app*--- check*no damage found*--- summary*backup app * ok*check * ok*nightly: all is well*"
	[ -z "$stderr" ]
	python3 "$BATS_TEST_DIRNAME/../tools/promcheck.py" m.prom
	[ "$(stat -c %a m.prom)" = 644 ]
	grep -q '^nightjar_exit_code 0$' m.prom
	run nightjar status
	assert_status 0
	nightjar restore latest --target back --verify >/dev/null
	[ "$(sqlite3 "back$WORK/src/app.db" "SELECT b FROM t WHERE a = 1")" = one ]
	[ "$(nightjar manifests --json | jq -r '.[-1].tags[0]')" = nightly ]
}

@test "JSON: one summary with every step, and each line is an object" {
	night 0
	jq -es 'all(type == "object")' all.json >/dev/null
	[ "$(step backup)" = 0 ] && [ "$(step check)" = 0 ]
	[ "$(jq -r '.exit_code, .dry_run, .repositories[0].backups' night.json | tr '\n' ' ')" = "0 false 1 " ]
	[ "$(jq -r '.repositories[0].manifest_id' night.json)" = "$(nightjar manifests --json | jq -r '.[-1].id')" ]
}

@test "a source that cannot be read: 3, the backup was made, everything else goes on" {
	need_root
	chmod 000 src/sub
	chown -R 65534:65534 src repo key n.ini
	code=0
	as_nobody --config "$WORK/n.ini" --json nightly >all.json 2>err.json || code=$?
	jq -c 'select(.message_type == "nightly_summary")' all.json >night.json
	[ "$code" -eq 3 ]
	[ "$(step backup)" = 3 ] && [ "$(step check)" = 0 ]
	[ "$(jq -r .repositories[0].backups night.json)" = 1 ]
}

@test "no backup: nothing is forgotten, the repository is checked and it is told" {
	sed -i "s,^path = .*,path = $WORK/nowhere," n.ini
	night 1
	[ "$(step backup)" = 1 ] && [ "$(step check)" = 0 ]
	[ "$(jq -r .repositories[0].manifest_id night.json)" = null ]
	run --separate-stderr nightjar status
	assert_status 1
	assert_error "*no night has backed up every source yet*exit code 1*"
}

@test "damage: 20, and the backup was made" {
	printf '[checks]\nread-data-days = 1\n' | config
	night 0
	flip "$BIG" 150000
	backdate
	night 20
	[ "$(step backup)" = 0 ] && [ "$(step check)" = 20 ]
	[ "$(tail -1 err.json | jq -r .code)" = 20 ]
}

# backdate: as if the last part of the data had been read two days ago
backdate() {
	local f
	for f in state/*/check-position; do
		echo "$(cut -d' ' -f1 "$f") $(($(cut -d' ' -f2 "$f") - 2 * 86400))" >"$f.new" && mv "$f.new" "$f"
	done
}

@test "two repositories, one of them broken: the other gets its backup, the worst code wins" {
	printf '[repository "disk"]\nlocation = %s\nkey-file = %s\n[repository "away"]\nlocation = %s\nkey-file = %s\n[source]\npath = %s\n' \
		"$WORK/repo" "$WORK/key" "$WORK/gone" "$WORK/key" "$WORK/src" >n.ini
	night 10
	[ "$(step backup disk)" = 0 ] && [ "$(step check disk)" = 0 ]
	[ "$(step open away)" = 10 ] && [ "$(step backup away)" = skipped ] && [ "$(step check away)" = skipped ]
	run --separate-stderr nightjar status
	assert_status 1
	assert_output "$WORK/repo: last backup *"
	assert_error "nightjar: $WORK/gone: no backup into it was ever made*"
	# The order does not matter, nor which it is.
	nightjar -q -r gone --key-file key2 init
	night 12
	[ "$(step open away)" = 12 ] && [ "$(step backup disk)" = 0 ]
	run --separate-stderr nightjar manifests
	assert_status 2
	assert_error "*names 2 repositories: choose one with -r*"
	run nightjar -r "$WORK/repo" manifests
	assert_status 0
}

@test "a dry run before the first night: nothing to warn of" {
	nightjar -q -r empty --key-file key2 init
	sed -i "s,^location = .*,location = $WORK/empty,; s,^key-file = .*,key-file = $WORK/key2," n.ini
	printf '[retention]\nkeep-daily = 7\nprune = yes\n' >>n.ini
	run --separate-stderr nightjar nightly --dry-run
	assert_status 0
	[ -z "$stderr" ]
}

@test "append-only: nothing is forgotten or pruned there, which is no failure; the other repository is looked after" {
	nightjar -q -r away --key-file key2 init
	printf '[repository "disk"]\nlocation = %s\nkey-file = %s\n[repository "away"]\nlocation = %s\nkey-file = %s\nappend-only = yes\n' \
		"$WORK/repo" "$WORK/key" "$WORK/away" "$WORK/key2" >n.ini
	printf '[source]\npath = %s\n[retention]\nkeep-last = 1\nprune = yes\n' "$WORK/src" >>n.ini
	night 0
	night 0
	[ "$(step forget disk)" = 0 ] && [ "$(step prune disk)" = 0 ]
	[ "$(step forget away)" = skipped ] && [ "$(step prune away)" = skipped ] && [ "$(step check away)" = 0 ]
	[ "$(nightjar -r away --key-file key2 manifests --json | jq length)" = 2 ]
	# Named by -r as well.
	nightjar -r "$WORK/away" nightly >said
	grep -q 'forget  *not done: append-only, as the configuration says; the storage side does this' said
}

@test "forget: by the policy, of this host only; after a failed backup nothing is forgotten" {
	nightjar -q -r repo --key-file key backup --host other src
	nightjar -q -r repo --key-file key backup --host other src
	printf '[retention]\nkeep-last = 1\n' | config
	night 0
	[ "$(step forget)" = 0 ]
	night 0
	jq -es 'all(type == "object")' all.json >/dev/null
	jq -es 'map(select(.message_type == "document")) | length == 1 and .[0].step == "forget" and (.[0].document | type == "array")' all.json >/dev/null
	[ "$(nightjar manifests --json | jq -r '[.[] | select(.hostname == "other")] | length')" = 2 ]
	[ "$(nightjar manifests --json | jq -r '[.[] | select(.hostname != "other")] | length')" = 2 ] # of two groups: make_repo's and ours
	newest=$(nightjar manifests --json | jq -r '.[-1].id')
	sed -i "s,^path = .*,path = $WORK/nowhere," n.ini
	night 1
	[ "$(step forget)" = skipped ]
	[ "$(nightjar manifests --json | jq -r '.[-1].id')" = "$newest" ]
}

@test "prune: after forget; not after a failed backup; its words are the file's" {
	printf '[retention]\nkeep-last = 1\nprune = yes\nmax-unused = 0%%\ngrace = 48h\n' | config
	night 0
	[ "$(step forget)" = 0 ] && [ "$(step prune)" = 0 ]
	head -c 100000 /dev/urandom >src/more
	night 0
	rm src/two.bin
	night 0
	jq -es 'any(.message_type == "summary" and has("waiting") and .waiting.packs > 0)' all.json >/dev/null
	night 0 --json
	sed -i 's/^grace = .*/grace = 1h/' n.ini
	night 2
	[ "$(step forget)" = 0 ] && [ "$(step prune)" = 2 ] && [ "$(step check)" = 0 ]
	sed -i -e 's/^grace = .*/grace = 48h/' -e "s,^path = .*,path = $WORK/nowhere," n.ini
	night 1
	[ "$(step prune)" = skipped ]
	run --separate-stderr nightjar nightly --dry-run
	[[ $output == *"prune"* ]]
}

@test "a disk that is full: it is told, forget waits, prune gives back what it may without moving anything" {
	need_root
	mkdir small && mount -t tmpfs -o size=4m none small 2>/dev/null || skip "mounting is not allowed here"
	cp -a repo/. small
	printf '[retention]\nkeep-last = 1\n[metrics]\ntextfile = %s/m.prom\n' "$WORK" | config
	sed -i "s,^location = .*,location = $WORK/small," n.ini
	head -c 300000 /dev/urandom >src/gone
	head -c 10000 /dev/urandom >src/stays
	night 0
	rm src/gone
	night 0
	grep -q '^nightjar_disk_full{.*} 0$' m.prom
	sed -i 's/^keep-last.*/&\nprune = yes\nmax-unused = 0%/' n.ini
	head -c 6000000 /dev/urandom >src/large
	night 1
	[ "$(step backup)" = 1 ] && [ "$(step forget)" = skipped ] && [ "$(step prune)" = 0 ]
	jq -es 'any(.message_type == "summary" and has("waiting") and .written.packs == 0)' all.json >/dev/null
	[ "$(jq -r '.repositories[0].disk_full' night.json)" = true ]
	grep -q '^nightjar_disk_full{.*} 1$' m.prom
	run nightjar nightly
	assert_output "*No space left*--- summary*backup app *exit code 1*prune * ok*the disk is FULL*NOT all is well*"
	rm src/large
	night 0
	jq -es 'any(.message_type == "summary" and has("waiting") and .written.packs > 0)' all.json >/dev/null
	[ "$(jq -r '.repositories[0].disk_full' night.json)" = false ]
}

@test "an immutable file that changed: exit code 0, but told as not well: summary, metrics, hook, ping and status" {
	mkdir src/att && echo one >src/att/1 && echo two >src/att/2
	has_curl && monitor && printf '[ping]\nurl = %s\n' "$URL" >ping.ini || : >ping.ini
	(
		echo "immutable = $WORK/src/att"
		cat ping.ini
		printf '[metrics]\ntextfile = %s/m.prom\n' "$WORK"
		printf '[hooks]\nfailed = echo "$NIGHTJAR_EXIT_CODE $NIGHTJAR_ALARMS" >%s/told\n' "$WORK"
	) | config
	night 0
	[ ! -e told ]
	grep -q '^nightjar_immutable_alarms{.*} 0$' m.prom
	echo ONE, and more >src/att/1
	run --separate-stderr nightjar nightly
	assert_status 0
	says "*ALARM: */src/att/1 has another content*"
	assert_output "*--- summary*ALARM: 1 file of immutable folders changed*NOT all is well*"
	grep -q '^nightjar_immutable_alarms{.*} 1$' m.prom
	[ "$(cat told)" = "0 1" ]
	if [ -s ping.ini ]; then
		[ "$(cut -d' ' -f1 heard | tail -1)" = /secret-uuid/fail ]
		tail -1 heard | grep -q ALARM
	fi
	fails 1 "nightjar: $WORK/repo: the last night raised an ALARM: 1 file of immutable folders changed; its log names each" status
	night 0
	run nightjar status
	assert_status 0
}

@test "drill: when it is due, of what each source's backup made; on whatever host it was made" {
	config <<-END
		[source "other"]
		path = $WORK/src/sub
		[checks]
		drill-days = 30
		[metrics]
		textfile = $WORK/m.prom
	END
	night 0
	[ "$(step drill | tr '\n' ' ')" = "0 0 " ]
	grep -q '^nightjar_last_good_drill_timestamp_seconds{' m.prom
	[ "$(nightjar status --json | jq -r '.repositories[0].last_good_drill | length > 0')" = true ]
	night 0
	[ "$(step drill)" = skipped ]
	# On another host, too: the note is in the repository.
	NIGHTJAR_STATE_DIR=$WORK/elsewhere night 0
	[ "$(step drill)" = skipped ]
	sed -i 's/^drill-days = .*/drill-days = 1/' n.ini
	night 0
	[ "$(step drill)" = skipped ]
}

@test "drill: a failed one is 23, the night's backup stays, and it is due again" {
	printf '[checks]\ndrill-days = 30\n' | config
	nightjar -q backup --tag nightly src
	flip "$(object data)" 150000
	night 23
	[ "$(step drill)" = 23 ] && [ "$(step backup)" = 0 ]
	run nightjar check --read-data # notes it, so that the next backup heals it
	assert_status 20
	night 0
	[ "$(step drill)" = 0 ]
}

@test "drill: what the file asserts, of every source or of one" {
	config <<-END
		assert = app.db:
		   SELECT count(*) = 2
		   FROM t
		[source "other"]
		path = $WORK/src/sub
		[checks]
		drill-days = 30
	END
	night 0
	[ "$(step drill | tr '\n' ' ')" = "0 0 " ]
	elsewhere() { # a repository that knows of no drill yet
		nightjar -q -r "$1" init --key-file "$1.key"
		sed -i "s,^location = .*,location = $WORK/$1,; s,^key-file = .*,key-file = $WORK/$1.key," n.ini
	}
	elsewhere second
	sed -i 's/= 2$/= 3/' n.ini
	night 23
	[ "$(step drill | tr '\n' ' ')" = "23 0 " ]
	jq -se 'any(.assertions == 1 and .assertions_failed == 1)' all.json
	elsewhere third
	sed -i 's/= 3$/= 2/' n.ini
	printf 'assert = app.db: SELECT 1\n' >>n.ini
	night 2 # the other source has no app.db
	[ "$(step drill | tr '\n' ' ')" = "0 2 " ]
}

@test "a step that was not understood does not hide what others found" {
	sqlite3 src/app.db "CREATE TABLE f(path); INSERT INTO f VALUES('sub/b.txt')"
	config <<-END
		refs = app.db: SELECT path FROM f
		[source "other"]
		path = $WORK/src
		refs = nowhere.db: SELECT path FROM f
	END
	night 22
	[ "$(step backup | tr '\n' ' ')" = "22 2 " ]
}

@test "refs: an attachment that the database names and that is missing: 22, counted in the metrics" {
	sqlite3 src/app.db "CREATE TABLE f(path); INSERT INTO f VALUES('sub/a.txt'), ('sub/b.txt')"
	config <<-END
		refs = app.db:
		   SELECT path FROM f
		[metrics]
		textfile = $WORK/m.prom
	END
	night 22
	[ "$(step backup)" = 22 ]
	grep -q '^nightjar_references_missing{.*} 1$' m.prom
	echo here >src/sub/b.txt
	night 0
	grep -q '^nightjar_references_missing{.*} 0$' m.prom
}

@test "hooks: in their order, with what they are told and nothing else" {
	config <<-END
		before = echo "source \$NIGHTJAR_EVENT \$NIGHTJAR_SOURCE \$NIGHTJAR_EXIT_CODE" >>$WORK/order
		after = echo "source \$NIGHTJAR_EVENT \$NIGHTJAR_EXIT_CODE" >>$WORK/order
		failed = echo never >>$WORK/order
		[hooks]
		before = echo "night \$NIGHTJAR_EVENT" >>$WORK/order
		after =
		  echo "night \$NIGHTJAR_EVENT \$NIGHTJAR_EXIT_CODE" >>$WORK/order
		  echo "\$NIGHTJAR_MANIFEST_ID" >$WORK/id
		  env >$WORK/environment
		failed = echo never >>$WORK/order
	END
	SECRET_OF_MINE=x AWS_SECRET_ACCESS_KEY=x night 0
	[ "$(tr '\n' ',' <order)" = "night before,source before app 0,source after 0,night after 0," ]
	[ "$(cat id)" = "$(jq -r .repositories[0].manifest_id night.json)" ]
	grep -qx "NIGHTJAR_LOCATION=$WORK/repo" environment
	run grep -cvE '^(PATH|HOME|USER|LANG|LC_ALL|TZ|TMPDIR|PWD|SHLVL|OLDPWD|_|NIGHTJAR_(EVENT|SOURCE|MANIFEST_ID|LOCATION|EXIT_CODE|ALARMS))=' environment
	[ "$output" = 0 ]
}

@test "hook before fails: no backup of that source, exit 1, the other sources go on, after and failed are run" {
	config <<-END
		before =
		   echo about to fail
		   false
		   echo not reached >$WORK/reached
		after = echo after >>$WORK/order
		failed = echo "failed \$NIGHTJAR_EXIT_CODE" >>$WORK/order
		[source "other"]
		path = $WORK/src/sub
		[hooks]
		failed = echo "night failed \$NIGHTJAR_EXIT_CODE" >>$WORK/order
	END
	night 1
	[ ! -e reached ]
	[ "$(tr '\n' ',' <order)" = "failed 1,after,night failed 1," ]
	[ "$(step backup | tr '\n' ' ')" = "skipped 0 " ]
	[ "$(jq -r 'select(.message_type == "hook_output") | .line' all.json)" = "about to fail" ]
	jq -r .error.message err.json | grep -qx "hook 'before' of app: exit status 1"
}

@test "the night's own before fails: no backup at all, but a check" {
	printf '[hooks]\nbefore = exit 7\n' | config
	night 1
	[ "$(step backup)" = skipped ] && [ "$(step check)" = 0 ]
	jq -r .error.message err.json | grep -qx "hook 'before': exit status 7"
}

@test "a hook that takes too long is ended with all that it started; one that floods is cut" {
	config <<-END
		[hooks]
		before =
		   (trap '' TERM; exec sleep 100) & echo \$! >$WORK/child
		   sleep 100
		time-limit = 1s
		after = yes | head -c 10000000
	END
	began=$SECONDS
	night 1
	[ $((SECONDS - began)) -lt 30 ]
	# Gone, or waiting for an init that does not care.
	[ ! -e "/proc/$(cat child)" ] || grep -q '^State:.*Z' "/proc/$(cat child)/status"
	jq -r .error.message err.json | grep -q "hook 'before': took longer than 1 s"
	[ "$(wc -c <all.json)" -lt 3000000 ]
}

@test "a hook's script is on no command line, and not inherited by what it starts; its input is empty" {
	config <<-'END'
		[hooks]
		before =
		   token=hush-hush; ls -l /proc/self/fd >open
		   tr '\0' '\n' </proc/$$/cmdline >words; tr '\0' '\n' </proc/$PPID/cmdline >>words
		   for p in /proc/[0-9]*; do tr '\0' '\n' <$p/cmdline >>words 2>/dev/null || true; done
		   ! read line
		   test "$token" = hush-hush && echo "it is $0" >done
	END
	night 0
	[ -s done ] && [ -s words ]
	run grep -c hush-hush words
	[ "$output" = 0 ]
	run grep -c 'memfd\|pipe.*[3-9] ->' open
	[ "$output" = 0 ]
	# And with an ordinary user's rights; what fails is told with its line.
	need_root
	printf '[hooks]\nbefore =\n  true\n  false\n  true\n' | config
	chown -R 65534:65534 src repo key n.ini
	run --separate-stderr as_nobody --config "$WORK/n.ini" nightly
	assert_status 1
	says "nightjar: hook 'before': exit status 1"
}

# gone FILE…: the processes whose ids are in these files have ended, or do within some seconds
gone() {
	local file
	for file in "$@"; do
		for _ in $(seq 200); do
			[ -e "/proc/$(cat "$file")" ] && ! grep -q '^State:.*Z' "/proc/$(cat "$file")/status" || continue 2
			sleep 0.05
		done
		return 1
	done
}

@test "killed or interrupted in a hook: it ends, with all that it started; what cleans up is run to its end" {
	config <<-END
		before =
		   sleep 100 & echo \$! >$WORK/child
		   echo \$\$ >$WORK/begun.new; mv $WORK/begun.new $WORK/begun
		   sleep 100
		after = sleep 1; echo after >$WORK/after
	END
	for signal in KILL TERM HUP; do
		rm -f begun after
		"$NIGHTJAR" nightly >/dev/null 2>&1 3>&- &
		first=$!
		for _ in $(seq 100); do
			[ ! -e begun ] || break
			sleep 0.05
		done
		kill -$signal "$first"
		code=0
		wait "$first" || code=$?
		gone begun child
		[ $signal != KILL ] || continue
		[ "$code" -eq 130 ]
		[ "$(cat after)" = after ]
	done
}

@test "the last hooks: the night is written down before them; one that fails is in the metrics, the status and the code" {
	for event in after failed; do
		rm -rf state m.prom seen
		config <<-END
			[hooks]
			$event =
			   grep '^nightjar_exit_code' $WORK/m.prom >$WORK/seen
			   exit 4
			[metrics]
			textfile = $WORK/m.prom
		END
		[ $event = after ] || sed -i 's,^\[hooks\],&\nbefore = exit 7,' n.ini
		night 1
		[ "$(cat seen)" = "nightjar_exit_code $([ $event = after ] && echo 0 || echo 1)" ]
		grep -q '^nightjar_exit_code 1$' m.prom
		grep -q "^nightjar_step_exit_code{step=\"hook:$event\",source=\"\"} 1$" m.prom
		run grep -c '^nightjar_last_clean' m.prom
		[ "$output" = 0 ]
		[ "$(jq -r '.steps[] | select(.name == "hook:'$event'") | .exit_code' night.json)" = 1 ]
		run --separate-stderr nightjar status
		assert_status 1
		assert_error "*the last night ended with exit code 1 (failed)*"
	done
	config <<-END
		[hooks]
		after = $NIGHTJAR status >$WORK/seen
		[metrics]
		textfile = $WORK/m.prom
	END
	NIGHTJAR_STATE_DIR=$WORK/home/.local/state/nightjar night 0
	grep -q "$WORK/repo: last backup" seen
	grep -q '^nightjar_last_clean' m.prom
}

@test "restore between its hooks; not in a dry run; before fails: nothing is restored" {
	printf '[hooks "restore"]\nbefore = echo before >>%s\nafter = echo after >>%s\n' "$WORK/order" "$WORK/order" | config
	nightjar restore latest --target back --dry-run >/dev/null
	[ ! -e order ]
	nightjar restore latest --target back >/dev/null
	[ "$(tr '\n' ',' <order)" = "before,after," ]
	sed -i 's/^before = .*/before = exit 3/' n.ini
	run --separate-stderr nightjar restore latest --target back2
	assert_status 1
	says "nightjar: hook 'before': exit status 3"
	[ ! -e back2 ]
}

@test "pings: start, then success with the end of the log, then fail; no secret in them" {
	has_curl || skip "built without libcurl"
	monitor
	echo "$URL/?a=b" >url && chmod 600 url
	printf '[ping]\nurl-file = %s\ntimeout = 5s\n' "$WORK/url" | config
	run --separate-stderr nightjar nightly
	assert_status 0
	[ "$(heard)" = "/secret-uuid/start?a=b /secret-uuid/?a=b " ]
	tail -1 heard | cut -d' ' -f2- | jq -r . >body
	grep -q "manifest .* saved" body && grep -q "all is well" body
	printf 'after = echo "look at rest:https://me:pass@host/x and %s/?a=b"; exit 1\n' "$URL" >>hook
	sed -i "/^tag/r hook" n.ini
	run --separate-stderr nightjar nightly
	assert_status 1
	[ "$(cut -d' ' -f1 heard | tail -1)" = "/secret-uuid/fail?a=b" ]
	tail -1 heard | cut -d' ' -f2- | jq -r . >body
	grep -q "hook 'after' of app: exit status 1" body
	grep -q "look at rest:https://host/x and \*\*\*" body
	run grep -cE 'secret-uuid|pass@' body
	[ "$output" = 0 ]
	[ "$(wc -c <body)" -le 10000 ]
}

@test "a ping that fails is a warning without the url, whatever fails about it" {
	has_curl || skip "built without libcurl"
	for answer in 500 404 302; do
		[ ! -e pingd.pid ] || kill "$(cat pingd.pid)"
		monitor $answer
		printf '[ping]\nurl = %s\n' "$URL" | config
		run --separate-stderr nightjar nightly
		assert_status 0
		says "nightjar: warning: the ping failed: the server answered $answer"
		[[ $stderr != *secret-uuid* ]]
	done
	kill "$(cat pingd.pid)"
	wait "$(cat pingd.pid)" 2>/dev/null || true
	run --separate-stderr nightjar nightly
	assert_status 0
	says "nightjar: warning: the ping failed: *"
	[[ $stderr != *secret-uuid* ]]
}

@test "a url that others can read, or that is none: 2 before anything is done" {
	has_curl || skip "built without libcurl"
	echo "https://host/x" >url && chmod 644 url
	printf '[ping]\nurl-file = %s\n' "$WORK/url" | config
	fails 2 "*$WORK/url*chmod 600*" nightly
	echo "file:///etc/passwd" >url && chmod 600 url
	fails 2 "*begin with https://*" nightly
	[ "$(nightjar manifests --json | jq length)" = 2 ]
}

@test "a url-file that is not there: a warning, and the night is made" {
	has_curl || skip "built without libcurl"
	printf '[ping]\nurl-file = %s\n' "$WORK/nowhere" | config
	run --separate-stderr nightjar nightly
	assert_status 0
	says "nightjar: warning: no ping is sent: $WORK/nowhere: No such file or directory"
	[ "$(nightjar manifests --json | jq length)" = 3 ]
}

@test "one at a time: the second ends with 11 and does nothing; a killed one leaves no lock" {
	printf 'before =\n  echo $$ >%s/begun\n  exec sleep 100\n' "$WORK" | config
	"$NIGHTJAR" nightly >/dev/null 2>&1 3>&- &
	first=$!
	for _ in $(seq 100); do
		[ ! -s begun ] || break
		sleep 0.05
	done
	fails 11 "*another nightly*$WORK/n.ini*" nightly
	kill -9 "$first" && { wait "$first" 2>/dev/null || true; }
	kill "$(cat begun)"
	config </dev/null
	night 0
}

@test "interrupted: 130, what was not done is said, the summary is there" {
	printf '[hooks]\nbefore =\n  touch %s/begun\n  sleep 100\n' "$WORK" | config
	"$NIGHTJAR" --json nightly >all.json 2>err.json 3>&- &
	first=$!
	for _ in $(seq 100); do
		[ ! -e begun ] || break
		sleep 0.05
	done
	kill -TERM "$first"
	code=0
	wait "$first" || code=$?
	[ "$code" -eq 130 ]
	jq -c 'select(.message_type == "nightly_summary")' all.json >night.json
	[ "$(step backup)" = skipped ] && [ "$(step check)" = skipped ]
	[ "$(nightjar manifests --json | jq length)" = 2 ]
}

@test "metrics: replaced as a whole, labels escaped, the last good time outlives a failing night" {
	config <<-END
		[metrics]
		textfile = $WORK/m.prom
	END
	mv repo 'repo"q\' && sed -i 's,^location = .*,location = '"$WORK"'/repo"q\\,' n.ini
	night 0
	python3 "$BATS_TEST_DIRNAME/../tools/promcheck.py" m.prom
	grep -F 'location="'"$WORK"'/repo\"q\\"' m.prom >/dev/null
	good=$(grep '^nightjar_last_success' m.prom)
	[ -n "$good" ]
	inode=$(stat -c %i m.prom)
	mv 'repo"q\' away
	night 10
	python3 "$BATS_TEST_DIRNAME/../tools/promcheck.py" m.prom
	[ "$(stat -c %i m.prom)" != "$inode" ]
	[ "$(grep '^nightjar_last_success' m.prom)" = "$good" ]
	grep -q '^nightjar_exit_code 10$' m.prom
	[ "$(find . -maxdepth 1 -name 'm.prom.*' | wc -l)" -eq 0 ]
	mv away 'repo"q\'
	sed -i "s,^textfile = .*,textfile = $WORK/no/m.prom," n.ini
	night 1
	[ "$(step backup)" = 0 ]
	jq -r .error.message err.json | grep -q "$WORK/no/m.prom"
}

@test "the data is read in parts: so many days, every byte once" {
	for i in $(seq 12); do
		head -c 20000 /dev/urandom >"src/more$i"
		nightjar -q backup src
	done
	whole=$(nightjar check --read-data --json | jq -r .bytes_read)
	rm -rf state/*/check-position
	total=0
	for _ in 1 2 3; do
		part=$(nightjar check --read-data-days 6 --json | jq -r .bytes_read)
		[ "$part" -lt "$whole" ]
		total=$((total + part))
		backdate # two days; the first part was that of one
	done
	part=$(nightjar check --read-data-days 6 --json | jq -r .bytes_read) # day 7 of 6: a sixth for the second time
	[ $((total + part)) -ge "$whole" ]
	for n in 1 2 3; do
		nightjar check --read-data-subset $n/3 --json
	done | jq -s "map(.bytes_read) | add" | grep -qx "$whole"
	[ "$(nightjar check --read-data-subset 100% --json | jq -r .bytes_read)" = "$whole" ]
	for bad in 0/3 4/3 1/0 x 0% 101% -5 5x ''; do
		run nightjar check "--read-data-subset=$bad"
		assert_status 2
	done
	fails 2 "*one of*" check --read-data --read-data-days 3
	fails 2 "*1 to*" check --read-data-days 0
}

@test "a dry run: no manifest, no hook, no metrics, no lock" {
	printf '[hooks]\nbefore = touch %s/ran\n[metrics]\ntextfile = %s/m.prom\n' "$WORK" "$WORK" | config
	run --separate-stderr nightjar nightly --dry-run
	assert_status 0
	assert_output "*dry run: nothing was stored*nightly (dry run): all is well*"
	[ ! -e ran ] && [ ! -e m.prom ]
	[ "$(nightjar manifests --json | jq length)" = 2 ]
}
