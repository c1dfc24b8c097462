# `make test` and `make demo` are each enough on a fresh machine with Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
MINIMA ?= .venv-minima
WORKERS ?= 2

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MINIMA_STAMP := $(MINIMA)/.installed

# Without it scikit-learn skips its array API checks.
export SCIPY_ARRAY_API := 1

.DEFAULT_GOAL := help
.PHONY: help install lint test test-minima docs notebooks docs-serve demo bench clean

help:  ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 13

# Torch goes first, alone: resolved on its own it can only be the build that the constraints
# and the user's pip configuration choose, and nothing later replaces it.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs,examples,test]'
# Alone, because its metadata exclude pandas 3, with which it works. It needs nothing else.
	$(BIN)/python -m pip install -q -c constraints.txt --no-deps stackstac
	touch $@

install: $(STAMP)  ## Make or update the virtual environment

lint: $(STAMP)  ## Check style, formatting, types and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# One torch thread a worker (tests/conftest.py), so workers share the cores without contention.
# `docs` runs the tests of the site once it is built: before, an older one may lie there.
test: lint  ## Run the checks, the whole test suite, the wheel's test included, and the gallery
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --ignore=tests/test_site.py
	$(MAKE) docs

# Not part of `test`: it needs an environment of its own.
$(MINIMA_STAMP): pyproject.toml constraints-min.txt
	test -x $(MINIMA)/bin/python || $(PYTHON) -m venv $(MINIMA)
	$(MINIMA)/bin/python -m pip install -q -c constraints-min.txt torch
	$(MINIMA)/bin/python -m pip install -q -c constraints-min.txt -e '.[plot,raster]' \
		hypothesis polars pytest pytest-xdist
	touch $@

# Where the package meets the functions of its dependencies; the ignored files need more packages.
# Old versions use functions that newer ones deprecate, which is no fault of ours.
test-minima: $(MINIMA_STAMP)  ## Run a part of the tests with the lowest versions of dependencies
	$(MINIMA)/bin/python -m pytest -n $(WORKERS) --dist worksteal -m 'not slow' \
		-W default::DeprecationWarning -W default::FutureWarning \
		--ignore=tests/raster/test_geotiff.py --ignore=tests/raster/test_points.py \
		--ignore=tests/raster/test_stac_decoding.py \
		tests/cli tests/displays tests/metrics tests/model_selection tests/raster \
		tests/runtime tests/series tests/vae tests/test_saved_models.py tests/test_warnings.py

# Warnings are errors. The gallery runs its examples: the first time takes some minutes.
docs: $(STAMP)  ## Build the documentation: docs/_build/html/index.html
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build/html
	$(BIN)/python -m pytest tests/test_site.py -m 'not slow'

notebooks: $(STAMP)  ## Run all notebooks of the gallery, after `docs`
	$(BIN)/python -m pytest tests/test_site.py -m slow

docs-serve: docs  ## Show the documentation at http://localhost:8000
	$(BIN)/python -m http.server 8000 --directory docs/_build/html

demo: $(STAMP)  ## Run the examples of land cover and of vegetation traits
	MPLBACKEND=Agg $(BIN)/python examples/landcover.py
	MPLBACKEND=Agg $(BIN)/python examples/traits.py

# Up to 20,000 series: without options, benchmarks/scale.py takes 92,000.
bench: $(STAMP)  ## Run the benchmarks, those on real data with DATA=folder of the data
	$(BIN)/python benchmarks/interpolator.py
	$(BIN)/python benchmarks/areas.py
	$(BIN)/python benchmarks/canopy.py --train
	$(BIN)/python benchmarks/encoder.py
	$(BIN)/python benchmarks/scale.py --n 20000 --n-test 20000 --sweep
	$(BIN)/python benchmarks/phenology.py
	$(BIN)/python benchmarks/map.py --chunks 256
	$(BIN)/python benchmarks/traits.py $(if $(DATA),--data "$(DATA)")
	$(BIN)/python benchmarks/landcover.py $(if $(DATA),--data "$(DATA)")
	$(BIN)/python benchmarks/few_labels.py $(if $(DATA),--data "$(DATA)")

clean:  ## Remove the environment, the caches and the build products
	rm -rf $(VENV) $(MINIMA) build dist docs/_build docs/gallery docs/api/generated
	rm -rf docs/api/backreferences docs/sg_execution_times.rst
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
