# apply WHAT: changes the repository ./repo as a variant says: steps divided by ";".
#   flip PATH OFFSET            another bit there
#   bytes PATH OFFSET HEX
#   cut PATH BYTES              to that length
#   swap PATH A B BYTES         two stretches
#   drop PATH…
#   copy FROM TO                the bytes of one under the name of another
#   named PATH                  under the name that its bytes have now
#   put FOLDER FILE             another object, under its name
# shellcheck shell=bash

flip() {
	bytes "$1" "$2" "$(printf '%02x' $(($(od -An -tu1 -j "$2" -N 1 "$1") ^ 4)))"
}

bytes() {
	# shellcheck disable=SC2059
	printf "$(sed 's/../\\x&/g' <<<"$3")" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

cut_to() {
	truncate -s "$2" "$1"
}

swap() {
	dd if="$1" of=first bs=1 skip="$2" count="$4" status=none
	dd if="$1" of=second bs=1 skip="$3" count="$4" status=none
	dd if=second of="$1" bs=1 seek="$2" conv=notrunc status=none
	dd if=first of="$1" bs=1 seek="$3" conv=notrunc status=none
	rm first second
}

# place FOLDER FILE: where an object belongs
place() {
	local name
	name=$(sha256sum <"$2" | cut -d' ' -f1)
	case $1 in
	*data*) echo "repo/data/${name:0:2}/$name" ;;
	*) echo "repo/$1/$name" ;;
	esac
}

put() {
	local to
	to=$(place "$1" "$2")
	mkdir -p "$(dirname "$to")" && cp "$2" "$to" && chmod u+w "$to"
}

named() {
	local folder=${1#repo/}
	put "${folder%%/*}" "$1" && rm "$1"
}

apply() {
	local step words
	while IFS= read -r step; do
		read -ra words <<<"$step"
		case ${words[0]} in
		cut) cut_to "${words[@]:1}" ;;
		drop) rm "${words[@]:1}" ;;
		copy) cp "${words[1]}" "${words[2]}" ;;
		*) "${words[@]}" ;;
		esac || return
	done <<<"${1//;/$'\n'}"
}

# entries FOLDER, below which paths are full: kind, SHA-256 or target or -, path of each
entries() {
	local kind target path shown
	find "$1" -mindepth 1 -printf '%y\001%l\001%p\0' | LC_ALL=C sort -z |
		while IFS=$'\001' read -r -d '' kind target path; do
			shown=${path#"$1"}
			shown=${shown//$'\n'/\\n}
			case $kind in
			f) printf 'f\t%s\t%s\n' "$(sha256sum <"$path" | cut -d' ' -f1)" "$shown" ;;
			l) printf 'l\t%s\t%s\n' "$target" "$shown" ;;
			*) printf '%s\t-\t%s\n' "$kind" "$shown" ;;
			esac
		done
}
