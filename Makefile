# `make` lists the targets. PYTHON is the environment's interpreter when there is one.
PYTHON ?= $(if $(wildcard .venv/bin/python),.venv/bin/python,python3)

.DEFAULT_GOAL := help
.PHONY: help check test bench notebooks docs app

help:  ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 8

check:  ## lint, format, types
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

test:  ## all tests
	$(PYTHON) -m pytest

bench:  ## accuracy and speed, ours and peers', into benchmarks/RESULTS.md
	$(PYTHON) -m benchmarks

notebooks:  ## run the notebooks on a tiny set made on the spot; needs the extra notebooks
	$(PYTHON) -m pytest --nbmake --nbmake-timeout 900 notebooks

app:  ## the page, in the browser
	$(PYTHON) -m spotscan app

docs:  ## docs/flags.md, docs/rules.md, docs/batch.md, the pictures and the sample, from the code
	$(PYTHON) docs/make_flags.py
	$(PYTHON) docs/make_rules.py
	$(PYTHON) docs/make_batch.py
	$(PYTHON) examples/make_sample.py
	$(PYTHON) docs/make_figures.py
