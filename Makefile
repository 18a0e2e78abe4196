# make demo   see the vault at work: a simulated department, two nights, in ./demo
# make test   every test, real DICOM servers included
# make bench  measure it beside restic, borg, DCMTK and Orthanc; writes docs/benchmarks.md. BENCH_ARGS="--patients 1"
# make fuzz   hostile objects against the normal form, until a million held; FUZZ_ARGS="--runs 10000 --seed 2"
# make check  style, types, import directions
# Each of them sets up what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST_ARGS ?=
BENCH_ARGS ?=
FUZZ_ARGS ?=

.PHONY: install demo test bench fuzz check clean system-packages
.DEFAULT_GOAL := install

install: $(STAMP)

$(STAMP): pyproject.toml
	@sh tools/make-venv.sh "$(PYTHON)" "$(VENV)"
	@touch $@

# What Debian has and Python does not: the DICOM servers to test against, and the stock tools that must
# understand what the vault writes.
system-packages:
	@sh tools/system-packages.sh

demo: $(STAMP)
	@sh tools/system-packages.sh git age openssh-client unixodbc libsqliteodbc
	$(BIN)/vault demo --fresh

test: $(STAMP) system-packages
	$(BIN)/pytest -n 2 --dist loadfile --durations 10 $(PYTEST_ARGS)

bench: $(STAMP) system-packages
	@sh tools/system-packages.sh restic borgbackup
	$(BIN)/python -m bench --output docs/benchmarks.md $(BENCH_ARGS)

fuzz: $(STAMP)
	$(BIN)/python tests/fuzz/fuzz_run.py $(FUZZ_ARGS)

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
