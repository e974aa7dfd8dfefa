# Every target does its own set-up: a machine with Python 3.11 or newer and make is enough.
# Extra arguments: make demo ARGS=--exit, make test ARGS="-k alarms -x". Another Python: make demo PYTHON=python3.12

ARGS ?=
BIN := .venv/bin
PINNED := pyproject.toml tools/setup.sh
DRIVERS := $(wildcard tests/conformance/test_conformance_*driver*.py) tests/scenarios/test_many_clouds.py
export PYTHON
# Bytecode is wanted: without it each of the demonstration's processes would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test faults engines test-engines clouds test-clouds lint format bench docs lock clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

.venv/.base-done: constraints/base.txt $(PINNED)
	@tools/setup.sh base

.venv/.dev-done: constraints/dev.txt constraints/base.txt $(PINNED)
	@tools/setup.sh dev

demo: .venv/.base-done ## launch 18 hosts in 4 clouds, watch them, break them, mend them (ARGS=--exit ends by itself)
	@exec $(BIN)/mcisd demo $(ARGS)

test: .venv/.dev-done ## all tests that this machine can run; the last lines say what was left out
	@exec $(BIN)/python -m pytest $(ARGS)

engines: ## fetch or build the real Kafka and InfluxDB, once, into ~/.cache/mcisd/engines (four minutes)
	@tools/engines.sh

test-engines: .venv/.dev-done ## the tests on the real engines alone; a missing engine is a failure
	@MCISD_ENGINES=require exec $(BIN)/python -m pytest -m engines --ignore=tests/conformance/test_conformance_libvirt_driver.py $(ARGS)

clouds: .venv/.dev-done ## OpenStack, libvirt and QEMU for tests and for demo ARGS="--exit --libvirt"; as root on Debian, once
	@tools/openstack.sh
	@tools/libvirt.sh hypervisor
	@$(BIN)/python -m mcisd.demo.hypervisor_image

test-clouds: .venv/.dev-done ## every driver on the best backend there is, then the matrix; a missing backend is a failure
	@mkdir -p build && rm -f build/matrix.jsonl
	@MCISD_CLOUDS=require MCISD_MATRIX=$(CURDIR)/build/matrix.jsonl $(BIN)/python -m pytest $(DRIVERS) $(ARGS)
	@$(BIN)/python -m tests.matrix build/matrix.jsonl

lint: .venv/.dev-done ## form, style, types and who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.dev-done ## bring the code into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

faults: .venv/.dev-done ## stories of faults on the real engines, every sample and alarm counted (ARGS="--kills 100")
	@PYTHONPATH=. exec $(BIN)/python -m benchmarks.faults $(ARGS)

bench: .venv/.dev-done ## every figure of the README (ARGS="pipeline ingest": those alone); wants an idle machine and two hours
	@PYTHONPATH=. exec $(BIN)/python -m benchmarks $(ARGS)

docs: .venv/.dev-done ## write the generated parts of docs/, then check that docs and code agree
	$(BIN)/python tools/write_docs.py
	$(BIN)/python -m tools.dashboards
	$(BIN)/python -m pytest -q tests/unit/house

lock: ## resolve constraints/ anew (needs uv)
	@tools/lock.sh

clean: ## remove everything that was made here
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis .coverage* htmlcov build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
