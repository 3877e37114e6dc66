# Every command a person needs. `make` alone lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help

BIN  := target/release/slipstream
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export SLIPSTREAM_BIN ?= $(CURDIR)/$(BIN)
export AIRFLOW_BIN ?= $(CURDIR)/$(VENV)/bin

# Where `make run` keeps its database and logs, and which Dags it runs.
AIRFLOW_HOME ?= $(CURDIR)/.airflow
RUN_ENV = AIRFLOW_HOME="$(AIRFLOW_HOME)" \
	AIRFLOW__CORE__DAGS_FOLDER="$${AIRFLOW__CORE__DAGS_FOLDER:-$(CURDIR)/dags}" \
	AIRFLOW__CORE__LOAD_EXAMPLES="$${AIRFLOW__CORE__LOAD_EXAMPLES:-False}"

CONFORMANCE = $(VENV)/bin/python tests/conformance/check.py
# More arguments for the commands below: make run ARGS="--port 8090", make conformance ARGS="--cases 'xcom/*'".
ARGS ?=

.PHONY: help
help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

# Kafka's client has a part in C++; where there is no compiler for it, the program is built without Kafka.
FEATURES ?= $(shell command -v g++ clang++ c++ >/dev/null || echo --no-default-features)

.PHONY: build
build: venv ## Build target/release/slipstream and make .venv ready
	@if [ "$(FEATURES)" = --no-default-features ]; then echo "no C++ compiler (g++): building without Kafka" >&2; fi
	cargo build --release --locked $(FEATURES)

.PHONY: venv
venv: ## Make .venv with the Airflow of requirements.lock
	@tests/support/venv.sh "$(VENV)" requirements.lock

.PHONY: run
run: build ## Run everything on this machine: UI, scheduler, Dag processor, worker, triggerer
	@$(RUN_ENV) $(BIN) standalone $(ARGS)

# Conformance runs the binary that the tests are built with: an optimised one would be a third build of everything.
.PHONY: test
test: venv ## Everything that must pass: formatting, lints, all tests, conformance
	cargo build --locked --workspace --all-targets $(FEATURES)
	SLIPSTREAM_BIN="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/debug/slipstream" \
		tests/support/with_postgres.sh $(MAKE) lint templates test-rust test-python chaos-short conformance

.PHONY: test-fast
test-fast: venv ## What a person runs many times a day: formatting, lints, tests of the decisions
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked $(FEATURES) -- -D warnings
	cargo test --locked -p slipstream-core

.PHONY: lint
lint: ## Formatting, and clippy with warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked $(FEATURES) -- -D warnings

.PHONY: templates
templates: venv ## Make the migrated databases that tests copy
	@$(VENV)/bin/python tests/support/templates.py

.PHONY: test-rust
test-rust: ## All Rust tests; with PG_ADMIN_URL also those on PostgreSQL
	@if cargo nextest --version >/dev/null 2>&1; \
	then cargo nextest run --workspace --locked --no-fail-fast $(FEATURES) && cargo test --workspace --locked --doc $(FEATURES); \
	else cargo test --workspace --locked --no-fail-fast $(FEATURES); fi

.PHONY: test-python
test-python: venv ## All Python tests
	$(VENV)/bin/python -W ignore -m unittest discover -s tests/python -p 'test_*.py'

.PHONY: test-crash
test-crash: build ## Kill parts of a running deployment, and see that nothing is lost or done twice (about 15 minutes)
	tests/support/with_postgres.sh $(VENV)/bin/python tests/crash/crash.py $(ARGS)

.PHONY: chaos
chaos: build ## Harm of every kind for some minutes, then the question what is wrong: make chaos ARGS="--minutes 10 --seed 7"
	tests/support/with_postgres.sh $(VENV)/bin/python tests/chaos/chaos.py $(ARGS)

# A part of `make test`, with time enough for slow machines.
.PHONY: chaos-short
chaos-short: venv ## Half a minute of harm, the same at each time
	tests/support/with_postgres.sh $(VENV)/bin/python tests/chaos/chaos.py --minutes 0.5 --seed 28 --no-clocks --every 6 --serve-within 60 --limit 300

.PHONY: test-rolling
test-rolling: build ## Replace three schedulers one after the other, stock by Slipstream and back, again and again, under load (15 minutes)
	tests/support/with_postgres.sh $(VENV)/bin/python tests/rolling/rolling.py $(ARGS)

.PHONY: test-events
test-events: build ## Kill two schedulers again and again while 20,000 events stream in; count firings (minutes)
	tests/support/with_postgres.sh $(VENV)/bin/python tests/crash/events.py $(ARGS)

.PHONY: test-event-tasks
test-event-tasks: build ## Events on tasks, event Dags of dags/, tasks that start by data, clocks, with a real worker on both databases (minutes)
	set -e; for db in sqlite postgres; do for what in tasks samples data clocks; do \
		tests/support/with_postgres.sh $(VENV)/bin/python tests/events/$$what.py $$db; done; done

.PHONY: test-sources
test-sources: build ## Kafka and NATS feed a deployment whose scheduler is killed again and again, on both databases (minutes)
	set -e; for db in sqlite postgres; do tests/support/with_postgres.sh $(VENV)/bin/python tests/sources/sources.py $$db; done

.PHONY: test-celery
test-celery: build ## CeleryExecutor with Redis and with RabbitMQ, and harm to workers, brokers and schedulers (minutes)
	set -e; for broker in redis rabbitmq; do \
		tests/support/with_postgres.sh $(VENV)/bin/python tests/executors/celery.py $$broker $(ARGS); done

.PHONY: test-kubernetes
test-kubernetes: build ## KubernetesExecutor against a small API server that runs pods as processes (minutes)
	tests/support/with_postgres.sh $(VENV)/bin/python tests/executors/kubernetes.py

.PHONY: test-shadow
test-shadow: build ## `scheduler --shadow` beside a stock deployment finds no difference, and finds forged ones, on both databases (minutes)
	set -e; for db in postgres sqlite; do tests/support/with_postgres.sh $(VENV)/bin/python tests/shadow/shadow.py $$db; done

.PHONY: test-pgbouncer
test-pgbouncer: build ## Two schedulers behind PgBouncer in transaction mode; PgBouncer must be installed (two minutes)
	set -e; for order in "" --round-robin; do \
		tests/support/with_postgres.sh $(VENV)/bin/python tests/pgbouncer/pgbouncer.py $$order; done

.PHONY: test-debug
test-debug: build ## `slipstream debug dump` and SIGUSR2 to every process of a running deployment (a minute)
	$(VENV)/bin/python tests/debug/debug.py

.PHONY: test-ui
test-ui: build ## The page in Airflow's UI, in a headless Chromium (minutes; installs Chromium)
	tests/ui/run.sh $(ARGS)

.PHONY: bench-events
bench-events: build ## Events: ingest rate, latency to the run, cost with many runs in the database
	tests/support/with_postgres.sh $(VENV)/bin/python benches/events/bench.py $(ARGS)

# How long each fuzz target runs, and which: make fuzz SECONDS=600 ARGS="cron filter".
SECONDS := 60
.PHONY: fuzz
fuzz: ## Random bytes to everything that reads what others wrote; needs cargo-fuzz and a nightly compiler
	fuzz/run.sh $(SECONDS) $(ARGS)

.PHONY: wheel
wheel: ## Build the wheel into target/wheels
	python3 -m venv .cache/maturin && .cache/maturin/bin/pip install -q 'maturin>=1.9,<2'
	.cache/maturin/bin/maturin build --release --out target/wheels

.PHONY: test-wheel
test-wheel: ## Install the wheel into a clean environment with Airflow, and run Dags with it
	tests/packaging/wheel.sh release

.PHONY: docs
docs: ## Build the documents as a site into target/site
	@[ -x .cache/mkdocs/bin/mkdocs ] || { python3 -m venv .cache/mkdocs && .cache/mkdocs/bin/pip install -q 'mkdocs>=1.6,<2' 'mkdocs-material>=9.6,<10'; }
	.cache/mkdocs/bin/mkdocs build --strict --quiet
	@echo "the site is in target/site/index.html"

.PHONY: conformance
conformance: venv ## Compare with stock Airflow's recorded pictures: all cases on PostgreSQL, a choice on SQLite
	tests/support/with_postgres.sh $(CONFORMANCE) --engine slipstream --db postgres --db sqlite --choice sqlite $(ARGS)

.PHONY: conformance-all
conformance-all: build ## The same on every database and every mixture with stock Airflow (hours)
	tests/support/with_postgres.sh $(CONFORMANCE) --engine slipstream --engine mixed-sched --engine mixed-dp --engine duo \
		--db postgres --db sqlite $(ARGS)

.PHONY: bench
bench: build ## Side by side with stock Airflow: make bench ARGS="--workloads chain40"
	tests/support/with_postgres.sh $(VENV)/bin/python benches/airflow/bench.py --engines stock,slipstream --db postgres $(ARGS)

.PHONY: bench-core
bench-core: ## How long the decisions of core take (criterion)
	cargo bench --locked --manifest-path benches/core/Cargo.toml $(ARGS)

.PHONY: bench-guard
bench-guard: ## Fail where the decisions of core cost more instructions than before, or more than in proportion (valgrind)
	cargo build --release --locked --manifest-path benches/core/Cargo.toml
	$(VENV)/bin/python benches/core/guard.py $(ARGS)

.PHONY: bench-growth
bench-growth: build ## How the scheduler's cost grows with Dags, tasks of a run and history (about 25 minutes)
	tests/support/with_postgres.sh $(VENV)/bin/python benches/growth/growth.py $(ARGS)

.PHONY: bench-week
bench-week: build ## Whether a week's worth of runs leaves the memory as it was (about 5 minutes)
	tests/support/with_postgres.sh $(VENV)/bin/python benches/growth/week.py $(ARGS)

.PHONY: clean
clean: ## Remove what was built, and what `make run` keeps
	rm -rf target .airflow .cache
