# Two commands set up all they need: `make score` and `make test`.
# They need Python 3.11 or newer (PYTHON=... names another one) and a package registry.

PYTHON ?= python3
CORE   := .venv-core
DEV    := .venv
OLDEST := .venv-oldest
OUT    ?= build/example

# What the installed package is made of: a change here means a new install.
SOURCES := $(shell find src -type f -not -path '*/__pycache__/*' 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help score test test-slow test-all test-oldest extras lint format docs tables bundle bench lock \
	clean distclean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

score: $(CORE)/.package ## score the bundled example patient with the core install
	$(CORE)/bin/mandora score --example --out $(OUT)
	@echo "Scores: $(OUT)/scores.csv"
	@for report in $(OUT)/reports/*.html; do echo "Report: $$report (open it in a browser)"; done

# Tests run in JOBS processes of one thread each; a file's tests share what they prepare.
JOBS ?= 2
PYTEST = OMP_NUM_THREADS=1 $(DEV)/bin/python -m pytest -q -n $(JOBS) --dist loadfile

test: $(DEV)/.package ## run the tests, but for the slow ones
	$(PYTEST) -m "not slow"

test-slow: $(DEV)/.package ## run the slow tests alone
	$(PYTEST) -m slow

test-all: $(DEV)/.package ## run every test
	$(PYTEST)

test-oldest: $(OLDEST)/.package ## run the tests of the core with the oldest packages that it allows
	.ci/oldest $(OLDEST)/bin/python $(JOBS)

extras: $(DEV)/.package ## install each extra alone and run what it is for
	.ci/extras $(DEV)/bin/python build/extras

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

tables: $(DEV)/.package ## renew the tables of the documentation that come from the code
	$(DEV)/bin/python docs/tables.py docs/*.md

# WHICH names one of two models. `default` learns from simulated films and from all real ones of the
# folder FILMS (benchmarks/real_films.py describes it); `open` from simulated films and from the
# wrists of RAM-W600 in that folder, which are CC BY 4.0. Without FILMS there are no real films, and
# both are the same. COPIES says how often each data set of real films is shown to the localisers
# and to the damage network. PART of the films trains; the others are left for measuring.
# CALIBRATION names a labelled data set of real films of hands and feet that trained nothing, and
# OTHER a folder of real films of other body parts. They set the thresholds of the localisers, which
# keep their defaults otherwise: by simulated films, which fit better, real ones would be refused.
# SURE names labelled data sets of real films that trained nothing, as with inflicted damage; intervals
# are measured on simulated patients and on these.
# BUNDLE holds more options of `mandora bundle make`, such as the version.
WHICH ?= default
FILMS ?=
PART ?= train
RUN ?= build/run-$(WHICH)
MADE ?= build/bundle-$(WHICH)
CALIBRATION ?=
OTHER ?=
SURE ?=
BUNDLE ?=
REAL_default := healthy adults
REAL_open := ram-w600
SETS_healthy := rsna dha --healthy --locate
SETS_adults := unifesp ram
SETS_ram-w600 := ram
LOCATE_COPIES_default := 10, 20
LOCATE_COPIES_open := 20
DAMAGE_COPIES_default := 8, 40
DAMAGE_COPIES_open := 40
LICENCE_default := --licence LicenseRef-research-only --licence-note "trained on simulated films and on \
	films of hands, feet and wrists, some of which are given out for research and not for commerce: so \
	are the weights"
LICENCE_open := --name mandora-open --licence Apache-2.0 --licence-note "trained on simulated films and on \
	wrists of RAM-W600, which is CC BY 4.0: name that data set wherever the weights go"
REAL = $(if $(FILMS),$(REAL_$(WHICH)))
SHOWN = $(foreach name,$(REAL),--real $(RUN)/real/$(name))
bundle: $(DEV)/.package ## train the packaged model, or WHICH=open, from scratch into build/
	$(if $(REAL_$(WHICH)),,$(error WHICH is default or open))
	mkdir -p $(RUN)/real
	$(foreach name,$(REAL),$(DEV)/bin/python benchmarks/real_films_data_set.py $(FILMS) \
		$(SETS_$(name)) --part $(PART) --out $(RUN)/real/$(name) && ) true
	echo 'real_copies = [$(LOCATE_COPIES_$(WHICH))]' > $(RUN)/real/locate.toml
	echo 'real_copies = [$(DAMAGE_COPIES_$(WHICH))]' > $(RUN)/real/damage.toml
	$(DEV)/bin/mandora train locate --out $(RUN) --settings $(RUN)/real/locate.toml $(SHOWN)
	$(DEV)/bin/mandora train damage --out $(RUN) --settings $(RUN)/real/damage.toml $(SHOWN)
	$(DEV)/bin/mandora train symmetry --out $(RUN)
	rm -rf $(RUN)/uncalibrated $(RUN)/without-intervals $(MADE)
	$(DEV)/bin/mandora bundle make $(RUN) --out $(RUN)/uncalibrated $(if $(FILMS),$(LICENCE_$(WHICH))) $(BUNDLE)
	$(DEV)/bin/mandora simulate --patients 80 --seed 808 --wide --workers 2 --force --out $(RUN)/held-out
	$(if $(CALIBRATION),$(DEV)/bin/mandora bundle calibrate $(RUN)/uncalibrated $(CALIBRATION) \
		--only thresholds $(if $(OTHER),--other $(OTHER)) --out $(RUN)/without-intervals)
	$(DEV)/bin/mandora bundle calibrate \
		$(RUN)/$(if $(CALIBRATION),without-intervals,uncalibrated) $(RUN)/held-out \
		$(foreach set,$(SURE),--also $(set)) --only intervals --out $(MADE)

bench: $(CORE)/.package ## time and peak memory of scoring one patient
	$(CORE)/bin/python benchmarks/score_example.py

# The locks. dev.txt leaves torch out: its CPU and CUDA builds carry one version and different
# hashes, so the extras train and explain are pinned without hashes in train.txt. build.txt has
# what builds the package, oldest.txt the lowest releases that pyproject.toml allows.
COMPILE = $(DEV)/bin/python -m piptools compile --quiet --strip-extras --allow-unsafe \
	--no-header --no-annotate --no-emit-index-url --no-emit-trusted-host \
	--no-emit-find-links --no-emit-options

lock: $(DEV)/.package ## renew the locks in requirements/ (UPGRADE=--upgrade for newer releases)
	$(COMPILE) $(UPGRADE) --generate-hashes -o requirements/core.txt pyproject.toml
	$(COMPILE) $(UPGRADE) --generate-hashes --extra dicom --extra archive --extra docs --extra dev \
		-c requirements/core.txt -o requirements/dev.txt pyproject.toml
	$(COMPILE) $(UPGRADE) --extra train --extra explain -c requirements/dev.txt \
		-o requirements/train.txt pyproject.toml
	$(COMPILE) $(UPGRADE) --generate-hashes --all-build-deps --only-build-deps \
		-c requirements/dev.txt -o requirements/build.txt pyproject.toml
	@mkdir -p build
	$(DEV)/bin/python .ci/lower_bounds.py pyproject.toml > build/oldest.in
	$(COMPILE) $(UPGRADE) --generate-hashes -c requirements/build.txt \
		-o requirements/oldest.txt build/oldest.in
	grep -vE '^(pip|setuptools)==|^#|^$$' requirements/train.txt | sed -E 's/\+[a-z0-9.]+$$//' \
		> requirements/train.tmp && mv requirements/train.tmp requirements/train.txt

clean: ## remove what was built, but for the environments
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the environments, too
	rm -rf $(CORE) $(DEV) $(OLDEST)

# Environments. Each stamp is written last, so that a broken install is tried again. What builds
# the package comes from a lock as well: without --no-build-isolation pip would fetch its own.
INSTALL = bin/python -m pip install -qq --disable-pip-version-check

$(CORE)/.locked: requirements/core.txt requirements/build.txt
	$(call new_environment,$(CORE))
	$(CORE)/$(INSTALL) --require-hashes -r requirements/core.txt -r requirements/build.txt
	@touch $@

# Not editable: this also shows that the package carries its own model, templates and example.
$(CORE)/.package: $(CORE)/.locked pyproject.toml $(SOURCES)
	$(CORE)/$(INSTALL) --no-build-isolation --no-deps --force-reinstall .
	@touch $@

$(DEV)/.locked: requirements/dev.txt requirements/build.txt requirements/train.txt
	$(call new_environment,$(DEV))
	$(DEV)/$(INSTALL) --require-hashes -r requirements/dev.txt -r requirements/build.txt
	$(DEV)/$(INSTALL) -r requirements/train.txt
	@touch $@

$(DEV)/.package: $(DEV)/.locked pyproject.toml src/mandora/__init__.py
	$(DEV)/$(INSTALL) --no-build-isolation --no-deps -e .
	@touch $@

$(OLDEST)/.package: requirements/oldest.txt requirements/build.txt pyproject.toml $(SOURCES)
	$(call new_environment,$(OLDEST))
	$(OLDEST)/$(INSTALL) --require-hashes -r requirements/oldest.txt
	$(OLDEST)/$(INSTALL) --require-hashes -r requirements/build.txt
	$(OLDEST)/$(INSTALL) --no-build-isolation --no-deps .
	@touch $@

define new_environment
@$(PYTHON) -c 'import sys; sys.exit("mandora needs Python 3.11 or newer, this is " \
	+ sys.version.split()[0] + "; try make PYTHON=python3.11" \
	if sys.version_info < (3, 11) else 0)'
$(PYTHON) -m venv --clear $(1)
endef
