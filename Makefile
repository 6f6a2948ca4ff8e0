# Everything runs on a fresh clone: the first target that needs it makes the virtual environment in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run demo test unit lint types imports widget format bench fuzz clean

run: .venv/ready
	$(BIN)/policy-server serve

demo: .venv/ready
	$(BIN)/policy-server demo

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

# The agents' widget: its tests, and whether dist/ is what its sources make. Needs Node.js and the npm registry.
widget:
	cd examples/agent-app && npm ci --no-audit --no-fund && npm test && npm run build
	git diff --exit-code --stat -- examples/agent-app/dist

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/ready
	$(BIN)/python -m tests.benchmarks.run

fuzz: .venv/ready
	$(BIN)/python -m tests.fuzz

clean:
	rm -rf .venv build *.egg-info examples/agent-app/node_modules examples/agent-app/.test-build

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@
