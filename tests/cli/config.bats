# The configuration file: where it is looked for, what beats it, who may write to it, and what is wrong with it.
load helpers
load repo

setup() {
	common_setup
	make_repo
	unset NIGHTJAR_REPOSITORY NIGHTJAR_KEY_FILE
	export XDG_CONFIG_HOME=$WORK/config
	mkdir -p config/nightjar
	printf '[repository]\nlocation = %s\nkey-file = %s\n' "$WORK/repo" "$WORK/key" >good.ini
	chmod 600 good.ini
}

count() {
	nightjar "$@" manifests --json | jq length
}

@test "--config, then NIGHTJAR_CONFIG, then the usual place; --config must be there" {
	[ "$(count --config good.ini)" = 2 ]
	[ "$(NIGHTJAR_CONFIG=$WORK/good.ini count)" = 2 ]
	fails 2 "*no repository given*configuration file*" manifests
	cp good.ini config/nightjar/nightjar.ini
	[ "$(count)" = 2 ]
	[ "$(NIGHTJAR_CONFIG='' count)" = 2 ]
	fails 2 "nightjar: the configuration nowhere.ini: No such file*" --config nowhere.ini manifests
	NIGHTJAR_CONFIG=nowhere.ini fails 2 "*nowhere.ini*" manifests
	[ "$(NIGHTJAR_CONFIG=nowhere.ini count --config good.ini)" = 2 ]
	unset XDG_CONFIG_HOME
	if [ "$(id -u)" -ne 0 ]; then
		mkdir -p "$HOME/.config" && mv config/nightjar "$HOME/.config/"
		[ "$(count)" = 2 ]
	fi
}

@test "an option beats its variable, a variable beats the file" {
	nightjar -q -r other --key-file otherkey init
	[ "$(count --config good.ini -r other --key-file otherkey)" = 0 ]
	[ "$(NIGHTJAR_REPOSITORY=other NIGHTJAR_KEY_FILE=otherkey count --config good.ini)" = 0 ]
	[ "$(NIGHTJAR_REPOSITORY=other count --config good.ini -r repo)" = 2 ]  # its key from the file
	[ "$(count --config good.ini -r "$WORK/./repo")" = 2 ]
	fails 12 "*key file otherkey*" --config good.ini --key-file otherkey manifests
	NIGHTJAR_KEY_FILE=otherkey fails 12 "*key file otherkey*" --config good.ini manifests
	# Another repository does not get the file's key.
	fails 12 "*no password given*" --config good.ini -r other manifests
}

@test "passwords come from where the file says" {
	nightjar -q -r pw --password-command 'echo one' init
	printf '[repository]\nlocation = %s\npassword-command = echo one\n' "$WORK/pw" >p.ini
	chmod 644 p.ini
	[ "$(count --config p.ini)" = 0 ]
	echo one >pass && chmod 600 pass
	sed -i "s,^password-command.*,password-file = $WORK/pass," p.ini
	[ "$(count --config p.ini)" = 0 ]
}

@test "init makes the repository that the file names" {
	printf '[repository]\nlocation = %s\nkey-file = %s\n' "$WORK/new" "$WORK/newkey" >new.ini
	chmod 600 new.ini
	nightjar -q --config new.ini init
	[ -s newkey ] && [ "$(count --config new.ini)" = 0 ]
}

@test "a file that others can write to is refused, and one with a secret that others can read" {
	for mode in 620 602 622 666; do
		chmod $mode good.ini
		fails 2 "*good.ini: others can write to it: 'chmod go-w' it" --config good.ini manifests
	done
	chmod 644 good.ini
	[ "$(count --config good.ini)" = 2 ]
	printf '[ping]\nurl = https://hc.example/uuid\n' >>good.ini
	for mode in 644 640 604; do
		chmod $mode good.ini
		fails 2 "*good.ini: holds the ping's url and can be read by others: 'chmod 600 good.ini'" --config good.ini manifests
	done
	chmod 600 good.ini
	[ "$(count --config good.ini)" = 2 ]
	printf '[repository]\nlocation = rest:https://u:p@h/\n' >l.ini
	chmod 644 l.ini
	fails 2 "*l.ini: holds a password in a location*" --config l.ini manifests
	[[ $stderr != *u:p@* ]]
	sed -i 's,u:p@,u@x:p@,' l.ini # the last @ is the one
	fails 2 "*l.ini: holds a password in a location*" --config l.ini manifests
	fails 2 "*: is no file" --config "$WORK" manifests
}

@test "a secret of two repositories is not in the advice to choose one; one place is no two" {
	printf '[repository "a"]\nlocation = rest:https://me:geheim@h/\n[repository "b"]\nlocation = %s\n' "$WORK/repo" >two.ini
	chmod 600 two.ini
	fails 2 "*two.ini names 2 repositories: choose one with -r REPO, such as -r rest:https://h" --config two.ini manifests
	printf '[repository "c"]\nlocation = %s\n' "$WORK/./repo" >>two.ini
	fails 2 "*two.ini:5: the repository 'c' is where 'b' of line 3 is" --config two.ini manifests
}

@test "a broken file stops no restore that has a repository and a key without it" {
	mkdir -p config/nightjar
	printf '[hooks "restore"]\nbefore = touch %s/ran\nnonsense\n' "$WORK" >config/nightjar/nightjar.ini
	chmod 600 config/nightjar/nightjar.ini
	fails 2 "*nightjar.ini:3: is neither*" restore latest --target back
	fails 2 "*nightjar.ini:3: is neither*" -r repo restore latest --target back
	run --separate-stderr nightjar -r repo --key-file key restore latest --target back
	assert_status 0
	says "nightjar: warning: *nightjar.ini:3: is neither*; the repository and the key were given without it*hooks*"
	[ ! -e ran ]
	diff -r --exclude=app.db src "back$SRC"
	NIGHTJAR_REPOSITORY=repo NIGHTJAR_KEY_FILE=key run --separate-stderr nightjar restore latest --target again
	assert_status 0
	for command in manifests check "dump latest:$SRC/sub/a.txt"; do
		# shellcheck disable=SC2086
		run --separate-stderr nightjar -r repo --key-file key $command
		assert_status 0
		[[ $stderr != *neither* ]]
	done
	fails 2 "*nightjar.ini:3: is neither*" -r repo --key-file key nightly
	# What it says stands when it reads.
	sed -i '$d' config/nightjar/nightjar.ini
	run nightjar -r repo --key-file key restore latest --target third
	[ -e ran ]
}

@test "what is wrong is one line with file and line number, exit code 2" {
	while IFS='|' read -r line says text; do
		printf '%b' "$text" >bad.ini
		chmod 600 bad.ini
		fails 2 "nightjar: bad.ini:$line: *$says*" --config bad.ini manifests
	done <<-'END'
		1|unknown section \[nonsense\]|[nonsense]\n
		2|unknown key 'locaton'|[repository]\nlocaton = /x\n
		2|neither a section|[repository]\nlocation\n
		4|comes twice|[repository]\nlocation = /x\n\nlocation = /y\n
		1|has no location|[repository]\n
		3|begins with '/'|[repository]\nlocation = /x\nkey-file = key\n
		3|a number of backups|# c\n[retention]\nkeep-daily = seven\n
		3|no duration|# c\n[retention]\nkeep-within = 36hours\n
		2|yes or no|[retention]\nprune = 1\n
		2|'keep-daily': 'x' is|[retention]\nkeep-daily = x\n
		3|'parity': '3' is not off, 2 or 4|[repository]\nlocation = /x\nparity = 3\n
		3|'grace': 2 hours at least|[retention]\nprune = yes\ngrace = 1h\n
		3|'max-unused': '5' has no unit|[retention]\nprune = yes\nmax-unused = 5\n
		3|'max-repack-size': *too large|[retention]\nprune = yes\nmax-repack-size = 99999999t\n
		2|'group-by': 'names' is none|[retention]\ngroup-by = names\n
		1|what to keep is not said|[retention]\nmin-age = 2d\n
		3|'refs': |[source]\npath = /a\nrefs = a.db\n
		2|'url' must begin with https://|[ping]\nurl = gopher://x/\n
		1|has no textfile|[metrics]\n
		2|ends with .prom|[metrics]\ntextfile = /m.txt\n
		1|'off' goes with no other|[checks]\noff = yes\nintegrity = full\n
		3|\[hooks\] is in line 1 already|[hooks]\n\n[hooks]\n
		2|name of a key is missing|[hooks]\n= x\n
	END
}

@test "nightly: without a file, a source or a repository: 2 and what to do" {
	fails 2 "*needs a configuration file*--config FILE*nightjar help config*" nightly
	fails 2 "*good.ini: names neither a \[source\]*" --config good.ini nightly
	printf '[source]\npath = /x\n' >s.ini && chmod 600 s.ini
	fails 2 "*s.ini: names no \[repository\]*-r*" --config s.ini nightly
	cat good.ini s.ini >b.ini && chmod 600 b.ini
	printf 'exclude = [\n[hooks]\nbefore = touch %s/ran\n' "$WORK" >>b.ini
	# What a command would refuse is refused before anything is done, whatever reads the file.
	for command in nightly manifests; do
		fails 2 "*b.ini:6: 'exclude': pattern '\['*" --config b.ini $command
	done
	sed -i 's/^exclude = .*/exclude-larger-than = 99999999999999t/' b.ini
	fails 2 "*b.ini:6: 'exclude-larger-than': *too large*" --config b.ini nightly
	[ ! -e ran ]
}

@test "the example is printed, parses, and every section has its place in it" {
	nightjar help config >e.ini
	chmod 600 e.ini
	fails 10 "*/srv/backup/app*" --config e.ini manifests
	for s in repository source retention checks hooks metrics ping; do
		grep -qE "^(# )?\[$s" e.ini
	done
	run nightjar help
	assert_output "*nightly*status*nightjar help config*"
}
