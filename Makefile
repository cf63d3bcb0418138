# Everyday commands. Each is one line over a `coronium` command or pytest; README.md gives those lines for use
# without make. `make demo` and `make test` install what they need into .venv first.

VENV ?= .venv
BIN := $(VENV)/bin
DEMO_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo up test test-all fuzz lint protos bench docs knowability line-profile coverage sky install install-dev clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## demo      real spectra in, posteriors out: the whole stream on this machine; pictures in demo-output/
demo: $(VENV)/.prepared
	$(BIN)/coronium demo $(DEMO_ARGS)

## up        start the whole stream and leave it running until Ctrl-C
up: install
	$(BIN)/coronium up

## test      the test suite without the long science runs
test: install-dev
	$(BIN)/python -m pytest -m "not slow" --durations=10

## test-all  everything, the long science runs too
test-all: install-dev
	$(BIN)/python -m pytest --durations=10

## fuzz      a million inputs that no one should send, to everything that reads; prints what was found (an hour)
fuzz: install-dev
	$(BIN)/python -W ignore -m tests.fuzz --inputs 700000 --guided 300000

## lint      all linters: style, types, rooms, contract
lint: install-dev
	PATH="$(abspath $(BIN)):$$PATH" bash scripts/lint.sh

## protos    generate services/coronium/v1 from protos/
protos: install-dev
	$(BIN)/python scripts/generate_protos.py

## bench     side by side with peers; prints tables, asserts nothing about time
bench: install-dev
	$(BIN)/python -m benchmarks

## docs      write the generated parts of docs/ (settings)
docs: install
	$(BIN)/coronium config schema

## knowability   what each preset can know of a plasma: docs/knowability.md and its pictures
knowability: install
	$(BIN)/coronium evaluate knowability

## coverage  how often the intervals hold the truth, 512 simulated spectra a preset (hours): docs/coverage.md
coverage: install
	for i in hinode-eis chandra-letg chandra-meg euve; do $(BIN)/coronium evaluate coverage --instrument $$i --n 512 \
	  --output coverage/$$i.jsonl --cache coverage/programs || exit 1; done
	$(BIN)/coronium evaluate report coverage/*.jsonl

## sky       posteriors of the demonstration beside plain methods: docs/sky.md
sky: install
	$(BIN)/coronium evaluate sky demo-output/results.json

## line-profile  Capella with a Gaussian line and with wings: docs/tables/line-profile.md
line-profile: install
	$(BIN)/coronium evaluate line-profile --exposures 3 --cube

## clean     remove the virtual environment, caches and the demo's output
clean:
	rm -rf $(VENV) build dist demo-output .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# An environment is current while its stamp is newer than what it was installed from; then installing does nothing.
install: $(VENV)/.installed-all
install-dev: $(VENV)/.installed-dev

# The last step of installing for the demonstration: samplers are compiled for this machine once.
$(VENV)/.prepared: $(VENV)/.installed-all
	$(BIN)/coronium prepare
	touch $@

$(VENV)/.installed-all: pyproject.toml constraints.txt scripts/install.sh
	bash scripts/install.sh "$(VENV)" all

$(VENV)/.installed-dev: pyproject.toml constraints.txt scripts/install.sh
	bash scripts/install.sh "$(VENV)" dev
