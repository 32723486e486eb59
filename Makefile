# Two commands set up all they need: `make score` and `make test`.
# They need Python 3.11 or newer (PYTHON=... names another one) and a package registry.

PYTHON ?= python3
CORE   := .venv-core
DEV    := .venv
OUT    ?= build/example

# What the installed package is made of: a change here means a new install.
SOURCES := $(shell find src -type f -not -path '*/__pycache__/*' 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help score test test-all lint format docs bundle bench lock clean distclean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

score: $(CORE)/.package ## score the bundled example patient with the core install
	$(CORE)/bin/mandora score --example --out $(OUT)
	@echo "Scores: $(OUT)/scores.csv"
	@for report in $(OUT)/reports/*.html; do echo "Report: $$report (open it in a browser)"; done

test: $(DEV)/.package ## run the tests, but for the slow ones
	$(DEV)/bin/python -m pytest -q -m "not slow"

test-all: $(DEV)/.package ## run every test
	$(DEV)/bin/python -m pytest -q

lint: $(DEV)/.package ## check style, types and the direction of imports
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy
	$(DEV)/bin/lint-imports

format: $(DEV)/.package ## mend what can be mended by a program
	$(DEV)/bin/ruff check --fix .
	$(DEV)/bin/ruff format .

docs: $(DEV)/.package ## build the documentation; warnings are errors
	$(DEV)/bin/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "Documentation: build/docs/index.html"

# HEALTHY names a data set of real films of healthy hands, which the networks are shown as well;
# BUNDLE holds more options of `mandora bundle make`, such as version and licence.
RUN ?= build/run
HEALTHY ?=
BUNDLE ?=
bundle: $(DEV)/.package ## train a model like the packaged one from scratch into build/run and build/bundle
	$(DEV)/bin/mandora train locate --limb foot --out $(RUN)
	$(DEV)/bin/mandora train locate --limb hand --out $(RUN) $(if $(HEALTHY),--real $(HEALTHY))
	$(DEV)/bin/mandora train damage --out $(RUN) $(if $(HEALTHY),--real $(HEALTHY))
	$(DEV)/bin/mandora train symmetry --out $(RUN)
	rm -rf $(RUN)/without-intervals build/bundle
	$(DEV)/bin/mandora bundle make $(RUN) --out $(RUN)/without-intervals $(BUNDLE)
	$(DEV)/bin/mandora simulate --patients 80 --seed 808 --wide --workers 2 --force --out $(RUN)/held-out
	$(DEV)/bin/mandora bundle calibrate $(RUN)/without-intervals $(RUN)/held-out --out build/bundle

bench: $(CORE)/.package ## time and peak memory of scoring one patient
	$(CORE)/bin/python benchmarks/score_example.py

# The locks. dev.txt leaves torch out: its CPU and CUDA builds carry one version and different
# hashes, so the extras train and explain are pinned without hashes in train.txt.
COMPILE = $(DEV)/bin/python -m piptools compile --quiet --strip-extras --allow-unsafe \
	--no-header --no-annotate --no-emit-index-url --no-emit-trusted-host \
	--no-emit-find-links --no-emit-options

lock: $(DEV)/.package ## renew the locks in requirements/ (UPGRADE=--upgrade for newer releases)
	$(COMPILE) $(UPGRADE) --generate-hashes -o requirements/core.txt pyproject.toml
	$(COMPILE) $(UPGRADE) --generate-hashes --extra dicom --extra docs --extra dev \
		-c requirements/core.txt -o requirements/dev.txt pyproject.toml
	$(COMPILE) $(UPGRADE) --extra train --extra explain -c requirements/dev.txt \
		-o requirements/train.txt pyproject.toml
	grep -vE '^(pip|setuptools)==|^#|^$$' requirements/train.txt | sed -E 's/\+[a-z0-9.]+$$//' \
		> requirements/train.tmp && mv requirements/train.tmp requirements/train.txt

clean: ## remove what was built, but for the environments
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the environments, too
	rm -rf $(CORE) $(DEV)

# Environments. Each stamp is written last, so that a broken install is tried again.
$(CORE)/.locked: requirements/core.txt
	$(call new_environment,$(CORE))
	$(CORE)/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements/core.txt
	@touch $@

# Not editable: this also shows that the package carries its own model, templates and example.
$(CORE)/.package: $(CORE)/.locked pyproject.toml $(SOURCES)
	$(CORE)/bin/python -m pip install -qq --disable-pip-version-check --no-deps --force-reinstall .
	@touch $@

$(DEV)/.locked: requirements/dev.txt requirements/train.txt
	$(call new_environment,$(DEV))
	$(DEV)/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(DEV)/bin/python -m pip install -qq --disable-pip-version-check -r requirements/train.txt
	@touch $@

$(DEV)/.package: $(DEV)/.locked pyproject.toml src/mandora/__init__.py
	$(DEV)/bin/python -m pip install -qq --disable-pip-version-check --no-deps -e .
	@touch $@

define new_environment
@$(PYTHON) -c 'import sys; sys.exit("mandora needs Python 3.11 or newer, this is " \
	+ sys.version.split()[0] + "; try make PYTHON=python3.11" \
	if sys.version_info < (3, 11) else 0)'
$(PYTHON) -m venv --clear $(1)
endef
