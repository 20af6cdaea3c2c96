# tests/golden: what a repository of this format must give, and the errors that damaged ones must give; by the program and by the second
# reader. tests/golden/README says what is there.
load helpers

GOLDEN=$BATS_TEST_DIRNAME/../golden
READER=$BATS_TEST_DIRNAME/../reader/nightjar_reader.py

setup() {
	common_setup
	export NIGHTJAR_REPOSITORY=repo LC_ALL=C PYTHONDONTWRITEBYTECODE=1
	ln -s "$GOLDEN" golden
	install -m 600 "$GOLDEN"/*.key .
	printf golden >password && chmod 600 password
	tar -xf "$GOLDEN/repo.tar"
	mv repo sound
	# shellcheck source=tests/golden/apply.sh
	. "$GOLDEN/apply.sh"
}

need_reader() {
	python3 -c 'import ctypes
ctypes.CDLL("libsodium.so.23"), ctypes.CDLL("libzstd.so.1")' 2>/dev/null ||
		skip "needs python3, libsodium.so.23 and libzstd.so.1"
}

fresh_copy() {
	rm -rf repo out cache state
	cp -a sound repo
}

# gives ID FOLDER: what was restored is what must be
gives() {
	grep -a "^$1" "$GOLDEN/restores" | cut -f2- | diff -a - <(entries "$2")
}

ids() {
	cut -f1 "$GOLDEN/restores" | sort -u
}

@test "golden: every backup comes back, by the full key and a read key, and by the password" {
	local id n=0
	fresh_copy
	[ "$(nightjar --key-file full.key manifests --json | jq -r '.[].id' | sort)" = "$(ids)" ]
	for secret in "--key-file full.key" "--key-file read.key" "--password-file password"; do
		for id in $(ids); do
			# The password gives what the full key has: two do.
			[[ $secret != *password || $n -lt $((2 * $(ids | wc -l) + 2)) ]] || continue
			rm -rf out
			# shellcheck disable=SC2086
			nightjar -q $secret restore "$id" --target out --verify >/dev/null
			gives "$id" out
			n=$((n + 1))
		done
	done
	nightjar -q --key-file full.key check --read-data
	echo "# $n restores" >&3
}

@test "golden: the key of each role does its work" {
	fresh_copy
	nightjar -q --key-file maintain.key check
	nightjar -q --key-file write.key backup golden/variants
	[ "$(nightjar -q --key-file read.key manifests --json | jq '.[-1].hostname')" = '"gamma"' ]
	nightjar -q --key-file maintain.key prune >/dev/null
	nightjar -q --key-file maintain.key forget --keep-last 1 >/dev/null
	[ "$(nightjar -q --key-file full.key manifests --json | jq -r '.[].hostname' | sort | xargs)" = "alpha beta delta gamma gamma" ]
	nightjar -q --key-file full.key check --read-data
}

@test "golden: each variant gives its error" {
	local name what command code text reader bad=0 n=0
	while IFS='|' read -r name what command code text reader; do
		name=${name// /} code=${code// /} text=${text# } text=${text% }
		fresh_copy
		apply "${what# }"
		# shellcheck disable=SC2086
		NIGHTJAR_KEY_FILE=full.key run --separate-stderr nightjar $command
		if [ "$status" -ne "$code" ] || { [ -n "$text" ] && [[ $stderr$output != *"$text"* ]]; }; then
			printf '%s: %s gave %s, not %s with "%s":\n%s\n%s\n' "$name" "$command" "$status" "$code" "$text" "$stderr" "$output"
			bad=$((bad + 1))
		fi
		n=$((n + 1))
	done <"$GOLDEN/variants"
	echo "# $n variants" >&3
	[ "$n" -gt 30 ] && [ "$bad" -eq 0 ]
}

@test "golden: the second reader gives the same files" {
	local id
	need_reader
	fresh_copy
	for id in $(ids); do
		rm -rf out
		python3 "$READER" -r repo --key-file read.key extract "$id" out
		gives "$id" out
	done
	python3 "$READER" -r repo --password-file password verify
}

@test "golden: and refuses the same variants" {
	local name what command code text reader bad=0
	need_reader
	while IFS='|' read -r name what command code text reader; do
		reader=${reader// /}
		[ "$reader" != - ] || continue
		fresh_copy
		apply "${what# }"
		run python3 "$READER" -r repo --key-file full.key verify
		if [ "$status" -ne "$reader" ]; then
			printf '%s: verify gave %s, not %s:\n%s\n' "${name// /}" "$status" "$reader" "$output"
			bad=$((bad + 1))
		fi
	done <"$GOLDEN/variants"
	[ "$bad" -eq 0 ]
}
