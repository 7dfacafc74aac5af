SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(firstword $(shell command -v python3.11 python3) python3)
PORT ?= 5000
SCALE ?= default
UV := .venv/bin/uv
READY := .venv/.ready
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export SCALE  # recipes take it from the environment, where no character of it means anything to the shell

define NO_PYTHON
error: Python 3.11 or newer with its venv module is needed, and '$(PYTHON)' is not one.
On Debian: apt install python3.11 python3.11-venv. To use another one: make PYTHON=/path/to/python3.11 setup
endef
export NO_PYTHON

.PHONY: help
help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z.-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- environment ----------------------------------------------------------------------------------------------------

.PHONY: setup
setup: $(READY)  ## Make .venv with what requirements.lock pins (again where it changed)

$(UV):
	@$(PYTHON) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || \
		{ echo "$$NO_PYTHON" >&2; exit 2; }
	$(PYTHON) -m venv --clear .venv
	awk '/^[^ ]/ {uv = /^uv==/} uv' requirements.lock > .venv/uv.txt
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt

$(READY): requirements.lock pyproject.toml | $(UV)
	@echo "Installing the locked packages into .venv (6 GB, a few minutes)" >&2
	$(UV) pip sync --quiet --python .venv/bin/python --require-hashes --compile-bytecode requirements.lock
	$(UV) pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: doctor
doctor: setup  ## What would fail on this machine, and how to mend it
	mdm-prime doctor

.PHONY: lock
lock: | $(UV)  ## Pin the newest versions that pyproject.toml allows and the lock does not exclude
	$(UV) pip compile pyproject.toml --quiet --extra pipeline --extra dev --universal --generate-hashes --no-header --no-annotate \
		--python-version 3.11 -o requirements.lock

# ---- results --------------------------------------------------------------------------------------------------------

.PHONY: tables
tables: setup  ## Every table and figure at the default scale (about 20 minutes on 2 cores)
	snakemake --cores all results/tables/

.PHONY: figures
figures: setup  ## Figures alone, at the default scale
	snakemake --cores all results/figures/

.PHONY: smoke
smoke: setup  ## The whole pipeline at the smallest scale (2 to 3 minutes)
	snakemake --cores all --config scale=smoke -- results/tables/

.PHONY: repro
repro: setup  ## What DVC finds out of date, as one run in MLflow with its stages in it (ARGS="--dry")
	@trap : INT TERM; \
	params=$$(sed -n '/^ *- *params\//{s/^ *- *//;p;q;}' dvc.yaml); \
	MDM_PRIME_PARENT_RUN=$$(mdm-prime --params "$$params" pipeline start --engine dvc --pid $$$$); \
	export MDM_PRIME_PARENT_RUN; \
	status=0; dvc repro $(ARGS) || status=$$?; \
	mdm-prime pipeline $$([ $$status = 0 ] && echo finished || echo failed); \
	[ $$status != 0 ] || $(if $(ARGS),true,mdm-prime --params "$$params" show) || true; \
	exit $$status

.PHONY: dvc.yaml
dvc.yaml: setup  ## The stages of a scale for DVC, anew (SCALE=default)
	mdm-prime --params "params/$$SCALE.yaml" dvc-yaml

.PHONY: report
report: setup  ## Every table and figure in one HTML file, of the scale that was made last
	mdm-prime report

.PHONY: ui
ui: setup  ## The runs in MLflow, at 127.0.0.1 (PORT=5000)
	mdm-prime ui --port $(PORT)

.PHONY: remote
remote: setup  ## Keep data, networks and figures in a folder as well, for `dvc push` and `dvc pull` (DIR=/path)
	@[ -n "$(DIR)" ] || { echo "error: a folder is needed: make remote DIR=/path" >&2; exit 2; }
	@mkdir -p "$(DIR)"
	dvc remote add --local --default --force local "$$(realpath "$(DIR)")"

.PHONY: check-reference
check-reference: setup  ## Compare the tables of the default scale with results/reference
	mdm-prime check-reference

.PHONY: reference
reference: setup  ## Keep the tables and figures of the default scale as results/reference
	mdm-prime keep-reference

# ---- checks ---------------------------------------------------------------------------------------------------------

.PHONY: test
test: lint  ## Lint, types and tests
	pytest -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: quick
quick: lint  ## Lint, types, and the tests without pipelines, servers and checkpoints
	pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not pipeline and not browser" --ignore tests/tracking --ignore tests/official

.PHONY: attack
attack: smoke  ## Damaged files, hostile input and kills, about 1,400 of them, on the results of make smoke (SEED=0)
	PYTHONPATH=tests:tests/official python tests/attack.py --seed $(or $(SEED),0)

.PHONY: test-slurm
test-slurm: setup  ## The smoke scale through a real Slurm on this machine, as root, beside a local run (25 minutes)
	python tests/slurm.py $(ARGS)

.PHONY: lint
lint: setup  ## Lint and types only
	ruff check
	ruff format --check
	mypy

.PHONY: format
format: setup  ## Rewrite the code as the linter wants it
	ruff check --fix
	ruff format

# ---- removal --------------------------------------------------------------------------------------------------------

.PHONY: clean
clean:  ## Remove results (not those of reference runs) and caches
	if [ -d results ]; then find results -mindepth 1 -maxdepth 1 ! -name 'reference*' -exec rm -rf {} +; fi
	rm -rf .snakemake .mypy_cache .pytest_cache .ruff_cache build
	find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean  ## Remove .venv as well
	rm -rf .venv
