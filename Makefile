# Two commands: `make run` starts the demo, `make test` runs every test. Both set up all they need.
# CONTRIBUTING.md has the rest: one test, one page, one table.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8080

# The tests start Hub some two hundred times: compiled once, a start costs half.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test check assets wheel lock format bench clean
.DELETE_ON_ERROR:

run: $(VENV)/.run hub/web/static/manifest.json
	@$(BIN)/hub demo --port $(PORT)

test: $(VENV)/.dev hub/web/static/manifest.json
	@$(BIN)/python -m tests.testbed.install
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder -m "not load" || \
		$(BIN)/python -m pytest --last-failed --last-failed-no-failures none -m "not load"
	@$(BIN)/python -m pytest tests/load

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-timing-stats 2>/dev/null || $(BIN)/lint-imports

# A virtual environment. Debian has the module that makes one in a package of its own.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Hub needs Python 3.11 or newer'; exit 1; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { rm -rf $(VENV); .ci/install-venv && $(PYTHON) -m venv $(VENV); }

$(VENV)/.run: $(BIN)/python requirements/run.txt pyproject.toml
	@echo 'Installing what Hub runs on…'
	@.ci/install requirements/run.txt
	@touch $@

$(VENV)/.dev: $(BIN)/python requirements/dev.txt pyproject.toml
	@echo 'Installing what the tests need…'
	@.ci/install requirements/dev.txt
	@touch $@ $(VENV)/.run

ASSETS := $(shell find assets -type f -not -path '*/node_modules/*')

assets: hub/web/static/manifest.json

hub/web/static/manifest.json: $(BIN)/python $(ASSETS)
	@.ci/build-assets

wheel: $(VENV)/.run hub/web/static/manifest.json
	@$(BIN)/python -m pip wheel -q --disable-pip-version-check --no-deps --no-build-isolation -w dist .
	@ls dist/*.whl

lock:
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade pyproject.toml --extra build -o requirements/run.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --extra build --extra dev -c requirements/run.txt -o requirements/dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade requirements/node.in -o requirements/node.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade requirements/bench.in -o requirements/bench.txt

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev hub/web/static/manifest.json
	$(BIN)/python -m bench.latency
	$(BIN)/python -m bench.ami
	$(BIN)/python -m bench.mail
	$(BIN)/python -m bench.mail_out

clean:
	rm -rf $(VENV) assets/node_modules hub/web/static var build dist *.egg-info
