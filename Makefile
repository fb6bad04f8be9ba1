# edera-falcod: `make help` lists what there is to do.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.stamp

# What the compiled core's tests are: those of the rooms that are compiled
COMPILED_TESTS := test_build.py scap/test_wire.py state/test_roundtrip.py state/test_snapshot.py fields/test_answers.py fields/test_cells.py \
	fields/test_record.py fields/test_blocks.py falco/test_ring.py falco/test_batch.py edera/test_frames.py edera/test_http2.py

.DEFAULT_GOAL := help
.PHONY: help setup shim sinsp demo test test-compiled test-debug coverage check soak rules-check fuzz bench generate pictures clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	@PYTHON=$(PYTHON) tools/setup.sh $(VENV)
	@touch $@

setup: $(STAMP) ## Make the virtual environment with everything the project needs to run and test

shim: ## Build the Falco plugin (shim/libedera_shim.so) and shimcat
	@$(MAKE) --no-print-directory -C shim all

sinsp: ## Fetch Debian's libsinsp into a folder under ~/.cache and build our host for it (half a minute)
	@tools/sinsp.sh

demo: $(STAMP) shim ## Simulated Edera host -> daemon -> shim -> real rules; needs no Edera and no Falco
	@$(BIN)/python tools/demo.py

test: $(STAMP) shim ## Run the tests (uses the real libsinsp where it can be installed)
	@tools/sinsp.sh --if-possible
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

test-compiled: $(STAMP) shim ## Run the core's tests on the compiled core (two minutes more to build it, unless it is known)
	@folder=$$($(BIN)/python -m bench.builds) && cd "$$folder" && PYTHONPATH="$$folder:$(CURDIR)" EDERA_FALCOD_TEST_CORE=compiled \
		$(CURDIR)/$(BIN)/python -m pytest -c $(CURDIR)/pyproject.toml --rootdir $(CURDIR) --import-mode=append -p no:cacheprovider \
		$(addprefix $(CURDIR)/tests/,$(COMPILED_TESTS)) $(PYTEST_ARGS)

test-debug: $(STAMP) shim ## Run the tests of the shells in asyncio's debug mode; DEBUG_TESTS="tests/..." chooses
	PYTHONASYNCIODEBUG=1 $(BIN)/python -m pytest $(or $(DEBUG_TESTS),tests/daemon tests/edera tests/falco tests/ops) $(PYTEST_ARGS)

coverage: $(STAMP) ## Branches of the core (scap, state, fields) that its tests do not reach, each module by its own tests; fails if there is one
	$(BIN)/python tools/branches.py

check: $(STAMP) ## Linters, types, generated files
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tools/generate.py --check

rules-check: $(STAMP) shim ## Retarget the rules files of RULES_DIR and compile each rule in the real libsinsp
	@$(BIN)/python tools/rules_check.py "$(RULES_DIR)"

fuzz: $(STAMP) ## Run the fuzzers, FUZZ_SECONDS each (default 60); FUZZ="NAME ..." chooses, FUZZ_JOBS at a time
	@$(BIN)/python tools/fuzz.py --seconds $(or $(FUZZ_SECONDS),60) --jobs $(or $(FUZZ_JOBS),1) $(FUZZ)

soak: $(STAMP) shim ## 100 rounds of kills and restarts, then 10 minutes with zones and consumers that come and go (half an hour in all)
	EDERA_FALCOD_ROUNDS=100 EDERA_FALCOD_SOAK=600 $(BIN)/python -m pytest tests/resilience/test_kills.py tests/resilience/test_soak.py -s -v

bench: $(STAMP) shim ## Measure (prints a table; BENCH_JSON=FILE writes the figures)
	@$(BIN)/python -m bench $(if $(BENCH_JSON),--json $(BENCH_JSON))

generate: $(STAMP) ## Make all generated files anew
	$(BIN)/python tools/generate.py

pictures: $(STAMP) shim ## Take the pictures of commands in README.md and docs/ anew
	$(BIN)/python tools/pictures.py

clean: ## Remove what was built (not the libsinsp folder under ~/.cache)
	@$(MAKE) --no-print-directory -C shim clean
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

packages: $(STAMP) ## Build all that is released into dist/: source, wheels, .deb, the plugin for falcoctl, SBOM (five minutes)
	@tools/packages.sh dist

packages-check: ## Install and try them in a clean Debian, booted too where this machine can (root)
	@tools/check_deb.sh "$$(ls -t dist/edera-falcod_*.deb | head -n 1)" || [ $$? = 77 ]
	@tools/check_image.sh || [ $$? = 77 ]

shim-aarch64: ## Cross-compile the plugin for aarch64 into build/aarch64 (apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
	@$(MAKE) --no-print-directory -C shim all CC=aarch64-linux-gnu-gcc BUILD=../build/aarch64

.PHONY: packages packages-check shim-aarch64
