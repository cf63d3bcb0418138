# Everyday commands. Each is one line over a `coronium` command or pytest; README.md gives those lines for use
# without make. `make demo` and `make test` install what they need into .venv first.

VENV ?= .venv
BIN := $(VENV)/bin
DEMO_ARGS ?=
DRILL_ARGS ?=
SOAK_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo up test test-all fuzz lint protos lock audit sbom licences bench docs knowability line-profile coverage sky drill soak throughput \
  install install-dev clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## demo      real spectra in, posteriors out: the whole stream on this machine; pictures in demo-output/
demo: $(VENV)/.prepared
	$(BIN)/coronium demo $(DEMO_ARGS)

## up        start the whole stream and leave it running until Ctrl-C
up: install
	$(BIN)/coronium up

# Half of the tests wait for a broker: two processes use two cores well, in the order of
# the folders: the short files of tests/unit fill what the long ones leave.
TEST_PROCESSES ?= 2
PYTEST = $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --durations=10

## test      the test suite without the long science runs, TEST_PROCESSES (2) at a time
test: install-dev
	$(PYTEST) -m "not slow"

## test-all  everything, the long science runs too
test-all: install-dev
	$(PYTEST)

## fuzz      a million inputs that no one should send, to everything that reads (ten minutes): docs/tables/fuzz.md
fuzz: install-dev
	$(BIN)/python -W ignore -m tests.fuzz --inputs 700000 --guided 300000 --table docs/tables/fuzz.md

## lint      all linters: style, types, rooms, contract
lint: install-dev
	PATH="$(abspath $(BIN)):$$PATH" bash scripts/lint.sh

## protos    generate services/coronium/v1 from protos/
protos: install-dev
	$(BIN)/python scripts/generate_protos.py

## lock      hashes and versions of everything that is installed, anew: requirements.lock, constraints.txt
lock: install-dev
	$(BIN)/python scripts/lock.py $(LOCK_ARGS)

## audit     known vulnerabilities in what is locked (AUDIT_DATABASE=FILE offline, AUDIT_REQUIRED=1 to insist)
audit: install-dev
	$(BIN)/python scripts/audit.py

## sbom      what is installed, as CycloneDX: dist/sbom.cdx.json
sbom: install-dev
	$(BIN)/python scripts/sbom.py dist/sbom.cdx.json

## licences  the licence of everything that is locked: docs/licences.md
licences: install-dev
	$(BIN)/python scripts/licences.py

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

## drill     every fault five times while 5 000 spectra are on their way (KAFKA_HOME, an hour): docs/tables/drill.md
drill: install-dev
	$(BIN)/python -m tests.drills --table docs/tables/drill.md $(DRILL_ARGS)

## soak      half an hour at four fifths of what the stream can do (KAFKA_HOME): docs/tables/soak.md
soak: install-dev
	$(BIN)/python -m tests.drills.soak --table docs/tables/soak.md --picture docs/pictures/soak.png $(SOAK_ARGS)

## throughput  ingestion and results beside Kafka's own producer test (KAFKA_HOME): docs/tables/throughput.md
throughput: install-dev
	$(BIN)/python -m benchmarks.throughput --table docs/tables/throughput.md

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

$(VENV)/.installed-all: pyproject.toml requirements.lock scripts/install.sh scripts/locked.py
	bash scripts/install.sh "$(VENV)" all

$(VENV)/.installed-dev: pyproject.toml requirements.lock scripts/install.sh scripts/locked.py
	bash scripts/install.sh "$(VENV)" dev
