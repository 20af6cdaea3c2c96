# nightjar. `make help` lists the targets.
VARIANT ?= release
B := build/$(VARIANT)
CC ?= cc
AR ?= ar
PKGS := sqlite3 libsodium libzstd libxxhash
HAVE_CRYPTO := $(shell pkg-config --exists libcrypto && echo yes)
ifeq ($(HAVE_CRYPTO),yes)
PKGS += libcrypto
DEFS += -DHAVE_LIBCRYPTO
endif
WARN := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wcast-qual -Wformat=2 -Wundef -Wvla \
	-Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum
BASE := -std=c11 -I. -g -O2 $(WARN) $(DEFS) $(shell pkg-config --cflags $(PKGS))
CORE_CFLAGS := $(BASE) -D_POSIX_C_SOURCE=200809L
REPO_CFLAGS := $(BASE) -D_GNU_SOURCE
LIBS := $(shell pkg-config --libs $(PKGS)) -lm
TEST_LIBS := -lcmocka

CORE_SRC := $(wildcard core/*.c)
REPO_SRC := $(wildcard repo/*.c)
CLI_SRC := $(wildcard cli/*.c)
SUP_SRC := $(wildcard tests/support/*.c)
TESTS := $(wildcard tests/unit/test_*.c tests/repo/test_*.c)
OBJ = $(patsubst %.c,$(B)/%.o,$(1))

all: build/nightjar
build/nightjar: $(call OBJ,$(CLI_SRC)) $(B)/librepo.a $(B)/libcore.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/libcore.a: $(call OBJ,$(CORE_SRC))
	@rm -f $@; $(AR) rcs $@ $^
$(B)/librepo.a: $(call OBJ,$(REPO_SRC))
	@rm -f $@; $(AR) rcs $@ $^
$(B)/core/%.o: core/%.c
	@mkdir -p $(@D); $(CC) $(CORE_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(B)/%.o: %.c
	@mkdir -p $(@D); $(CC) $(REPO_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(B)/tests/%: $(B)/tests/%.o $(call OBJ,$(SUP_SRC)) $(B)/librepo.a $(B)/libcore.a
	$(CC) $(LDFLAGS) -o $@ $^ $(TEST_LIBS) $(LIBS)
TEST_BINS := $(patsubst %.c,$(B)/%,$(TESTS))
check: $(TEST_BINS)
	@for t in $(TEST_BINS); do echo "== $$t"; $$t || exit 1; done
-include $(shell find build -name '*.d' 2>/dev/null)
.PHONY: all check
.SECONDARY:
