# The project's commands. `make run` and `make test` do all set-up they need; Python 3.11 or newer is all they ask for.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests wait for timers and for other processes as well: one more than two cores keeps them busy.
TEST_PROCESSES ?= 3
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Compiled modules are kept: tests and demo start many processes, and each would compile everything again.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help setup clients run test browser-test soak chaos worlds bench check format lock audit reset clean messages migration figures findings facts roles sbom notice

help: ## Show these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(VENV)/.installed: requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it with PYTHON=python3.12"; exit 1; }
	@echo "Installing Python packages; this is needed once and takes about half a minute …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

node_modules/.installed: package.json package-lock.json $(VENV)/.installed
	@echo "Installing front-end packages …"
	@npm ci --silent
	@touch $@

static/vendor/.built: node_modules/.installed tools/build_static.mjs
	@node tools/build_static.mjs
	@touch $@

setup: $(VENV)/.installed static/vendor/.built ## Install everything, and build the static files

.venv-clients/.installed: requirements-clients.lock
	@echo "Installing other people's clients of ServiceNow, for comparison …"
	@$(PYTHON) -m venv .venv-clients
	@.venv-clients/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-clients.lock
	@touch $@

clients: .venv-clients/.installed ## Install other people's clients of ServiceNow, for tests and measurements

run: setup ## Start the demo: PostgreSQL, sandbox, web and worker; Ctrl-C stops all
	@exec $(BIN)/python -m sandbox demo

test: setup ## Run the tests, in under five minutes on two cores
	$(BIN)/pytest -q -n $(TEST_PROCESSES) --dist loadscope -m "not thorough"

browser-test: setup ## Run only what a person does, in Chromium
	$(BIN)/pytest -q tests/browser

soak: setup ## Prove exactly-once under faults at full length; prints the figures of docs/reliability.md
	SOAK=full $(BIN)/pytest -q -s tests/journeys/test_exactly_once.py tests/features/tickets/polling/test_poll_request_counts.py tests/web/pages/test_share_bulk.py
	@$(MAKE) --no-print-directory chaos

chaos: setup ## Let eleven accidents happen to a running product; prints the table of docs/reliability.md
	@$(BIN)/python -m tests.chaos $(if $(ACCIDENT),--only $(ACCIDENT))

worlds: setup ## Connect, share and follow in every kind of instance that may exist; make worlds WORLD='{"…": …}' SEED=1 for one
	@$(BIN)/python -m tests.worlds $(if $(SEED),--seed $(SEED)) $(if $(WORLD),--world '$(WORLD)')

bench: setup clients ## Measure against other clients and the bare minimum; prints tables and figures (QUICK=1: two minutes; WRITE=1: into docs/benchmarks.md)
	@$(BIN)/python -m benchmarks $(PART) $(if $(QUICK),--quick) $(if $(WRITE),--write)

check: setup clients ## Format, lint, types, import contracts, templates, scripts, dependencies, thorough tests, branch coverage
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/djlint --lint --quiet templates sandbox/templates
	node_modules/.bin/biome ci --error-on-warnings static/js static/css tools
	$(BIN)/uv pip check --quiet
	$(BIN)/python tools/measure_code.py --check
	$(BIN)/coverage erase
	$(BIN)/pytest -q -m thorough tests/browser tests/sandbox/test_demo_stopped.py tests/journeys/test_exactly_once.py
	# Other people's clients are processes of their own, too: all their tests, docs/sandbox.md names them.
	$(BIN)/pytest -q -n $(TEST_PROCESSES) --dist loadscope tests/clients
	# Everything else, thorough tests too. What runs as processes of its own cannot be measured, so it is not repeated here.
	$(BIN)/pytest -q -n $(TEST_PROCESSES) --dist loadscope --cov --cov-report=term:skip-covered --cov-fail-under=93 $(addprefix --ignore=,tests/browser tests/clients tests/sandbox/test_demo.py tests/sandbox/test_demo_stopped.py tests/journeys/test_exactly_once.py)

format: setup ## Put code, templates, scripts and styles in order
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format --quiet .
	node_modules/.bin/biome check --write static/js static/css tools

lock: ## Choose the newest dependency versions, and pin them by hash
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras --upgrade pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras --upgrade --group dev pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras --upgrade --group clients -c requirements-dev.lock -o requirements-clients.lock
	npm install --package-lock-only --silent

audit: setup ## Look the pinned dependencies up among known vulnerabilities; fails where one cannot be looked up (needs the internet)
	$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements.lock
	npm audit --omit=dev

migration: setup ## Write a migration from what the models say now: make migration NAME="add a column"
	$(BIN)/python -m app make-migration "$(NAME)"

messages: setup ## Collect every text a person reads into locales/messages.pot
	$(BIN)/pybabel --quiet extract -F babel.cfg -k T -k _ --sort-by-file --no-wrap --add-location=file --omit-header -o locales/messages.pot .

figures: ## Put the figures of the code into docs/architecture.md
	@$(PYTHON) tools/measure_code.py --write

findings: setup ## Write docs/findings.md from the catalog of findings
	@$(BIN)/python tools/list_findings.py

roles: setup ## Write the settings of roles into README.md and .env.example
	@$(BIN)/python tools/list_roles.py

sbom: setup ## Write an SBOM (CycloneDX) of what the product brings, from the lock files, to var/sbom.cdx.json
	@$(BIN)/python tools/make_sbom.py

notice: setup ## Write NOTICE: the licenses of what the product brings
	@$(BIN)/python tools/make_sbom.py --notice

facts: ## List the facts of docs/facts that no test covers
	@$(PYTHON) tools/list_facts.py

reset: ## Forget the demo's data
	@$(PYTHON) -c 'import fcntl, pathlib; f = pathlib.Path("var/demo.lock"); f.exists() and fcntl.flock(f.open("a"), fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null \
	  || { echo "The demo is running. Stop it with Ctrl-C where it was started, then try again."; exit 1; }
	rm -rf var

clean: reset ## Remove everything that set-up made
	rm -rf $(VENV) .venv-clients node_modules static/vendor .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
