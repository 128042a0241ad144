# One non-recursive Makefile. `make help` lists what there is to make.
#
#   DEVELOPER=1        warnings are errors
#   SAN=address,...    build everything with those sanitizers, in a build folder of its own
#   HOOKS=1            build what can leave out safeguards (lib/test_hook.h), in a build folder of its own
#   V=1                show the commands

VERSION := 0.2.0
PREFIX  ?= /usr/local
CC      ?= gcc
comma   := ,
BUILD   ?= build$(if $(SAN),-$(subst $(comma),-,$(SAN)))$(if $(HOOKS),-hooks)
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# maybe-uninitialized is off: it cannot know that "outputs untouched" and "negative return" go together; clang's
# analyser, which follows paths, is part of `make lint`.
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
        -Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wnull-dereference \
        -Wimplicit-fallthrough -Wdate-time -Wno-unused-parameter $(if $(findstring clang,$(CC)),,-Wno-maybe-uninitialized) $(if $(DEVELOPER),-Werror)
HARDEN := -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=2)
OPT    ?= $(if $(SAN),-O1 -g -fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=all,-O2 -g)
EXTRA_CFLAGS ?=
CPPFLAGS += -D_GNU_SOURCE -DEFS_SIDECAR_VERSION='"$(VERSION)"' $(if $(HOOKS),-DTEST_HOOKS) -I.
ALL_CFLAGS   = -std=gnu17 $(WARN) $(HARDEN) $(OPT) $(EXTRA_CFLAGS) $(CFLAGS)
ALL_LDFLAGS  = -pie -Wl,-z,relro,-z,now,--as-needed $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)

# What each program is made of. Everything but main.c goes into an archive, so that unit tests link the same objects.
PROGRAMS      := efs-init efs-watch efs-sidecar efsctl
efs-init_DIR    := init
efs-watch_DIR   := watchers
efs-sidecar_DIR := sidecar
efsctl_DIR      := cli
aws_LIBS      := -lexpat -lz
init_LIBS     := -lseccomp -lmount -ljansson -lpthread $(aws_LIBS)
watchers_LIBS := -lseccomp -linotifytools -ljansson -lpthread
sidecar_LIBS  := -lseccomp -levent_core -lmount -ljansson -lpthread $(aws_LIBS)
cli_LIBS      := -ljansson
lib_LIBS      := -lseccomp -lmount -ljansson -lpthread $(aws_LIBS)

DIRS     := init watchers sidecar cli
LIB_SRC  := $(sort $(wildcard lib/*.c lib/*/*.c))
SRC      := $(LIB_SRC) $(foreach d,$(DIRS),$(sort $(wildcard $(d)/*.c)))
HDR      := $(sort $(wildcard lib/*.h lib/*/*.h $(addsuffix /*.h,$(DIRS) shim)))
UNIT_SRC := $(sort $(wildcard tests/unit/*.c tests/unit/*/*.c))
UNIT     := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(filter tests/unit/test_%.c $(foreach d,$(DIRS),tests/unit/$(d)/test_%.c),$(UNIT_SRC)))
obj       = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
BINARIES := $(foreach p,$(PROGRAMS),$(if $(wildcard $($(p)_DIR)/main.c),$(BUILD)/$(p)))

SHIM_SRC := $(sort $(wildcard shim/*.c))
SHIMS    := $(BUILD)/libefscache.so $(if $(shell command -v musl-gcc),$(BUILD)/libefscache-musl.so)

all: $(BINARIES) $(SHIMS) $(if $(wildcard cli/main.c),$(if $(SAN),,$(BUILD)/efsctl-static)) ## build the programs into build/

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/lib.a: $(call obj,$(LIB_SRC))
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/obj/cli/taskdef_template.o $(BUILD)/fuzz/obj/cli/taskdef_template.o: task-def/template.json # the assembler includes it

define program_archive
$(BUILD)/$(1).a: $(call obj,$(filter-out $(1)/main.c,$(sort $(wildcard $(1)/*.c))))
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && $$(AR) rcs $$@ $$^
endef
$(foreach d,$(DIRS),$(eval $(call program_archive,$(d))))

define program
$(BUILD)/$(1): $(BUILD)/obj/$($(1)_DIR)/main.o $(BUILD)/$($(1)_DIR).a $(BUILD)/lib.a
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$^ $($($(1)_DIR)_LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# For app containers of any distribution: no shared library is needed.
$(BUILD)/efsctl-static: $(BUILD)/obj/cli/main.o $(BUILD)/cli.a $(BUILD)/lib.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -static-pie -Wl,-z,relro,-z,now $(LDFLAGS) -o $@ $^ $(cli_LIBS)

# What applications preload. It goes into programs that are not ours: nothing but libc (libdl.so.2 is where dlsym was before
# glibc 2.34), no sanitizers, and no promises about pointers that its callers may break.
SHIM_CFLAGS  = -std=gnu17 $(WARN) -O2 -g -fstack-protector-strong -fPIC -fvisibility=hidden -fno-delete-null-pointer-checks
SHIM_LDFLAGS = -shared -Wl,-z,relro,-z,now,-z,defs
$(BUILD)/libefscache.so: $(SHIM_SRC:%.c=$(BUILD)/obj/glibc/%.o)
	$(call say,LINK,$@)
	$(Q)$(CC) $(SHIM_CFLAGS) $(SHIM_LDFLAGS) -Wl,--no-as-needed -o $@ $^ -l:libdl.so.2

$(BUILD)/libefscache-musl.so: $(SHIM_SRC:%.c=$(BUILD)/obj/musl/%.o)
	$(call say,LINK,$@)
	$(Q)musl-gcc $(SHIM_CFLAGS) $(SHIM_LDFLAGS) -o $@ $^

$(BUILD)/obj/glibc/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(SHIM_CFLAGS) -MMD -MP -c -o $@ $<

# musl 1.2.4 and later (trixie) declare stat64 only when they are asked.
$(BUILD)/obj/musl/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,MUSL-CC,$<)
	$(Q)musl-gcc -D_LARGEFILE64_SOURCE $(CPPFLAGS) $(SHIM_CFLAGS) -MMD -MP -c -o $@ $<

# ---- tests ----
TEST_BUILD_DIR = $(abspath $(BUILD))
define unit_program
$(BUILD)/unit/$(1): $(BUILD)/obj/tests/unit/$(1).o $(if $(findstring /,$(1)),$(BUILD)/$(patsubst %/,%,$(dir $(1))).a) $(BUILD)/lib.a
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$^ $(if $(findstring /,$(1)),$($(patsubst %/,%,$(dir $(1)))_LIBS)) $(lib_LIBS) -lcmocka
endef
$(foreach t,$(UNIT),$(eval $(call unit_program,$(t:$(BUILD)/unit/%=%))))

unit: all $(UNIT) fuzz-corpus ## run the unit tests
	$(Q)BUILD=$(TEST_BUILD_DIR) $(if $(SAN),tests/sanitized) tests/run-programs unit $(or $(UNIT_TIMEOUT),120) $(UNIT)

# ---- fuzzing: tests/fuzz/driver.h says what a target is ----
FUZZ         := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 20
FUZZ_CFLAGS   = -std=gnu17 -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_LIB     := $(patsubst %.c,$(BUILD)/fuzz/obj/%.o,$(LIB_SRC) init/policy.c \
                  $(addprefix cli/,response.c taskdef_add.c taskdef_app.c taskdef_template.c) \
                  $(addprefix sidecar/,claim_file.c http_head.c place.c protection.c publish_body.c))

fuzz: $(FUZZ:%=$(BUILD)/fuzz/%) ## feed every fuzz target for FUZZ_SECONDS
	$(Q)BUILD=$(BUILD) FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run $(FUZZ)

$(FUZZ_LIB): $(BUILD)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZ-CC,$<)
	$(Q)clang $(CPPFLAGS) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(BUILD)/fuzz/lib.a: $(FUZZ_LIB)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(FUZZ:%=$(BUILD)/fuzz/%): $(BUILD)/fuzz/%: tests/fuzz/fuzz_%.c tests/fuzz/driver.c tests/fuzz/driver.h $(BUILD)/fuzz/lib.a
	$(call say,FUZZ-LD,$@)
	$(Q)clang $(CPPFLAGS) $(FUZZ_CFLAGS) -fsanitize=fuzzer -DFUZZ_LIBFUZZER -o $@ $(filter %.c %.a,$^) $(lib_LIBS)

fuzz-hour: ## an hour of fuzzing, two targets at a time
	$(Q)$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=$$((2 * 3600 / $(words $(FUZZ))))

fuzz-corpus: $(FUZZ:%=$(BUILD)/fuzz/replay-%) ## what has to parse in the corpus parses, and the rest does not
	$(Q)for name in $(FUZZ); do $(BUILD)/fuzz/replay-$$name tests/fuzz/corpus/$$name || exit 1; done

$(FUZZ:%=$(BUILD)/fuzz/replay-%): $(BUILD)/fuzz/replay-%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/obj/tests/fuzz/driver.o $(addprefix $(BUILD)/,init.a cli.a sidecar.a lib.a)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(lib_LIBS)

# What the integration tests use beside the programs.
TEST_TOOLS := $(patsubst tests/tools/%.c,$(BUILD)/tests/%,$(wildcard tests/tools/*.c))
$(TEST_TOOLS): $(BUILD)/tests/%: $(BUILD)/obj/tests/tools/%.o $(BUILD)/lib.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(lib_LIBS)

# The same for programs of the other libc.
SHIM_WORK := $(if $(filter %-musl.so,$(SHIMS)),$(BUILD)/tests/shim_work-musl)
$(BUILD)/tests/shim_work-musl: tests/tools/shim_work.c tests/tools/must.h
	@mkdir -p $(@D)
	$(call say,MUSL-CC,$<)
	$(Q)musl-gcc $(CPPFLAGS) -std=gnu17 $(WARN) -O2 -o $@ $<

integration: all cluster-hooks image-root previous $(TEST_TOOLS) $(SHIM_WORK) $(BUILD)/tests/man-settings $(BUILD)/tests/man-metrics ## run the tests of whole programs, on this machine and without NFS
	$(Q)BUILD=$(TEST_BUILD_DIR) JOBS=$(or $(JOBS),3) $(if $(SAN),tests/sanitized) tests/run-programs integration $(or $(INTEGRATION_TIMEOUT),180) tests/integration/test_*

model: ## check the models in docs/models with spin
	$(Q)BUILD=$(BUILD) tests/model

chaos-watch: all ## efs-watch at full size: 1,000,000 mkdir/rmdir pairs
	$(Q)BUILD=$(TEST_BUILD_DIR) WATCH_PAIRS=1000000 tests/integration/test_watch_limits.py memory

chaos-cache: all cluster-hooks ## a thousand kills at the steps of a fill, some hundred at those of keeping a mirror; a start with a million files left behind
	$(Q)BUILD=$(TEST_BUILD_DIR) CACHE_KILLS=112 CACHE_OLD=1000000 tests/integration/test_cache.py killed old_tree
	$(Q)BUILD=$(TEST_BUILD_DIR) MIRROR_KILLS=20 tests/integration/test_mirror.py killed

chaos-feed: all cluster-tools ## storms on two hosts with kills, cuts and restarts: SEEDS=1 OPS=200000, first seed SEED
	$(Q)BUILD=$(BUILD) SEED=$(SEED) SEEDS=$(SEEDS) OPS=$(OPS) tests/as-root tests/cluster/run --build $(BUILD) --results $(BUILD)/chaos tests/cluster/chaos/feed.py
	$(Q)cat $(BUILD)/chaos/feed/report

chaos-locks: all cluster-tools ## locks on three hosts with everything killed, cut and frozen: SEEDS=1 OPS=10000, first seed SEED
	$(Q)BUILD=$(BUILD) SEED=$(SEED) SEEDS=$(SEEDS) OPS=$(OPS) tests/as-root tests/cluster/run --build $(BUILD) --results $(BUILD)/chaos-locks tests/cluster/chaos/locks.py
	$(Q)cat $(BUILD)/chaos-locks/locks/report

chaos-queue: all cluster-tools ## uploads, publish, claims on three hosts with everything killed, cut and frozen: SEEDS=1 OPS=100000, first seed SEED
	$(Q)BUILD=$(BUILD) SEED=$(SEED) SEEDS=$(SEEDS) OPS=$(OPS) tests/as-root tests/cluster/run --build $(BUILD) --results $(BUILD)/chaos-queue tests/cluster/chaos/queue.py
	$(Q)cat $(BUILD)/chaos-queue/queue/report

chaos-truth: all cluster-tools cluster-hooks ## what is read through the cache, with 2,000 files
	$(Q)BUILD=$(BUILD) tests/as-root tests/cluster/run --build $(BUILD) --results $(BUILD)/chaos-truth tests/cluster/chaos/truth.py
	$(Q)grep ' reads, ' $(BUILD)/chaos-truth/truth/log

soak: all cluster-tools ## the whole task under load with faults, memory, descriptors and threads compared: SOAK_SECONDS=3600, SEED
	$(Q)BUILD=$(BUILD) SEED=$(SEED) SOAK_SECONDS=$(SOAK_SECONDS) tests/as-root tests/cluster/run --build $(BUILD) --results $(BUILD)/soak tests/cluster/chaos/soak.py
	$(Q)cat $(BUILD)/soak/soak/report

# ---- the cluster: a real NFSv4.1 server and task hosts, see tests/cluster/README.md ----
CLUSTER_TOOLS := $(addprefix $(BUILD)/tests/,cluster-agent feedtail lockwork nfsprobe queuework storm uml-xstate.so)
CLUSTER_ARGS  ?=
WHOLE         := image-root previous # what the whole_ scenarios need
CLUSTERS      ?= 3

cluster: all cluster-tools cluster-hooks $(if $(CLUSTER_ARGS),$(if $(findstring whole_,$(CLUSTER_ARGS)),$(WHOLE)),$(WHOLE)) ## run the scenarios in tests/cluster (CLUSTER_ARGS="NAME ..." for some)
	$(Q)BUILD=$(BUILD) tests/as-root tests/cluster/run --build $(BUILD) $(or $(CLUSTER_ARGS),--clusters $(CLUSTERS))
	$(Q)$(if $(CLUSTER_ARGS),,BUILD=$(BUILD) tests/as-root tests/cluster/selftest --build $(BUILD))

cluster-long: ## the scenarios that take minutes as well
	$(Q)LONG=1 $(MAKE) --no-print-directory cluster

cluster-tools: $(CLUSTER_TOOLS)

previous: ## build the release before this one, once, for deployments from one to the other
	$(Q)BUILD=$(BUILD) tests/previous >/dev/null || [ $$? = 77 ]

# To prove that the checkers notice what is left out, and to kill between two steps.
cluster-hooks:
	$(Q)$(MAKE) --no-print-directory HOOKS=1 BUILD=$(BUILD)-hooks $(BUILD)-hooks/efs-sidecar $(BUILD)-hooks/efs-watch

$(BUILD)/tests/cluster-agent: $(call obj,tests/cluster/agent.c)
$(BUILD)/tests/feedtail: $(call obj,tests/cluster/feedtail.c)
$(BUILD)/tests/lockwork: $(call obj,tests/cluster/lockwork.c)
$(BUILD)/tests/nfsprobe: $(call obj,tests/cluster/nfsprobe.c)
$(BUILD)/tests/queuework: $(call obj,tests/cluster/queuework.c)
$(BUILD)/tests/storm: $(call obj,tests/cluster/storm.c)
$(CLUSTER_TOOLS): override SAN := # the programs under test are sanitized, not the tools
$(BUILD)/tests/uml-xstate.so: EXTRA_CFLAGS += -fPIC
$(BUILD)/tests/uml-xstate.so: $(call obj,tests/cluster/uml-xstate.c)
$(CLUSTER_TOOLS):
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(if $(filter %.so,$@),-shared $(LDFLAGS),$(ALL_LDFLAGS)) -o $@ $^

# ---- bench: one program or script per claim ----
BENCHES     := $(notdir $(filter-out %.c %.py %.js %.md %.h %.sh,$(wildcard bench/*)))
BENCH_TOOLS := $(patsubst bench/%.c,$(BUILD)/bench/%,$(sort $(wildcard bench/*.c)))

bench: all cluster-tools bench-tools ## measure what the design claims (BENCH="NAME ..." for some of it)
	$(Q)set -e; for b in $(or $(BENCH),$(BENCHES)); do echo "== $$b"; BUILD=$(TEST_BUILD_DIR) bench/$$b; done

bench-tools: $(BENCH_TOOLS)

$(BENCH_TOOLS): $(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(BUILD)/watchers.a $(BUILD)/lib.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(lib_LIBS)

# ---- lint ----
LINT_C   := $(SRC) $(UNIT_SRC) $(wildcard docs/man/*.c shim/*.c bench/*.c tests/cluster/*.c tests/fuzz/*.c tests/tools/*.c)
SHELL_SCRIPTS = $(shell git ls-files -co --exclude-standard | xargs grep -lE '^#!.*(bash|sh)$$' 2>/dev/null)
lint: lint-format lint-headers lint-tidy lint-cppcheck lint-shell ## format, self-contained headers, clang-tidy, cppcheck, shellcheck
	@echo "lint: clean"

lint-format:
	$(call say,FORMAT,$(words $(LINT_C) $(HDR)) files)
	$(Q)printf '%s\n' $(LINT_C) $(HDR) | xargs -n 1 clang-format --dry-run -Werror

# A header compiles alone and twice.
lint-headers: $(HDR:%=$(BUILD)/lint/%.alone)
$(BUILD)/lint/%.h.alone: %.h
	@mkdir -p $(@D)
	$(call say,HEADER,$<)
	$(Q)printf '#include "%s"\n#include "%s"\n' $< $< | \
	    $(CC) $(CPPFLAGS) -std=gnu17 $(WARN) -Werror -fsyntax-only -x c - && touch $@

lint-tidy: $(LINT_C:%=$(BUILD)/lint/%.tidy)
$(BUILD)/lint/%.c.tidy: %.c .clang-tidy
	@mkdir -p $(@D)
	$(call say,TIDY,$<)
	$(Q)clang-tidy --quiet $< -- $(CPPFLAGS) -std=gnu17 $(filter-out -Wno-maybe-uninitialized,$(WARN)) 2>$@.err >$@.out \
	    || { cat $@.out; grep -v 'warnings generated\|warnings treated' $@.err; exit 1; }
	@touch $@

# memleak, resourceLeak: do not know the cleanup attribute; uninit*: do not know sys/queue.h or outputs. LeakSanitizer and clang's
# analyser look for both.
lint-cppcheck:
	$(call say,CPPCHECK,$(words $(SRC) $(SHIM_SRC)) files)
	$(Q)cppcheck --quiet --std=c11 --enable=warning,performance --inline-suppr --error-exitcode=1 \
	    --suppress=missingInclude --suppress=unknownMacro --suppress=memleak --suppress=resourceLeak --suppress=uninitvar --suppress=uninitStructMember \
	    --library=posix,gnu -j 2 -I. $(SRC) $(SHIM_SRC)

lint-shell:
	$(call say,SHELL,$(words $(SHELL_SCRIPTS)) scripts)
	$(Q)shellcheck -x --exclude=SC2016 $(SHELL_SCRIPTS)

-include $(patsubst %.o,%.d,$(call obj,$(SRC) $(UNIT_SRC) $(wildcard docs/man/*.c tests/cluster/*.c bench/*.c tests/tools/*.c tests/fuzz/*.c)) $(FUZZ_LIB)) \
         $(foreach l,glibc musl,$(SHIM_SRC:%.c=$(BUILD)/obj/$(l)/%.d))

# The README's test command. It installs what it needs, so that it works as the first command on a new machine.
test: ## install what is missing, then unit and integration tests, models, cluster
	$(Q)$(MAKE) --no-print-directory deps
	$(Q)$(MAKE) --no-print-directory -j2 all
	$(Q)$(MAKE) --no-print-directory -j2 unit
	$(Q)$(MAKE) --no-print-directory integration
	$(Q)$(MAKE) --no-print-directory model
	$(Q)$(MAKE) --no-print-directory cluster

# ---- manual pages and docs/metrics.md: the tables in them are those of the programs ----
MAN_TABLES := $(addprefix $(BUILD)/tests/man-,settings metrics)
$(BUILD)/tests/man-metrics: $(BUILD)/sidecar.a
$(MAN_TABLES): $(BUILD)/tests/man-%: $(BUILD)/obj/docs/man/%.o $(BUILD)/lib.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter-out %/lib.a,$(filter %.a,$^)) $(BUILD)/lib.a $(sidecar_LIBS) $(lib_LIBS)

man: $(MAN_TABLES) $(BUILD)/efsctl ## put the settings into the manual pages, the metrics into docs/metrics.md, dashboard and alarms
	$(Q)docs/man/update $(abspath $(MAN_TABLES))
	$(Q)task-def/monitoring/generate $(BUILD)/tests/man-metrics
	$(Q)task-def/cloudformation/update $(BUILD)/efsctl

man-check: $(MAN_TABLES) ## fail when a document differs from the programs' tables
	$(Q)docs/man/update --check $(abspath $(MAN_TABLES))

task-def: $(BUILD)/efsctl ## make the task definitions with efsctl taskdef add
	$(Q)task-def/update $(BUILD)/efsctl
	$(Q)task-def/cloudformation/update $(BUILD)/efsctl

# For application images, in /usr/local/lib/efs-sidecar: efsctl, which is efsctl-static, and libefscache.so.
INSTALL_DIRS = $(addprefix $(DESTDIR)$(PREFIX)/,bin lib/efs-sidecar share/doc/efs-sidecar share/man/man1 share/man/man7 share/man/man8)
install: all ## install below $(DESTDIR)$(PREFIX)
	$(Q)install -d $(INSTALL_DIRS)
	$(Q)install -m 755 $(BINARIES) $(DESTDIR)$(PREFIX)/bin
	$(Q)install -m 755 $(BUILD)/efsctl-static $(DESTDIR)$(PREFIX)/lib/efs-sidecar/efsctl
	$(Q)install -m 644 $(SHIMS) $(DESTDIR)$(PREFIX)/lib/efs-sidecar
	$(Q)install -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/efs-sidecar
	$(Q)install -m 644 $(wildcard docs/man/*.1) $(DESTDIR)$(PREFIX)/share/man/man1
	$(Q)install -m 644 $(wildcard docs/man/*.7) $(DESTDIR)$(PREFIX)/share/man/man7
	$(Q)install -m 644 $(wildcard docs/man/*.8) $(DESTDIR)$(PREFIX)/share/man/man8

# ---- the image: image/make says what can be set ----
IMAGE_MAKE = VERSION=$(VERSION) BUILD=$(BUILD) DEBIAN=$(DEBIAN) BASE=$(BASE) ENGINE=$(ENGINE) ARCH=$(ARCH) FRESH=$(FRESH) MIRROR=$(MIRROR)
image: ## build the image efs-sidecar:VERSION with docker, podman or buildah (DEBIAN=bookworm, ARCH=arm64, FRESH=1)
	$(Q)env $(IMAGE_MAKE) image/make image

image-root: ## and its root file system as files in build/image/root, unless it is there already
	$(Q)tests/as-root env $(IMAGE_MAKE) image/make root

image-reproducible: ## build the image twice, of nothing that is cached, and compare
	$(Q)tests/as-root env $(IMAGE_MAKE) image/reproducible

cross: ## compile for arm64 with Debian's cross compiler, start the programs under qemu
	$(Q)env BUILD=$(BUILD) DEBIAN=$(DEBIAN) MIRROR=$(MIRROR) image/cross

demo: ## two tasks on a shared directory of this machine: no NFS, no AWS
	$(Q)demo/run

demo-nfs: ## the same on a real NFSv4.1 server with two task hosts
	$(Q)demo/nfs

demo-break: ## what the gate says when something is wrong (CASE=plain|erofs|uid|hang)
	$(Q)demo/break $(CASE)

deps: ## install what is missing of the Debian packages that the tests need
	$(Q)tests/deps test
	$(Q)tests/python-env

clean: ## remove everything that was built
	rm -rf build build-*

help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: all chaos-cache chaos-feed chaos-locks chaos-queue chaos-truth cross fuzz fuzz-corpus fuzz-hour integration man man-check install demo demo-nfs demo-break deps image image-reproducible image-root soak task-def unit test model previous cluster cluster-hooks cluster-tools clean help bench bench-tools
