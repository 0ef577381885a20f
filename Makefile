# make demo   sets everything up and trains a policy over ROS 2
# make test   sets everything up and passes the tests
# make coverage  tells which share of the lines the fast tests run
# make sanitize  runs the tests of what is compiled under address and undefined-behaviour sanitizers
# make bench  measures the loop over ROS 2, the core in one process, and traces; writes the page
# They do only what has not been done yet. `make setup ROS=kilted` takes the wheels of ROS 2 Kilted, and
# what follows keeps them; a new environment gets Jazzy.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := env OPENBLAS_NUM_THREADS=1 $(BIN)/python
COVERED := $(BIN)/coverage report --format=total
PURE := nrl_ros/base/*,nrl_ros/environments/*,nrl_ros/learning/*,nrl_ros/robots/*,nrl_ros/settings/*,nrl_ros/storage/*

.PHONY: help setup setup-test demo test lint coverage sanitize bench clean

help:
	@sed -n 's/^# make/make/p' Makefile

setup:
	@PYTHON="$(PYTHON)" VENV="$(VENV)" ROS="$(ROS)" sh scripts/setup.sh

setup-test:
	@PYTHON="$(PYTHON)" VENV="$(VENV)" ROS="$(ROS)" sh scripts/setup.sh test

demo: setup
	@$(BIN)/nrl demo

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy --strict nrl_ros sim_bridge launch scripts benchmarks

# First what needs no real nodes, on all cores. Then tests with real nodes, which mostly wait, two files at a
# time: each test has a ROS domain of its own. What has to be alone comes last, one after the other: tests in
# real time, and Ray, which gives itself half a minute to start.
test: lint
	$(RUN) -m pytest -n auto --dist worksteal -m 'not alone' tests/unit tests/launch tests/slow
	$(RUN) -m pytest -rs -n 2 --dist loadfile --no-loadscope-reorder -m 'not alone' tests/ros
	$(RUN) -m pytest -rs -m alone tests/ros tests/slow/test_study.py

# The share of lines that the fast tests run. Lines that a node runs in a process of its own are not seen.
coverage: setup-test
	$(RUN) -m coverage run -m pytest tests/unit tests/launch
	@echo "coverage: tests/unit and tests/launch run $$($(COVERED))% of all lines," \
	  "$$($(COVERED) --include='$(PURE)')% where there is no ROS"

# What is compiled, under the sanitizers of the compiler.
sanitize: setup-test
	$(RUN) scripts/sanitize.py

# The core is measured beside torch, which only the tests' setup brings.
bench: setup-test
	$(RUN) benchmarks/ros_loop.py --json docs/results/ros_loop.json
	$(RUN) benchmarks/core.py --json docs/results/core.json
	$(RUN) benchmarks/traces.py --json docs/results/traces.json
	$(RUN) benchmarks/arm_realtime.py --compose --rate 500 --seconds 25 --json docs/results/arm_composed.json
	$(RUN) scripts/performance_page.py

clean:
	rm -rf build $(VENV) nrl_ros/msg nrl_ros/srv nrl_ros/action nrl_ros/interfaces.sha256
	find nrl_ros -name '*.so' -delete
