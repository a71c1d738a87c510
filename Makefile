# Everything starts here; `make help` lists it. A fresh machine needs python3, make and git, and nothing else.
# PYTHON=/path/to/python chooses the Python that .venv is made with; ARGS="..." goes to the program that a target runs.

PYTHON ?= python3
BIN := .venv/bin

# what the tests run besides Python packages, by the names Debian has for it: said here and nowhere else
SYSTEM_PACKAGES := chromium nginx postgresql

# what nbdev reads and writes; templates and dashboards are committed without outputs, and keep their cell tags
SOURCES := settings.ini nbs drift_lab flows dashboards
TEMPLATES := flows/notebooks/*.ipynb dashboards/*.ipynb
export_and_clean = "$$bin"/nbdev_export && "$$bin"/nbdev_clean && \
	"$$bin"/jupyter-nbconvert --log-level=ERROR --clear-output --inplace $(TEMPLATES) && \
	"$$bin"/nbdev_clean --fname flows/notebooks && "$$bin"/nbdev_clean --fname dashboards

# a home that is thrown away, so that no test reads or writes the user's own
throwaway_home = home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && trap 'exit 130' INT TERM && export HOME="$$home"

.DEFAULT_GOAL := help
.PHONY: help demo test bench lab check export lock system env

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

demo: env  ## the main job on simulated data: table -> model -> drift verdicts -> report (ARGS="--rows 5000")
	@$(BIN)/drift-lab demo $(ARGS)

test: check  ## every test: check, the notebooks, then tests/ with pytest (ARGS="-k demo" goes to pytest)
	@echo "== notebooks: every cell of nbs/"
	@$(throwaway_home) DRIFT_LAB_HOME="$$home/drift_lab" && $(BIN)/nbdev_test --flags slow
	@echo "== tests"
	@$(throwaway_home) && $(BIN)/python -m pytest $(ARGS)

bench: env  ## speed and memory beside others, on the same files (ARGS="100000x20 --rounds 1")
	@$(BIN)/python -m benchmarks $(ARGS)

lab: env  ## JupyterLab on nbs/, on this machine only (ARGS="--port 9000")
	@state="$(CURDIR)/.drift_lab" && JUPYTER_CONFIG_DIR="$$state/jupyter/config" JUPYTER_DATA_DIR="$$state/jupyter/data" \
	JUPYTER_RUNTIME_DIR="$$state/jupyter/runtime" IPYTHONDIR="$$state/ipython" DRIFT_LAB_HOME="$$state" \
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter-lab --ip=127.0.0.1 --notebook-dir=nbs \
	--LanguageServerManager.autodetect=False $(ARGS)

check: env  ## the quick part of test: ruff, and that notebooks and modules agree
	@echo "== ruff"
	@$(BIN)/ruff check --output-format=concise
	@echo "== notebooks and modules agree"
	@$(throwaway_home) && cp -R $(SOURCES) "$$home" && bin="$(CURDIR)/$(BIN)" && \
	(cd "$$home" && rm drift_lab/*.py && $(export_and_clean)) && \
	differ= && for part in $(SOURCES); do diff -rq -x __pycache__ -x '.*' $$part "$$home/$$part" || differ=yes; done && \
	if [ "$$differ" ]; then \
	  echo "they differ: \`make export\` writes what the notebooks say; an edit made in a module goes back" \
	       "into its notebook with nbdev_update first" >&2; exit 1; fi

export: env  ## write drift_lab/ from nbs/, and clean all notebooks of what does not belong in a commit
	@bin=$(BIN) && $(export_and_clean)

lock:  ## resolve settings.ini into requirements.lock; what it pins stays (ARGS="--upgrade" renews all)
	@$(PYTHON) bootstrap.py lock $(ARGS)
	@rm -rf drift_lab.egg-info  # which setuptools leaves behind, and which would hide a later version

system:  ## install the system packages that the tests need (Debian, as root)
	@if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	  echo "make system needs root and apt-get; the tests need these packages: $(SYSTEM_PACKAGES)" >&2; exit 2; fi
	@dpkg -s $(SYSTEM_PACKAGES) >/dev/null 2>&1 || \
	(apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(SYSTEM_PACKAGES))
	@echo "system packages are there: $(SYSTEM_PACKAGES)"

env:
	@$(PYTHON) bootstrap.py
