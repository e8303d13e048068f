# Everything runs in virtual environments of its own in this folder; nothing is installed elsewhere.
PYTHON ?= python3
DEMO_ENV := .venv-demo
DEV_ENV := .venv-dev
export PYTHON

.PHONY: help demo test bench lint format clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1|/' | awk -F'|' '{printf "make %-8s %s\n", $$1, $$2}'

demo: $(DEMO_ENV)/.complete ## player and node over DDS in real time; writes out/demo/ (ARGS="--rate 0.5 --bag …")
	$(DEMO_ENV)/bin/python tools/demo.py $(ARGS)

test: $(DEV_ENV)/.complete ## all tests (ARGS="-k node")
	$(DEV_ENV)/bin/python -m pytest $(ARGS)

bench: $(DEMO_ENV)/.complete ## latency by stage, beside MediaPipe Pose on each view (ARGS="--cores 1 --json out/latency.json")
	$(DEMO_ENV)/bin/python tools/benchmark.py latency $(ARGS)

lint: $(DEV_ENV)/.complete ## style and types
	$(DEV_ENV)/bin/ruff check .
	$(DEV_ENV)/bin/ruff format --check .
	$(DEV_ENV)/bin/mypy

format: $(DEV_ENV)/.complete ## rewrite the sources in the project's style
	$(DEV_ENV)/bin/ruff check --fix .
	$(DEV_ENV)/bin/ruff format .

clean: ## remove environments, build and output folders
	rm -rf $(DEMO_ENV) $(DEV_ENV) build install log out .pytest_cache .mypy_cache .ruff_cache *.egg-info ros2_ws/src/*.egg-info

$(DEMO_ENV)/.complete: requirements/demo.txt requirements/runtime.txt requirements/ros.txt tools/make_venv.sh
	tools/make_venv.sh $(DEMO_ENV) requirements/demo.txt
	$(DEMO_ENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(DEV_ENV)/.complete: $(wildcard requirements/*.txt) tools/make_venv.sh
	tools/make_venv.sh $(DEV_ENV) requirements/dev.txt
	$(DEV_ENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@
