#!/usr/bin/env bash
# gates.sh LIBCORE LIBREPO: the law of the three rooms (cli -> repo -> core), one TAP line a gate.
# CC, CORE_FLAGS, REPO_FLAGS, BANNED come from the Makefile.
set -u
export LC_ALL=C
shopt -s lastpipe # gate, at the end of pipes, counts in this shell
libcore=$1 librepo=$2
number=0

# gate NAME: reads what offends from stdin; nothing offends = ok.
gate() {
	local offences
	offences=$(cat)
	number=$((number + 1))
	if [ -z "$offences" ]; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		printf '%s\n' "$offences" | sed 's/^/# /'
	fi
}

# Undefined symbols of an archive that no member defines, a line each: "symbol".
undefined() {
	nm -u "$1" 2>/dev/null | awk '$1 == "U" {sub(/@.*/, "", $2); print $2}' | sort -u
}

sources() { # ROOM...: the C files there
	local room
	for room in "$@"; do
		find "$room" -name '*.[ch]' -not -path '*/found/*'
	done | sort
}

header_alone() { # FILE FLAGS
	local flags=$REPO_FLAGS
	case $1 in core/*) flags=$CORE_FLAGS ;; esac
	# shellcheck disable=SC2086
	printf '#include "%s"\ntypedef int not_empty;\n' "$1" |
		$CC $flags -Werror -fsyntax-only -x c - 2>&1 | head -5
}
export -f header_alone

find core repo cli tests/support -name '*.h' -print0 | sort -z |
	xargs -0 -r -n 1 -P 2 bash -c 'header_alone "$0"' |
	gate "every header compiles alone"

grep -nE '^ *# *include *[<"](unistd|pthread|time|fcntl|dirent|signal|sqlite3|sys/[a-z_]+|netdb|poll|threads)\.h[>"]' \
	core/*.[ch] | grep -v '^core/banned\.h:.*<time\.h>' |
	gate "core includes nothing that has effects"

grep -nE '\bFILE *\*|\b(fopen|printf|fprintf|puts|fputs|perror)\(' core/*.[ch] |
	gate "core does no stdio"

{
	grep -nE '^ *# *include *"(repo|cli|tests|fuzz)/' core/*.[ch]
	grep -nE '^ *# *include *"(cli|tests|fuzz)/' repo/*.[ch]
	grep -nE '^ *# *include *"(tests|fuzz)/' cli/*.[ch]
} 2>/dev/null | gate "no include of a room above"

undefined "$libcore" |
	grep -E '^(__)?(open|openat|creat|close|read|pread|write|pwrite|readv|writev|lseek|stat|fstat|lstat|mmap|socket|connect|send|recv|fork|execv[pe]*|system|popen|kill|signal|sigaction|sleep|usleep|nanosleep|time|gettimeofday|clock|clock_gettime|localtime_r|getenv|secure_getenv|setenv|f?printf|vf?printf|puts|fputs|fputc|putchar|f?open|fdopen|fclose|fread|fwrite|fgets|fflush|perror|stdin|stdout|stderr|exit|_exit)(64)?(_2|_chk)?$|^_?_?(pthread|sqlite3|thrd|mtx)_' |
	gate "core calls nothing that has effects"

undefined "$librepo" |
	grep -E '^(__)?(v?printf|puts|putchar|perror|stdout|stderr|getenv|secure_getenv|exit)(_chk)?$' |
	gate "repo prints nothing, reads no environment, never exits"

# net.h shares a lock; who starts threads is one.
grep -lE '\bpthread_create\(' repo/*.[ch] cli/*.[ch] 2>/dev/null | awk '{line = line " " $0} END {if (NR > 1) print line}' |
	gate "threads are started in one file"

sources core repo cli tests fuzz | xargs -r wc -l | awk '$2 != "total" && $1 > 600 {print $2 ": " $1 " lines"}' |
	gate "no file over 600 lines"

sources core repo cli | grep '\.c$' | while read -r file; do
	awk -v file="$file" '
		/^[a-z_].*\(/ {name = $0}
		/^{/ {start = NR}
		/^}/ && start {
			if (NR - start - 1 > 100) {sub(/\(.*/, "", name); print file ": " name ", " NR - start - 1 " lines"}
			start = 0
		}' "$file"
done | gate "no function over 100 lines"

for call in 'strcpy(to, "x")' 'strcat(to, "x")' 'sprintf(to, "x")' 'strncpy(to, "x", 1)' \
	'strtok(to, "x")' 'atoi(to)' 'rand()' 'gmtime(0)' 'tmpnam(to)'; do
	# shellcheck disable=SC2086
	printf 'void f(char *to);\nvoid f(char *to)\n{\n\t(void)to;\n\t(void)%s;\n}\n' "$call" |
		$CC -std=c11 -I. -D_GNU_SOURCE $BANNED -fsyntax-only -x c - 2>/dev/null &&
		echo "$call compiles"
done | gate "banned calls do not compile"

sources core repo cli tests fuzz |
	xargs -r grep -nE '\b(TODO|FIXME|HACK)\b|[^X]XXX[^X]' | gate "no left-over marks"

if git rev-parse --git-dir >/dev/null 2>&1; then
	git ls-files | cut -d/ -f1 | sort -u |
		grep -vxE 'Makefile|core|repo|cli|tests|fuzz|BACKUP\.md|README\.md|LICENSE|\..*' |
		gate "nothing else at the top level"
fi

echo "1..$number"
