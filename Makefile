# Everything runs on a fresh clone: the first target that needs it makes the virtual environment in .venv, of the very
# versions that requirements-dev.txt names by their hashes.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: run demo test unit lint types imports widget format bench fuzz attack lock sbom latest clean

run: $(READY)
	$(BIN)/policy-server serve

demo: $(READY)
	$(BIN)/policy-server demo

test: $(READY) lint types imports unit

unit: $(READY)
	$(BIN)/pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

# The agents' widget: its tests, and whether dist/ is what its sources make. Needs Node.js and the npm registry.
widget:
	cd examples/agent-app && npm ci --no-audit --no-fund && npm test && npm run build
	git diff --exit-code --stat -- examples/agent-app/dist

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python -m tests.benchmarks.run

fuzz: $(READY)
	$(BIN)/python -m tests.fuzz

# Three minutes of everything that strangers could try, against a server on loopback while a call goes on; SECURITY.md
# has the table.
attack: $(READY)
	$(BIN)/python -m tests.attack.run --write SECURITY.md

# Renews requirements*.txt: the newest versions that pyproject.toml allows, for every platform and Python. It has an
# environment of its own, so that a version that cannot be had any more does not keep anybody from replacing it.
lock:
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9'
	.venv-lock/bin/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" > .venv-lock/build.in
	$(COMPILE) pyproject.toml .venv-lock/build.in --output-file requirements.txt
	$(COMPILE) --all-extras --constraints requirements.txt pyproject.toml .venv-lock/build.in --output-file requirements-dev.txt

COMPILE = .venv-lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command 'make lock'

# What the service and the widget are made of, from their lock files, for whoever watches for known faults (CycloneDX).
sbom: $(READY)
	mkdir -p build
	$(BIN)/python -m tests.sbom > build/sbom.json

# What `make test` checks, with the newest version of everything, whatever the lock says.
latest:
	$(PYTHON) -m venv --clear .venv-latest
	.venv-latest/bin/pip install --quiet --disable-pip-version-check --upgrade -e '.[dev]'
	$(MAKE) --keep-going test BIN=.venv-latest/bin READY=

clean:
	rm -rf .venv .venv-lock .venv-latest build *.egg-info examples/agent-app/node_modules examples/agent-app/.test-build

# setuptools, which builds the package, is locked too: build isolation would fetch whichever is the newest.
.venv/ready: pyproject.toml requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@
