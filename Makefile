# Everything runs on a fresh clone: the first target that needs it makes the virtual environment in .venv, of the very
# versions that requirements-dev.txt names by their hashes.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: help run demo quick test unit lint types imports widget format bench fuzz agree reloads attack faults day pictures lock sbom latest clean

help: ## lists these targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

run: $(READY) ## serves the rules in rules/ on http://127.0.0.1:8080
	$(BIN)/policy-server serve

demo: $(READY) ## plays a contact centre on this machine, in a browser
	$(BIN)/policy-server demo

# Less than a minute on two cores: nothing that needs a program of the system or is slow, no lab, and few examples of each
# property.
quick: $(READY) lint types imports ## checks what a minute can: linters, types, import contracts, fast tests
	$(BIN)/pytest --numprocesses=auto --hypothesis-profile=quick --ignore=tests/lab -m "not (system or slow)"

test: $(READY) lint types imports unit ## checks everything, as CI does

unit: $(READY) ## runs all tests, and nothing else
	$(BIN)/pytest --numprocesses=auto

lint: $(READY) ## runs ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## runs mypy
	$(BIN)/mypy

imports: $(READY) ## checks which package imports which
	$(BIN)/lint-imports

# Needs Node.js and the npm registry.
widget: ## tests and builds the agents' widget, and says whether its dist/ is up to date
	cd examples/agent-app && npm ci --no-audit --no-fund && npm test && npm run build
	git diff --exit-code --stat -- examples/agent-app/dist

format: $(READY) ## formats the code and fixes what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Half an hour, of which calls in a row take twenty minutes; `.venv/bin/python -m tests.benchmarks.run --only NAME` measures a part of it.
bench: $(READY) ## measures speed beside version 0.1 (needs wrk and PostgreSQL)
	$(BIN)/python -m tests.benchmarks.run

fuzz: $(READY) ## sends hostile questions and events to a server
	$(BIN)/python -m tests.fuzz

# Ten minutes; what was asked is told of each disagreement.
agree: $(READY) ## asks endpoint, explain, the page "Try a call" and replay 10,000 random questions
	$(BIN)/python -m tests.agree.run

reloads: $(READY) ## reloads rules 1,000 times, a third of them broken, while nodes ask
	$(BIN)/python -m tests.reloads.run

# Three minutes of everything that strangers could try, against a server on loopback while a call goes on; SECURITY.md
# has the table.
attack: $(READY) ## attacks a server for three minutes, and writes the table of SECURITY.md
	$(BIN)/python -m tests.attack.run --write SECURITY.md

# Five minutes of calls whose legs fail in every way, with real SIP and in real time (needs SIPp and PostgreSQL);
# policy_server/lab/README.md has the table.
faults: $(READY) ## plays calls whose legs fail, and writes the table of policy_server/lab/README.md
	$(BIN)/python -m tests.faults.run --write policy_server/lab/README.md

day: $(READY) ## simulates a day of 20,000 calls of which some fail, while replicas die (needs PostgreSQL)
	$(BIN)/python -m tests.faults.day

# Look at each before you keep it.
pictures: $(READY) ## takes the pictures of the admin pages in the READMEs (needs Chromium)
	$(BIN)/python -m tests.system.browser.pictures

# Renews requirements*.txt: the newest versions that pyproject.toml allows, for every platform and Python. It has an
# environment of its own, so that a version that cannot be had any more does not keep anybody from replacing it.
lock: ## renews requirements*.txt
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9'
	.venv-lock/bin/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" > .venv-lock/build.in
	$(COMPILE) pyproject.toml .venv-lock/build.in --output-file requirements.txt
	$(COMPILE) --all-extras --constraints requirements.txt pyproject.toml .venv-lock/build.in --output-file requirements-dev.txt

COMPILE = .venv-lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command 'make lock'

sbom: $(READY) ## writes what server and widget are made of to build/sbom.json (CycloneDX)
	mkdir -p build
	$(BIN)/python -m tests.sbom > build/sbom.json

latest: ## checks everything with the newest version of each dependency
	$(PYTHON) -m venv --clear .venv-latest
	.venv-latest/bin/pip install --quiet --disable-pip-version-check --upgrade -e '.[dev]'
	$(MAKE) --keep-going test BIN=.venv-latest/bin READY=

clean: ## removes virtual environments and build output
	rm -rf .venv .venv-lock .venv-latest build *.egg-info examples/agent-app/node_modules examples/agent-app/.test-build

# setuptools, which builds the package, is locked too: build isolation would fetch whichever is the newest.
.venv/ready: pyproject.toml requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@
