EXTENSION    = actor
MODULE_big   = actor
PGFILEDESC   = "actor - virtual actors in PostgreSQL"
OBJS         = $(patsubst $(srcdir)/%.c,%.o,$(sort $(wildcard $(srcdir)/src/*.c $(srcdir)/src/*/*.c)))
DATA         = actor--1.0.sql

# the control file is the one source of the version
EXTVERSION   = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" $(srcdir)/actor.control)

PG_CPPFLAGS  = -I$(srcdir)/src -DACTOR_VERSION='"$(EXTVERSION)"'
PG_CFLAGS    = -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare \
               -Wno-missing-field-initializers -Wshadow=compatible-local \
               -Wstrict-prototypes
# nothing but our own prefix leaves the library
SHLIB_LINK   = -Wl,--version-script=$(srcdir)/src/exports.map

# With PORT_BASE the suites start servers of their own, which root cannot do;
# without it they use the server that PGHOST and PGPORT name, which must have
# the settings of script/test.conf.  script/test does all of this.
ifdef PORT_BASE
# MORE_CONF names a file with further settings
more_conf      = $(if $(MORE_CONF),--temp-config=$(MORE_CONF))
temp_regress   = --temp-instance=./tmp_regress --port=$(PORT_BASE) \
                 --temp-config=$(srcdir)/script/test.conf $(more_conf)
temp_isolation = --temp-instance=./tmp_isolation --port=$(shell expr $(PORT_BASE) + 1) \
                 --temp-config=$(srcdir)/script/test.conf $(more_conf)
TAP_TESTS      = 1
endif

# the first one creates the extension, the last one drops it; those between
# read_by_sql and read_directly run a second time
REGRESS        = setup registry configure method payload collation turn reentrancy open_turn state transact owner_state request \
                 schedule reminder privilege identity security lifecycle timer message event run_due hosted history explain trace carried operate stats doctor find plperl direct location \
                 read_by_sql open_turn state transact lifecycle timer reminder history read_directly \
                 teardown
# one expected output for all majors
wording        = --launcher=$(abspath $(srcdir))/script/wording
REGRESS_OPTS   = --inputdir=$(srcdir) $(wording) $(temp_regress)
ISOLATION      = $(notdir $(basename $(sort $(wildcard $(srcdir)/specs/*.spec))))
ISOLATION_OPTS = --inputdir=$(srcdir) $(wording) $(temp_isolation)
PROVE_TESTS    = t/*.pl
EXTRA_CLEAN    = tmp_regress tmp_isolation tmp_check tmp_check_iso output_iso log build-http build-hosted

PG_CONFIG   ?= pg_config
PGXS        := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# objects live in a subdirectory, which a VPATH build must make first
$(shell mkdir -p $(sort $(dir $(OBJS))))
$(OBJS): $(wildcard $(srcdir)/src/*/*.h)
src/store/catalog.o: $(srcdir)/actor.control

# the archive for PGXN: everything that is committed, under its name there
VERSION      = $(shell sed -n 's/^    "version": "\(.*\)",/\1/p' $(srcdir)/META.json)

dist:
	git -C $(srcdir) archive --format=zip --prefix=$(EXTENSION)-$(VERSION)/ \
		--output=$(CURDIR)/$(EXTENSION)-$(VERSION).zip HEAD

indent:
	$(srcdir)/script/indent

# edit, rebuild, one test: see CONTRIBUTING.md
try:
	$(srcdir)/script/try $(TESTS)

.PHONY: dist indent try


# actor-http is a program of its own, with a Makefile of its own
http install-http:
	$(MAKE) -C $(srcdir)/http $(if $(filter install-%,$@),install,all) PG_CONFIG=$(PG_CONFIG)

# so is actorctl
ctl install-ctl:
	$(MAKE) -C $(srcdir)/ctl $(if $(filter install-%,$@),install,all) PG_CONFIG=$(PG_CONFIG)

clean: clean-http clean-ctl
clean-ctl:
	$(MAKE) -C $(srcdir)/ctl clean

.PHONY: ctl install-ctl clean-ctl

clean-http:
	$(MAKE) -C $(srcdir)/http clean

.PHONY: http install-http clean-http
