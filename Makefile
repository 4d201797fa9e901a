# The two commands of the README: `make demo` and `make test`. `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help venv demo test lint lab lab-down bench chaos clean

PY := .venv/bin/python

help: ## list what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

venv: ## make .venv and install the package into it
	@tools/venv.sh

demo: venv ## call the lab's callee on a real Asterisk, and watch
	@$(PY) tools/demo.py

test: venv ## lint, type check and every test, the ones against a real Asterisk included
	@$(PY) tools/check.py

lint: venv ## lint and type check alone
	@$(PY) tools/check.py --lint

lab: venv ## bring up a real Asterisk for your own trials, and keep it
	@$(PY) docker/lab.py up --free-if-taken
	@$(PY) tools/lab_config.py

lab-down: ## take that Asterisk down
	@python3 docker/lab.py down

bench: venv ## Asterisk alone against Asterisk with the worker
	@$(PY) bench/asterisk.py

CHAOS ?= --seed 1 2 3 4 5 --calls 12500 --worker-kills 200 --pbx-kills 20

chaos: venv ## kill workers and Asterisk under load and judge what is left; CHAOS="..." for another run
	@mkdir -p .lab
	@$(PY) -m tests.chaos $(CHAOS) --json .lab/chaos.json

clean: ## remove the environment, the lab and all caches
	@-python3 docker/lab.py down --purge >/dev/null 2>&1
	@rm -rf .venv .lab .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
