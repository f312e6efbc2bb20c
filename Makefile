# Needs Python 3.11 or later, make and git; all else it installs into .venv.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/ready

.PHONY: help run seed test test-fast drill chaos outage ghosts missing growth attacks bench bench-log bench-queue bench-pages bench-export check fix lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## Set up everything, load sample data into an empty store, serve site and workers
	@exec $(BIN)/python -m auditsite.run

seed: $(READY) ## Copy RECORDS more records into the store of a `make run` in another shell
	$(BIN)/python -m bench.seed --records $(or $(RECORDS),1000000)

test: $(READY) ## Run all tests, a process a core; browser tests need Chromium
	$(BIN)/python -m pytest -n auto --dist worksteal

test-fast: $(READY) ## Run the tests that take less than a second each
	$(BIN)/python -m pytest -m "not slow and not browser"

drill: $(READY) ## Kill everything under load, then check every promise
	$(BIN)/python -m bench.drills.drill

chaos: $(READY) ## Break everything at random, from a SEED, for SECONDS, then print the exact account
	$(BIN)/python -m bench.drills.chaos --seconds $(or $(SECONDS),120) --seed $(or $(SEED),1)

outage: $(READY) ## Park 120,000 events, then empty the queue with one drainer while ingest goes on
	$(BIN)/python -m bench.queue.outage

ghosts: $(READY) ## Kill Redis in the middle of its scripts, KILLS times, and look for what they left half done
	$(BIN)/python -m bench.queue.ghosts --kills $(or $(KILLS),100)

missing: $(READY) ## Simulate 50 writers and a million events, and look whether exactly what never came is found
	$(BIN)/python -m bench.drills.missing --seed $(or $(SEED),1)

growth: $(READY) ## Measure what reconciling costs at 100,000 and at 10,000,000 records
	$(BIN)/python -m bench.ledger.growth

attacks: $(READY) ## Attack the log with all that a database superuser can do, print the matrix
	$(BIN)/python -m tests.attacks

bench: $(READY) ## Measure each part beside its ceiling
	$(BIN)/python -m bench.ingest

bench-log: $(READY) ## Measure the sealed log: rate, lag, cost, verification, and chains beside it
	$(BIN)/python -m bench.ledger.log

bench-queue: $(READY) ## Measure the pages of the queue at 1,000,000 parked events
	$(BIN)/python -m bench.pages.queue

bench-pages: $(READY) ## Measure the auditor's pages at 10,000,000 records beside 10,000 and beside a stock admin
	$(BIN)/python -m bench.pages.records

bench-export: $(READY) ## Measure evidence bundles beside plain COPY, and the memory that they take
	$(BIN)/python -m bench.evidence.export --records $(or $(RECORDS),200000)

check: $(READY) ## Lint, types, import contracts, migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m auditsite.offline mypy
	$(BIN)/lint-imports
	$(BIN)/python -m auditsite.offline python manage.py makemigrations --check --dry-run

fix: $(READY) ## Mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY) ## Compile the hash-pinned requirements from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	for name in run dev; do \
		$(BIN)/uv pip compile pyproject.toml $$([ $$name = dev ] && echo --extra dev) --universal --generate-hashes \
			--no-emit-index-url --python-version 3.11 --no-emit-package auditsite --quiet \
			--custom-compile-command "make lock" --output-file requirements/$$name.txt || exit 1; \
	done

clean: ## Remove the virtual environment and the local servers' data
	rm -rf .venv .local

$(READY): requirements/dev.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed, and none is on PATH: install it, or set PYTHON."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@
