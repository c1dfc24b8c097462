# `make test` and `make demo` are each enough on a fresh machine with Python 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
MINIMA ?= .venv-minima
NEWEST ?= .venv-newest
WHEEL ?= .venv-wheel
WORKERS ?= 2

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MINIMA_STAMP := $(MINIMA)/.installed
TESTED_TORCH := $(shell sed -n '/^torch==/p' constraints.txt)

TOOLS := hypothesis polars pytest pytest-xdist
# Where the package meets the functions of its dependencies; the ignored files need more packages.
REDUCED := -m 'not slow' --ignore=tests/raster/test_geotiff.py \
	--ignore=tests/raster/test_points.py --ignore=tests/raster/test_stac_decoding.py \
	tests/cli tests/displays tests/metrics tests/model_selection tests/raster tests/runtime \
	tests/series tests/vae tests/test_saved_models.py tests/test_warnings.py

# Without it scikit-learn skips its array API checks.
export SCIPY_ARRAY_API := 1

.DEFAULT_GOAL := help
.PHONY: help install lint test test-wheel test-minima test-newest docs notebooks docs-serve
.PHONY: demo bench bench-gpu clean

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

# The targets below are not part of `test`: each needs an environment of its own.

# The tests come from the unpacked sdist, without its package: only the installed wheel can be
# imported. The first check comes before the extras and the tools, so that it finds a missing
# requirement.
test-wheel:  ## Test the sdist and its wheel in a clean environment, with PYTHON=python3.13
	$(PYTHON) -m venv --clear $(WHEEL)
	$(WHEEL)/bin/python -m pip install -q -c constraints.txt torch
	$(WHEEL)/bin/python -m pip install -q -c constraints.txt build hatchling
	$(WHEEL)/bin/python -m build --no-isolation --outdir $(WHEEL)/dist
	mkdir $(WHEEL)/sdist
	tar -xzf $(WHEEL)/dist/*.tar.gz -C $(WHEEL)/sdist --strip-components 1
	rm -r $(WHEEL)/sdist/sklearn_sits
	$(WHEEL)/bin/python -m pip install -q -c constraints.txt $(WHEEL)/dist/*.whl
	cd $(WHEEL)/sdist && ../bin/python tests/installed.py
	$(WHEEL)/bin/python -m pip install -q -c constraints.txt "$$(echo $(WHEEL)/dist/*.whl)[plot,raster]" \
		$(TOOLS) geopandas pystac
	cd $(WHEEL)/sdist && ../bin/python -m pytest -n $(WORKERS) -m 'not slow' \
		'tests/test_docs.py::test_examples_run[README]' tests/test_saved_models.py tests/cli/test_map.py
	cd $(WHEEL)/sdist && ../bin/python -m pytest -n $(WORKERS) -m 'not slow' \
		-k 'LinearInterpolator or MTANSVGPClassifier' tests/test_common.py

$(MINIMA_STAMP): pyproject.toml constraints-min.txt
	test -x $(MINIMA)/bin/python || $(PYTHON) -m venv $(MINIMA)
	$(MINIMA)/bin/python -m pip install -q -c constraints-min.txt torch
	$(MINIMA)/bin/python -m pip install -q -c constraints-min.txt -e '.[plot,raster]' $(TOOLS)
	touch $@

# Old versions use functions that newer ones deprecate, which is no fault of ours.
test-minima: $(MINIMA_STAMP)  ## Run a part of the tests with the lowest versions of dependencies
	$(MINIMA)/bin/python -m pytest -n $(WORKERS) --dist worksteal \
		-W default::DeprecationWarning -W default::FutureWarning $(REDUCED)

# Torch alone has the tested version: its newest one can need other drivers and some gigabytes.
test-newest:  ## Run the same part with the newest versions of dependencies
	$(PYTHON) -m venv --clear $(NEWEST)
	$(NEWEST)/bin/python -m pip install -q $(TESTED_TORCH)
	$(NEWEST)/bin/python -m pip install -q $(TESTED_TORCH) -e '.[plot,raster]' $(TOOLS)
	$(NEWEST)/bin/python -m pytest -n $(WORKERS) --dist worksteal $(REDUCED)

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

# The commands of docs/benchmarks.md, in hours. Data that are not there are left out.
bench: FOLDER = $(if $(DATA),--data "$(DATA)")
bench: $(STAMP)  ## Run the benchmarks, those on real data with DATA=folder of the data
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/interpolator.py
	$(BIN)/python benchmarks/areas.py
	$(BIN)/python benchmarks/canopy.py --train
	$(BIN)/python benchmarks/encoder.py
	$(BIN)/python benchmarks/romania.py
	$(BIN)/python benchmarks/map.py --chunks 128 256 512 --systems mtan-svgp lin-rf
	$(BIN)/python benchmarks/map.py --size 512 --chunks 256 --systems lai lai-std
	$(BIN)/python benchmarks/scale.py --n 20000 --n-test 20000 --sweep \
		--systems mtan-svgp mtan-mlp lin-rf
	$(BIN)/python benchmarks/phenology.py --seeds 3 $(FOLDER)
	$(BIN)/python benchmarks/traits.py --parts sensors speed
	$(BIN)/python benchmarks/traits.py --parts series --seeds 3
	$(BIN)/python benchmarks/traits.py --parts field --objectives hybrid --seeds 3 $(FOLDER)
	$(BIN)/python benchmarks/sensors.py $(FOLDER)
	$(BIN)/python benchmarks/landcover.py $(FOLDER)
	$(BIN)/python benchmarks/few_labels.py $(FOLDER)
	$(if $(DATA),$(BIN)/python benchmarks/traits_calibration.py $(FOLDER))
	$(BIN)/python benchmarks/tables.py

bench-gpu: $(STAMP)  ## Run the benchmark of a GPU, at most eight minutes
	$(BIN)/python benchmarks/gpu.py

clean:  ## Remove the environment, the caches and the build products
	rm -rf $(VENV) $(MINIMA) $(NEWEST) $(WHEEL) build dist
	rm -rf docs/_build docs/gallery docs/api/generated docs/api/backreferences
	rm -f docs/sg_execution_times.rst
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
