# Needs Python 3.11 or later, make and git; all else it installs into .venv.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# Where bytecode is not kept, every process compiles the whole house anew, and pytest rewrites every test.
export PYTHONDONTWRITEBYTECODE :=
BIN := .venv/bin
READY := .venv/ready

.PHONY: help run seed test test-fast test-long drill restore-drill compose-test compose-restore compose-upgrade rotate failover drill-client chaos busy slow outage ghosts missing growth years upgrade attacks bench soak bench-client bench-log bench-queue bench-pages bench-export bench-purge bench-import bench-scale stream-drill sizing check fix lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## Set up everything, load sample data into an empty store, serve at PORT (8000); Ctrl-C stops it
	@exec $(BIN)/python -m auditsite.run --under-make

seed: $(READY) ## Copy RECORDS (1,000,000) more records into the store of a `make run` in another shell
	$(BIN)/python -m bench.seed --records $(or $(RECORDS),1000000)

test: $(READY) ## Run all tests, a process a core and one more: about 5 minutes on 2 cores; browser tests need Chromium
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not long"

test-long: $(READY) ## Run each drill and bench in its shortest form, and the whole of what `make test` samples: about 25 minutes on 2 cores
	$(BIN)/python -m pytest -m long

test-fast: $(READY) ## Run the fast tests, a process a core: about 30 s on 2 cores
	$(BIN)/python -m pytest -n auto --dist worksteal --fast -p no:schemathesis

drill: $(READY) ## Kill everything under load, then check every promise (minutes; SHARE=0.1 of it)
	$(BIN)/python -m bench.drills.drill --share $(or $(SHARE),1)

restore-drill: $(READY) ## Back up, go on under load, burn, restore at three points; is everything back? (minutes; SHARE=0.1 of it)
	$(BIN)/python -m bench.drills.restore --share $(or $(SHARE),1)

compose-test: $(READY) ## Build and start docker-compose.yml, kill each container under load, have two of each, log in by a browser, take it down (12 minutes; SHARE=0.1 of the events)
	$(BIN)/python -m bench.composed killed --share $(or $(SHARE),1) --seed $(or $(SEED),1)

compose-restore: $(READY) ## Start docker-compose.yml, back up, take it down with all volumes, restore it by the commands of the docs; is everything back? (8 minutes; SHARE=0.1 of the events)
	$(BIN)/python -m bench.composed restored --share $(or $(SHARE),1)

compose-upgrade: $(READY) ## Start docker-compose.yml of the commit FROM (6506cdc), upgrade it in its place under load, look at pages and promises (8 minutes; SHARE=0.1 of the events)
	$(BIN)/python -m bench.composed upgraded --share $(or $(SHARE),1) $(if $(FROM),--from $(FROM))

failover: $(READY) ## As root: three PostgreSQL (Patroni) and three Valkey (Sentinel) die, freeze, are cut off, from a SEED, under load (5 minutes; ACTS=4; ASYNC=1; OUT=folder for the logs)
	@$(BIN)/python -m bench.failover --seed $(or $(SEED),1) --acts $(or $(ACTS),4) $(if $(ASYNC),--asynchronous) $(if $(OUT),--keep $(OUT))

drill-client: $(READY) ## Kill the sending process KILLS (200) times, server and Redis away in turns; is every event stored once? (minutes)
	$(BIN)/python -m bench.drills.client --kills $(or $(KILLS),200) --seed $(or $(SEED),1)

rotate: $(READY) ## Rotate every key of a running site under a steady load, SECONDS (10) of it on each side; is nobody refused, all of before believed? (10 minutes)
	$(BIN)/python -m bench.drills.rotate --seconds $(or $(SECONDS),10)

chaos: $(READY) ## Break everything at random, from a SEED, for SECONDS (120), then print the exact account
	$(BIN)/python -m bench.drills.chaos --seconds $(or $(SECONDS),120) --seed $(or $(SEED),1)

busy: $(READY) ## Full load on a saturated machine for SECONDS (600), nothing broken; then PostgreSQL hangs
	$(BIN)/python -m bench.drills.busy --seconds $(or $(SECONDS),600)

slow: $(READY) ## Slow clients, CONNECTIONS (500) of each kind at each port for SECONDS (60), while events are sent at load
	$(BIN)/python -m bench.drills.slow --seconds $(or $(SECONDS),60) --connections $(or $(CONNECTIONS),500)

outage: $(READY) ## Park SIZE (120,000) events, then empty the queue with one drainer while ingest goes on (minutes)
	$(BIN)/python -m bench.queue.outage --size $(or $(SIZE),120000)

ghosts: $(READY) ## Kill Redis in the middle of its scripts, KILLS (100) times, and look for what they left half done (minutes)
	$(BIN)/python -m bench.queue.ghosts --kills $(or $(KILLS),100)

missing: $(READY) ## Simulate 50 writers and EVENTS (1,000,000), and look whether exactly what never came is found (a quarter of an hour)
	$(BIN)/python -m bench.drills.missing --seed $(or $(SEED),1) --events $(or $(EVENTS),1000000)

growth: $(READY) ## Measure what reconciling costs at SMALL (100,000) and LARGE (10,000,000) records (an hour or more)
	$(BIN)/python -m bench.ledger.growth --small $(or $(SMALL),100000) --large $(or $(LARGE),10000000) --ticks $(or $(TICKS),7)

years: $(READY) ## Fill a store of ten years, SIZE (20,000,000) records, and one of a month; measure every task, page, call and command (hours; SHARE=0.001 of it)
	$(BIN)/python -m bench.drills.years --size $(or $(SIZE),20000000) --share $(or $(SHARE),1) $(if $(HOSTILE),--hostile $(HOSTILE))

upgrade: $(READY) ## Upgrade a store of RECORDS (100,000) from the commit FROM to this one while events are sent (minutes)
	$(BIN)/python -m bench.drills.upgrade --records $(or $(RECORDS),100000) --seconds $(or $(SECONDS),30) $(if $(FROM),--from $(FROM))

attacks: $(READY) ## Attack the log as a database superuser, and the queue as who has Redis' password; print the matrix (a minute or two; EVERY=10: each tenth)
	$(BIN)/python -m tests.attacks --every $(or $(EVERY),1)

bench: $(READY) ## Measure ingest beside its ceilings and its peers (PEERS=no: not), and AGAINST a commit (half an hour; SHARE=0.1 of it; OUT=folder)
	$(BIN)/python -m bench.ingest --share $(or $(SHARE),1) --peers $(or $(PEERS),yes) \
		$(if $(AGAINST),--against $(AGAINST)) $(if $(OUT),--out $(OUT)) $(PART)

bench-scale: $(READY) ## Measure 1, 2 and 4 processes of ingest, then drainers, and take apart what is lost (5 minutes; SHARE=0.2 of it)
	$(BIN)/python -m bench.ingest.processes --share $(or $(SHARE),1)

soak: $(READY) ## Send half of what the site can take for MINUTES (60), and draw memory, connections and files (OUT=folder)
	$(BIN)/python -m bench.ingest.soak --minutes $(or $(MINUTES),60) $(if $(OUT),--out $(OUT))

bench-client: $(READY) ## Measure a service without auditing, with the client while store and queue are down, and with peers: 16 minutes
	$(BIN)/python -m bench.client.service --rounds $(or $(ROUNDS),60) --seconds $(or $(SECONDS),2)

bench-log: $(READY) ## Measure the sealed log: rate, lag, cost, verification, and chains beside it (half an hour or more; SHARE=0.1 of it)
	$(BIN)/python -m bench.ledger.log --share $(or $(SHARE),1)

bench-queue: $(READY) ## Measure the pages of the queue at SIZE (1,000,000) parked events (a quarter of an hour)
	$(BIN)/python -m bench.pages.queue --size $(or $(SIZE),1000000) --rounds $(or $(ROUNDS),15)

bench-pages: $(READY) ## Measure the auditor's pages at LARGE (10,000,000) records beside SMALL (10,000) and a stock admin (an hour or more)
	$(BIN)/python -m bench.pages.records --small $(or $(SMALL),10000) --large $(or $(LARGE),10000000) --rounds $(or $(ROUNDS),15)

bench-export: $(READY) ## Measure evidence bundles of RECORDS (200,000) beside plain COPY, and the memory that they take (minutes)
	$(BIN)/python -m bench.evidence.export --records $(or $(RECORDS),200000)

bench-purge: $(READY) ## Remove a third of SIZE (3,000,000) records while events are sent; is the rate kept, the log VERIFIED, the space back? (half an hour; SHARE=0.1 of it; OUT=folder)
	$(BIN)/python -m bench.retention.purge --size $(or $(SIZE),3000000) --share $(or $(SHARE),1) $(if $(OUT),--out $(OUT))

stream-drill: $(READY) ## Stream to a target that is away while RECORDS (180,000) come, for DOWN (150) seconds at least, then slow, failing, its streamer killed (10 minutes)
	$(BIN)/python -m bench.streams.drill --records $(or $(RECORDS),180000) --down $(or $(DOWN),150)

bench-import: $(READY) ## Import a file of EVENTS (1,000,000) of CloudTrail, killed KILLS (10) times, and its rate beside batches (a quarter of an hour)
	$(BIN)/python -m bench.ingest.imports --events $(or $(EVENTS),1000000) --kills $(or $(KILLS),10)

sizing: $(READY) ## Simulate installations side by side: how many for 1,000, 100,000 and 1,000,000 events a second, and what a year takes (a second)
	$(BIN)/python -m bench.sizing

check: $(READY) ## Lint, types, import contracts, migrations, and that none stops ingest
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m auditsite.offline mypy
	$(BIN)/lint-imports
	$(BIN)/python -m auditsite.offline python manage.py makemigrations --check --dry-run
	$(BIN)/python -m auditsite.offline python -m auditsite.migrationlint

fix: $(READY) ## Mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY) ## Compile the hash-pinned requirements from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	for name in image dev; do \
		extras=$$([ $$name = dev ] && echo --extra dev || echo --extra jwt --extra kafka --extra login --extra otel --extra pdf --extra pkcs11 --extra s3 --extra schemas); \
		$(BIN)/uv pip compile pyproject.toml $$extras --universal --generate-hashes \
			--no-emit-index-url --python-version 3.11 --no-emit-package auditsite --quiet \
			--custom-compile-command "make lock" --output-file requirements/$$name.txt || exit 1; \
	done
	for name in peers failover; do \
		$(BIN)/uv pip compile requirements/$$name.in --universal --generate-hashes --no-emit-index-url \
			--python-version 3.11 --quiet --custom-compile-command "make lock" --output-file requirements/$$name.txt || exit 1; \
	done

clean: ## Remove the virtual environment and the local servers' data
	rm -rf .venv .local

$(READY): requirements/dev.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed, and none is on PATH: install it, or set PYTHON."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@
