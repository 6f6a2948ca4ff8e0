# Everything runs on a fresh clone: the first target that needs it makes the virtual environment in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test unit lint types imports format bench fuzz clean

run: .venv/ready
	$(BIN)/policy-server serve

test: .venv/ready lint types imports unit

unit: .venv/ready
	$(BIN)/pytest

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

imports: .venv/ready
	$(BIN)/lint-imports

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/ready
	$(BIN)/python -m tests.benchmarks.run

fuzz: .venv/ready
	$(BIN)/python -m tests.fuzz

clean:
	rm -rf .venv build *.egg-info

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@
