# Freshet. `make help` lists the targets; PYTHON=... names the interpreter from which .venv is made.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: pictures real why proof uses help setup test demo bench bench-quick lint package clean

ENGINE := .venv/bin/python

# What another Python, QGIS or virtual environment left in the caller's shell must not reach ours.
unexport PYTHONHOME PYTHONPATH PYTHONEXECUTABLE PYTHONUSERBASE PYTHONSTARTUP VIRTUAL_ENV CONDA_PREFIX
unexport PIP_TARGET PIP_PREFIX PIP_USER PIP_REQUIRE_VIRTUALENV PIP_CONSTRAINT
unexport GDAL_DATA GDAL_DRIVER_PATH PROJ_LIB PROJ_DATA QGIS_PREFIX_PATH LD_LIBRARY_PATH LD_PRELOAD
export PYTHONNOUSERSITE := 1
export OMP_WAIT_POLICY := PASSIVE

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## install what is missing: QGIS and a virtual screen (apt, as root), the engine (.venv)
	@PYTHON="$(PYTHON)" bash scripts/setup.sh

test: setup ## run all tests: the engine, the plugin, the clicks in a real QGIS
	@bash scripts/test.sh

demo: setup ## from a generated basin to predicted, delta and attribution maps in a QGIS project, without a screen
	@$(ENGINE) scripts/demo.py

bench: setup ## measure the numbers that the project promises
	@$(ENGINE) scripts/bench.py

bench-quick: setup ## a look at the numbers beside the peers, smaller and in few rounds (3 minutes)
	@$(ENGINE) scripts/bench.py --quick

real: setup ## compare every family on real data (hours): DATA=folder of the packs
	@$(ENGINE) scripts/real_table.py "$(DATA)" build/real
	@$(ENGINE) scripts/real_table.py "$(DATA)" build/real --page

why: setup ## explain models of two real basins, for docs/why*.md (an hour): DATA=folder of the packs
	@$(ENGINE) scripts/why_pages.py "$(DATA)" build/why

proof: setup ## attributions beside the truth of the example basin (half an hour)
	@$(ENGINE) scripts/explain_proof.py; status=$$?; \
	$(ENGINE) scripts/why_pages.py --page --proof build/explain_proof/proof.json; exit $$status

uses: setup ## the worked examples of docs/uses.md: merge, correct, downscale, fill gaps, nowcast
	@$(ENGINE) scripts/uses.py

pictures: ## make the pictures of README and help from build/demo and build/gui
	@$(ENGINE) scripts/pictures.py

lint: setup ## check style and format with ruff
	@$(ENGINE) -m ruff check .
	@$(ENGINE) -m ruff format --check .

package: ## write build/freshet-VERSION.zip for the plugin repository, from the last commit
	@bash scripts/package.sh

clean: ## remove what was built; the environment in .venv stays
	@rm -rf build dist *.egg-info .pytest_cache .ruff_cache .qgis-settings
	@find . -path ./.venv -prune -o -path ./.git -prune -o -type d -name __pycache__ -exec rm -rf {} +
