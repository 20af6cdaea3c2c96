# nightjar. `make help` lists the targets. V=1 shows commands, WERROR=1 makes warnings errors,
# VARIANT=asan|tsan|cov|fuzz|<any name> builds beside the others in build/<variant>/, CFLAGS and
# LDFLAGS are appended to ours.
VARIANT ?= release
B := build/$(VARIANT)
CC ?= cc
AR ?= ar
PKG_CONFIG ?= pkg-config
PREFIX ?= /usr/local
FUZZ_S ?= 60
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1) $@" &&)

# A machine without pkg-config must still reach the targets that install it, hence 2>/dev/null.
PKGS := sqlite3 libsodium libzstd libxxhash inih
ifeq ($(shell $(PKG_CONFIG) --exists libcrypto 2>/dev/null && echo yes),yes)
PKGS += libcrypto
DEFS += -DHAVE_LIBCRYPTO
endif
ifeq ($(shell $(PKG_CONFIG) --exists libcurl 2>/dev/null && echo yes),yes)
DEFS += -DHAVE_LIBCURL
CURL := libcurl
endif
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS) $(CURL) 2>/dev/null)
# Without libcurl, which repo/curllib.c loads when it is first used: it would double what every start costs.
LIBS := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null) -lm -ldl
TEST_LIBS := -lcmocka

WARN := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wcast-qual -Wformat=2 -Wundef -Wvla \
	-Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum $(if $(WERROR),-Werror)
HARDEN := -fstack-protector-strong -fstack-clash-protection -fPIE
HARDEN_LD := -pie -Wl,-z,relro,-z,now

# What a variant adds. FORTIFY hides errors from the sanitizers, so they go without.
ifeq ($(VARIANT),asan)
MODE := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
MODE_LD := -fsanitize=address,undefined
else ifeq ($(VARIANT),tsan)
MODE := -O1 -fno-omit-frame-pointer -fsanitize=thread
MODE_LD := -fsanitize=thread
else ifeq ($(VARIANT),cov)
MODE := -O0 --coverage
MODE_LD := --coverage
else ifeq ($(VARIANT),fuzz)
MODE := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
MODE_LD := -fsanitize=address,undefined
else
MODE := -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif

BASE := -std=c11 -I. -g $(MODE) $(HARDEN) $(WARN) $(DEFS) $(PKG_CFLAGS)
CORE_FLAGS := $(BASE) -D_POSIX_C_SOURCE=200809L
REPO_FLAGS := $(BASE) -D_GNU_SOURCE
BANNED := -include core/banned.h
LINK = $(CC) $(MODE_LD) $(HARDEN_LD) $(LDFLAGS) -o $@

CORE_SRC := $(wildcard core/*.c)
REPO_SRC := $(wildcard repo/*.c)
CLI_SRC := $(filter-out cli/main.c,$(wildcard cli/*.c))
SUP_SRC := $(wildcard tests/support/*.c)
MODEL_SRC := $(wildcard tests/model/*.c)
FUZZ_SRC := $(filter-out fuzz/replay.c,$(wildcard fuzz/*.c))
FUZZ_TARGETS := $(patsubst fuzz/%.c,%,$(FUZZ_SRC))
TEST_SRC := $(wildcard tests/unit/test_*.c tests/repo/test_*.c tests/cli_unit/test_*.c) tests/crash/test_thrash.c
LONG_SRC := $(wildcard tests/crash/test_*.c)
BENCH_SRC := $(wildcard tests/bench/*.c)
TEST_BINS := $(patsubst %.c,$(B)/%,$(TEST_SRC))
LONG_BINS := $(patsubst %.c,$(B)/%,$(LONG_SRC))
COUNT_BINS := $(addprefix $(B)/tests/repo/test_,garbage kinds hostile_shapes junk fingerprint)
BENCH_BINS := $(patsubst %.c,$(B)/%,$(BENCH_SRC))
REPLAY_BINS := $(patsubst %,$(B)/replay/%,$(FUZZ_TARGETS))
ALL_SRC := $(CORE_SRC) $(REPO_SRC) $(CLI_SRC) $(wildcard cli/main.c) $(SUP_SRC) $(MODEL_SRC) $(FUZZ_SRC) \
	$(TEST_SRC) $(LONG_SRC) $(BENCH_SRC) $(wildcard fuzz/replay.c)
FORMATTED := $(wildcard $(addsuffix /*.[ch],core repo cli fuzz $(wildcard tests/*)))
obj = $(patsubst %.c,$(B)/%.o,$(1))
ARCHIVES := $(B)/libcli.a $(B)/librepo.a $(B)/libcore.a
PROGRAM := $(if $(filter release,$(VARIANT)),build/nightjar,$(B)/nightjar)
SUITE = NIGHTJAR=$(abspath $(PROGRAM)) TOOLS=$(abspath $(B)/tests/bench) tests/tools/suite.sh

all: ## the program, at build/nightjar (the default)
all: $(PROGRAM)
	@:

help: ## this list
	@sed -n 's/^\([a-z_.-]*\): ## /\1\t/p' Makefile | expand -t 24

demo: ## two nights of a live database: backed up, listed, restored, verified
	@tests/tools/deps.sh demo
	@+$(MAKE) --no-print-directory all
	@NIGHTJAR=$(abspath $(PROGRAM)) tests/demo.sh

test: ## installs what is missing, builds, and runs everything that takes minutes
	@tests/tools/deps.sh test
	@+$(MAKE) --no-print-directory check

check: ## unit, repo and command line tests, fuzz replay, and the gates
check: gates suite

suite: ## the tests alone, without the gates
suite: $(PROGRAM) $(TEST_BINS) $(REPLAY_BINS)
	@$(SUITE) $(TEST_BINS) $(REPLAY_BINS) $(wildcard tests/cli/*.bats)

suite_compiled: $(PROGRAM) $(TEST_BINS) $(REPLAY_BINS)
	@$(SUITE) $(TEST_BINS) $(REPLAY_BINS) tests/cli/roundtrip.bats

check-long: ## check, then the crash matrix and the other slow tests
check-long: check long

long: ## the slow tests alone, and those of the suite that count: all numbers of the README
long: $(PROGRAM) $(LONG_BINS) $(COUNT_BINS) $(BENCH_BINS)
	@NIGHTJAR_LONG=1 $(SUITE) $(LONG_BINS) $(COUNT_BINS) $(wildcard tests/crash/*.bats) tests/cli/roles.bats

threads: ## whatever starts threads, under ThreadSanitizer
	@+$(MAKE) --no-print-directory VARIANT=tsan threads_now
THREADS := $(addprefix $(B)/tests/repo/test_,workers store_parallel store_layers packer_cut)
threads_now: $(PROGRAM) $(THREADS) $(BENCH_BINS)
	@$(SUITE) $(THREADS) tests/crash/bench.bats

bench: ## time, memory and stored bytes beside restic and borg; sizes: tests/bench/bench.sh
	@tests/tools/deps.sh demo
	@tests/tools/deps.sh bench || echo "bench: without the peers that are not there"
	@+$(MAKE) --no-print-directory bench_now
bench_now: $(PROGRAM) $(BENCH_BINS)
	@NIGHTJAR=$(abspath $(PROGRAM)) TOOLS=$(abspath $(B)/tests/bench) tests/bench/bench.sh

bench-nights: ## stored bytes a night, restore of the last, the encoder beside VACUUM INTO: tests/bench/nights.sh
	@tests/tools/deps.sh demo
	@+$(MAKE) --no-print-directory bench_nights_now
bench_nights_now: $(PROGRAM) $(BENCH_BINS)
	@NIGHTJAR=$(abspath $(PROGRAM)) TOOLS=$(abspath $(B)/tests/bench) tests/bench/nights.sh

bench-latency: ## a night to a server that answers 50 ms late beside a local one, and its requests: tests/bench/latency.sh
	@tests/tools/deps.sh test
	@+$(MAKE) --no-print-directory bench_latency_now
bench_latency_now: $(PROGRAM) $(BENCH_BINS)
	@NIGHTJAR=$(abspath $(PROGRAM)) TOOLS=$(abspath $(B)/tests/bench) tests/bench/latency.sh

bench-unchanged: ## an unchanged backup of 150,000 files beside a bare walk, and what one changed file adds: tests/bench/unchanged.sh
	@tests/tools/deps.sh demo
	@+$(MAKE) --no-print-directory bench_unchanged_now
bench_unchanged_now: $(PROGRAM) $(BENCH_BINS)
	@NIGHTJAR=$(abspath $(PROGRAM)) TOOLS=$(abspath $(B)/tests/bench) tests/bench/unchanged.sh

gates: ## the rules of the rooms: includes, symbols, sizes, banned calls
gates: $(ARCHIVES)
	@CC='$(CC)' CORE_FLAGS='$(CORE_FLAGS)' REPO_FLAGS='$(REPO_FLAGS)' BANNED='$(BANNED)' \
		tests/tools/suite.sh tests/tools/gates.sh $(B)/libcore.a $(B)/librepo.a

asan: ## the whole suite under AddressSanitizer and UndefinedBehaviorSanitizer
	@+$(MAKE) --no-print-directory VARIANT=asan suite

tsan: ## the whole suite under ThreadSanitizer
	@+$(MAKE) --no-print-directory VARIANT=tsan suite

clang: ## everything built by clang, and its compiled tests
	@+$(MAKE) --no-print-directory VARIANT=clang CC=clang suite_compiled

fuzz: ## each fuzz target for FUZZ_S seconds, by libFuzzer; finds go to fuzz/found/
	@+$(MAKE) --no-print-directory VARIANT=fuzz CC=clang fuzz_all

fuzz_all: $(FUZZ_TARGETS:%=$(B)/fuzz_%)
	@tests/tools/fuzz.sh $(FUZZ_S) $^

cov: ## how many lines the suite reaches, file by file
	@find build/cov -name '*.gcda' -delete 2>/dev/null || true
	@+$(MAKE) --no-print-directory VARIANT=cov suite
	@tests/tools/cov.sh build/cov

cov-branches: ## branches of core's key, record, pack and codec files that no test takes, against tests/unit/UNCOVERED
	@+$(MAKE) --no-print-directory VARIANT=cov cov_branches_now
BRANCH_TESTS := $(filter $(B)/tests/unit/%,$(TEST_BINS)) $(B)/tests/repo/test_cells_cut $(B)/tests/repo/test_cells_grid \
	$(B)/tests/repo/test_cells_hostile
BRANCH_REPLAYS := $(patsubst %,$(B)/replay/%,cells cellsdiff chunker comp condemn damage drillnote indexseg keyfile \
	keyslot list listbody manifest pack parity parts record repoconf retire roster seal sightings slot tagrec tree)
cov_branches_now: $(BRANCH_TESTS) $(BRANCH_REPLAYS)
	@find $(B) -name '*.gcda' -delete
	@$(SUITE) $^
	@tests/tools/cov_branches.py $(B) tests/unit/UNCOVERED

tidy: ## clang-tidy over core, repo and cli
tidy: compile_commands.json
	$(Q)clang-tidy --quiet $(CORE_SRC) $(REPO_SRC) $(CLI_SRC) cli/main.c

format: ## clang-format, in place
	$(Q)clang-format -i $(FORMATTED)

format-check: ## fails when clang-format would change something
	$(Q)clang-format --dry-run -Werror $(FORMATTED)

flags_of = $(if $(filter core/%,$(1)),$(CORE_FLAGS),$(REPO_FLAGS)) \
	$(if $(filter core/% repo/% cli/%,$(1)),$(BANNED)) $(CFLAGS)
comma := ,
compile_commands.json: ## for editors and clang-tidy
compile_commands.json: Makefile $(ALL_SRC)
	@{ echo '['; $(foreach f,$(ALL_SRC),printf '{"directory": "%s", "file": "%s", "command": "%s"}%s\n' \
		'$(CURDIR)' '$(f)' 'cc $(strip $(call flags_of,$(f))) -c $(f)' \
		'$(if $(filter $(f),$(lastword $(ALL_SRC))),,$(comma))';) echo ']'; } > $@

install: ## the program to DESTDIR/PREFIX/bin
install: $(PROGRAM)
	$(Q)install -D -m 0755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/nightjar

deps: ## installs every package that building, testing and fuzzing need
	@tests/tools/deps.sh test

clean: ## removes build/
	$(Q)rm -rf build compile_commands.json

# Objects depend on the flags they were made with, so that a change of flags rebuilds them.
FLAGS_NOW := $(CC) $(CORE_FLAGS) | $(REPO_FLAGS) | $(BANNED) | $(CFLAGS)
ifneq ($(file <$(B)/flags),$(FLAGS_NOW))
$(B)/flags: FORCE
endif
$(B)/flags:
	@$(PKG_CONFIG) --exists $(PKGS) 2>/dev/null || \
		{ echo "nightjar needs $(PKGS): 'make deps' installs them" >&2; exit 1; }
	@mkdir -p $(@D) && printf '%s\n' '$(FLAGS_NOW)' >$@

# And archives on the list of sources, so that a removed one leaves them.
SOURCES_NOW := $(sort $(CORE_SRC) $(REPO_SRC) $(CLI_SRC))
ifneq ($(file <$(B)/sources),$(SOURCES_NOW))
$(B)/sources: FORCE
endif
$(B)/sources:
	@mkdir -p $(@D) && printf '%s\n' '$(SOURCES_NOW)' >$@

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(call flags_of,$<) -MMD -MP -c -o $@ $<
$(B)/libcore.a: $(call obj,$(CORE_SRC)) $(B)/sources
$(B)/librepo.a: $(call obj,$(REPO_SRC)) $(B)/sources
$(B)/libcli.a: $(call obj,$(CLI_SRC)) $(B)/sources
$(B)/lib%.a:
	@mkdir -p $(@D) && rm -f $@
	$(call say,AR)$(AR) rcs $@ $(filter %.o,$^)
$(PROGRAM): $(B)/cli/main.o $(ARCHIVES)
	$(call say,LD)$(LINK) $^ $(LIBS)
$(B)/tests/crash/test_protocol: $(call obj,$(MODEL_SRC))
# Preloaded into the program, so without what hardens or measures that.
$(B)/tests/tools/faultlib.so: tests/tools/faultlib.c tests/support/faultplan.h
	@mkdir -p $(@D)
	$(call say,LD)$(CC) -std=c11 -D_GNU_SOURCE -U_FORTIFY_SOURCE -I. -O1 -g -fPIC -shared -fvisibility=hidden $(WARN) -o $@ $< -ldl
$(B)/tests/crash/test_faults $(B)/tests/crash/test_nomem: | $(B)/tests/tools/faultlib.so
$(B)/tests/%: $(B)/tests/%.o $(call obj,$(SUP_SRC)) $(ARCHIVES)
	$(call say,LD)$(LINK) $^ $(TEST_LIBS) $(LIBS)
$(B)/tests/bench/%: $(B)/tests/bench/%.o $(ARCHIVES)
	$(call say,LD)$(LINK) $^ $(LIBS)
$(B)/replay/%: $(B)/fuzz/%.o $(B)/fuzz/replay.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(call say,LD)$(LINK) $^ $(LIBS)
$(B)/fuzz_%: $(B)/fuzz/%.o $(ARCHIVES)
	$(call say,LD)$(LINK) -fsanitize=fuzzer $^ $(LIBS)

-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d)
FORCE:
.PHONY: all help demo test check suite suite_compiled check-long long threads threads_now bench bench_now \
	bench-nights bench_nights_now bench-unchanged bench_unchanged_now bench-latency bench_latency_now gates asan \
	tsan clang fuzz fuzz_all cov cov-branches cov_branches_now tidy format format-check install deps clean FORCE
.SECONDARY:
.DELETE_ON_ERROR:
