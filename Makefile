# SPDX-License-Identifier: Apache-2.0
# `make demo` and `make test` set up by themselves. DEMO_ARGS and PYTEST_ARGS are passed on.

BIN := .venv/bin
DEMO_ARGS ?=
PYTEST_ARGS ?=

# ROS comes from the wheels in .venv: nothing of another ROS environment may leak in.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH PYTHONPATH RMW_IMPLEMENTATION ROS_DISTRO ROS_VERSION
export AMENT_PREFIX_PATH := $(CURDIR)/.venv
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
# Idle threads of a process must not spin while another process needs the core.
export OMP_WAIT_POLICY ?= passive

.PHONY: help setup setup-jazzy kernels demo test checks pytest pytest-jazzy docs lint typecheck format clean

help:
	@echo "make demo       map a recording and write mesh.ply (DEMO_ARGS: input and options)"
	@echo "make test       style, types and all tests (PYTEST_ARGS: options of pytest)"
	@echo "make pytest-jazzy   tests of the nodes with ROS 2 Jazzy (JAZZY_TESTS: which; part of make test)"
	@echo "make docs       the documentation as a site, in site/"
	@echo "make setup | lint | typecheck | format | clean"

setup:
	@scripts/setup.sh

setup-jazzy: setup
	@scripts/setup_jazzy.sh

demo: setup
	@$(BIN)/neuralfusion demo $(DEMO_ARGS)

# With PYTEST_ARGS only what they ask for.
test: checks pytest $(if $(PYTEST_ARGS),,pytest-jazzy)

# mypy leaves a core free for what the tests need.
checks: setup
	@$(MAKE) --no-print-directory -j 2 lint typecheck kernels $(if $(PYTEST_ARGS),,setup-jazzy)

# Into their cache. Otherwise each worker of pytest and each node that is early would compile them.
kernels: setup
	@$(BIN)/python -c "from neuralfusion_ros.mapping import *; m = Mapper(load_model('small'), MapSettings()); m.warm_up(); \
		from neuralfusion_ros.nodes.rehearsal import rehearse; rehearse(m.model, m.device)"

# INT: pytest still tells what failed until then. -k: a hung node would survive the plain signal.
PYTEST := timeout -s INT -k 30 1200 env ROS_PYTHON_CHECK_FIELDS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder \
	--max-worker-restart 1

pytest: setup
	@echo "pytest"
	@$(PYTEST) $(PYTEST_ARGS)

# What talks over the middleware, with the ROS of the older distribution.
JAZZY_TESTS ?= $(wildcard test/nodes/test_[dgiln]*.py) test/nodes/test_planning_outputs.py test/messages/test_transforms.py
pytest-jazzy: setup-jazzy
	@echo "pytest, ROS 2 Jazzy"
	@ROS_DISTRO=jazzy $(PYTEST:$(BIN)%=.venv-jazzy/bin%) $(JAZZY_TESTS)

docs: setup
	@$(BIN)/mkdocs build --quiet --strict
	@echo "site/index.html"

lint: setup
	@echo "ruff"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "not formatted; run: make format"; exit 1; }

typecheck: setup
	@echo "mypy"
	@$(BIN)/python -m mypy --no-error-summary

format: setup
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

clean:
	@rm -rf build dist install log site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	@find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
