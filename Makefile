# Everything a fresh machine needs lies in .venv; only PostgreSQL with TLS, PgBouncer and Chromium come from the system.
#
#   make test    lint and the whole test suite, as CI runs it    make demo    a shop in front of you (ARGS=--check)
#   make lint    ruff and mypy                                   make bench   benchmarks: table, JSON, plot
#   make twin    statements at random beside plain PostgreSQL: SEED=1 COUNT=100000
#   make soak    the kill tests for as long as ROUNDS says       make drivers the drivers' own test suites (SUITES=...)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROUNDS ?= 40
SEED ?=
SUITES ?= psycopg asyncpg
# Test files side by side, each process with servers of its own: they wait for these more than they compute.
PARALLEL ?= -n 4 --dist loadfile

.PHONY: test check lint format demo bench soak twin drivers system clean
.DEFAULT_GOAL := test

test: lint system $(VENV)/.with-demo,test,lint
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

# The tests alone, for the time between two edits: make check ARGS='-k copy'
check: $(VENV)/.with-demo,test,lint
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.with-demo,test,lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.with-demo,test,lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

demo: $(VENV)/.with-demo
	$(BIN)/pgnym demo $(ARGS)

bench: system $(VENV)/.with-demo,test,bench
	$(BIN)/python benchmarks/run.py $(ARGS)

soak: system $(VENV)/.with-demo,test,lint
	PGNYM_SOAK_ROUNDS=$(ROUNDS) $(if $(SEED),PGNYM_SOAK_SEED=$(SEED)) \
		$(BIN)/python -m pytest --long -m long $(ARGS)

# A difference is printed with the seed and number that repeat it: make twin SEED=7 ARGS='--only 123'
twin: $(VENV)/.with-demo,test,lint
	$(BIN)/python tests/twin/long_form.py --seed $(or $(SEED),1) --count $(or $(COUNT),100000) $(ARGS)

drivers: $(VENV)/.with-demo,test,lint
	set -e; for suite in $(SUITES); do $(BIN)/python tests/suites/run.py --suite $$suite $(ARGS); done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One virtual environment; a stamp for each set of extras that was installed into it.
$(VENV)/.with-%: pyproject.toml $(VENV)/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

# Debian's python3 comes without ensurepip unless python3-venv is there too.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "pgnym needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3-venv; \
		else echo "Python's venv is missing; install it: apt-get install python3-venv" >&2; exit 1; fi; }
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Without these the tests that need them are skipped, and the benchmarks leave a column out. Services that the packages
# would start (PgBouncer's default port is pgnym's too) are kept from starting, and no default cluster is made.
system: $(VENV)/.system
$(VENV)/.system: $(VENV)/.made
	@missing=; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || missing="$$missing pgbouncer"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	[ -x /usr/sbin/mariadbd ] || missing="$$missing mariadb-server-core mariadb-client-core"; \
	if command -v npm >/dev/null; then \
		[ -d $(VENV)/node ] || npm install --silent --no-audit --no-fund --prefix $(VENV)/node pg@8 pg-cursor@2 >/dev/null \
			|| echo "npm could not fetch pg; the tests of node-postgres are skipped" >&2; \
	elif [ ! -d /usr/share/nodejs/pg ]; then missing="$$missing nodejs node-pg"; fi; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "not installed:$$missing; tests and benchmarks that need them are skipped" >&2; exit 0; fi; \
	made=; if [ ! -e /usr/sbin/policy-rc.d ]; then \
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; made=1; fi; \
	mkdir -p /etc/postgresql-common/createcluster.d; \
	echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/no-main-cluster.conf; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing \
		|| echo "could not install$$missing; tests and benchmarks that need them are skipped" >&2; \
	if [ -n "$$made" ]; then rm -f /usr/sbin/policy-rc.d; fi
	@touch $@
