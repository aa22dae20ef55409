# `make demo` and `make test` prepare .venv on first use.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Empty (make demo CONSTRAINTS=): keep whatever torch the environment already has.
CONSTRAINTS ?= constraints.txt
C      := $(addprefix -c ,$(strip $(CONSTRAINTS)))
# uv does not read pip's settings: pass pip's wheel folder on, when one is set.
export UV_FIND_LINKS ?= $(or $(PIP_FIND_LINKS),$(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null))

demo: $(VENV)/.base    ## restore a photograph with HRDIS and the embedded prior
	$(BIN)/hrdis demo -o runs/demo
# Bytecode is kept, whatever the environment says: the tests start dozens of processes.
test: $(VENV)/.test    ## the tests, in two processes
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --durations 15
slow: $(VENV)/.test    ## the longer tests
	$(BIN)/python -m pytest -m slow
speed: $(VENV)/.base   ## the time of every solver beside that of another commit: make speed BASE=HEAD~1
	OMP_NUM_THREADS=1 $(BIN)/python studies/speed_gate.py --base $(or $(BASE),HEAD)
figures: $(VENV)/.test ## what is stale of the documentation's figures, anew: make figures PHOTOS=FOLDER TRAIN=FOLDER
	$(BIN)/python studies/figures.py $(if $(PHOTOS),--photos $(PHOTOS)) $(if $(TRAIN),--train $(TRAIN)) $(FIGURES)
docs: $(VENV)/.docs    ## the documentation as a site: docs/_build/index.html
	$(BIN)/python -m sphinx -q -W --keep-going docs docs/_build
check: $(VENV)/.dev    ## lint, format, types, and every link of the documentation
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	$(BIN)/python -m sphinx -q -W --keep-going docs docs/_build
$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q uv $(C)
$(VENV)/.base: pyproject.toml constraints.txt | $(BIN)/uv
	$(BIN)/uv pip install -q --python $(BIN)/python $(C) -e .
	touch $@
$(VENV)/.%: pyproject.toml constraints.txt | $(BIN)/uv
	$(BIN)/uv pip install -q --python $(BIN)/python $(C) -e '.[$*]'
	touch $@
COMPILE = env -u UV_FIND_LINKS -u PIP_FIND_LINKS $(BIN)/uv pip compile -q --universal --python-version 3.11 --no-header \
	  --no-annotate --no-emit-index-url
lock: $(BIN)/uv        ## constraints.txt and requirements.txt anew, from pins.in and pyproject.toml
	$(COMPILE) --all-extras --upgrade -c pins.in pyproject.toml -o constraints.txt
	$(COMPILE) --extra web --generate-hashes -c constraints.txt pyproject.toml -o requirements.txt
sbom: $(BIN)/uv        ## the packages that are installed, as a list for auditors: dist/hrdis.cdx.json (CycloneDX)
	mkdir -p dist
	$(BIN)/uv tool run -q --from cyclonedx-bom cyclonedx-py requirements requirements.txt --pyproject pyproject.toml \
	  --output-reproducible -o dist/hrdis.cdx.json
help:
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/'
.PHONY: demo test slow speed figures docs check lock sbom help
