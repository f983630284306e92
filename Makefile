# Entry points of the project. `make help` lists them.
#
# Sandboxes need root. An ordinary user is asked for sudo where a step needs it, and builds,
# caches and the clone stay that user's own.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# One cache for all clones: Python and npm packages of the stories.
export SOULBOX_CACHE ?= $(HOME)/.cache/soulbox
# Images are shared by every server on the machine.
DATA ?= /var/lib/soulbox
export SOULBOX_IMAGES ?= $(DATA)/images
# Where the demo writes its picture and the data of its chart.
OUT ?= demo-output

TARGET := $(or $(CARGO_BUILD_TARGET),x86_64-unknown-linux-gnu)
TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
export SOULBOX_BIN := $(TARGET_DIR)/$(TARGET)/release/soulbox

# What runs as root must not leave compiled files in somebody's clone.
export PYTHONDONTWRITEBYTECODE := 1

# `sudo` keeps what the tests and the demo read from the environment.
ROOT := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=PATH,HOME,SOULBOX_CACHE,SOULBOX_IMAGES,SOULBOX_BIN,SOULBOX_ISOLATION,PYTHONDONTWRITEBYTECODE)

.PHONY: help demo test build images default-image lint perf setup clean

help: ## shows this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Variables: DATA=$(DATA) (images), OUT=$(OUT) (the demo's files),"
	@echo "  SOULBOX_ISOLATION=gvisor|namespace (which tier is tested; default both)"

setup: ## installs what the machine lacks (asks for root)
	@sandbox-runtime/image/setup.sh

build: setup ## builds the two static binaries
	@echo "building soulbox and soulbox-agent (a first build takes some minutes)"
	@cargo build --release -j2 --bin soulbox --bin soulbox-agent

# Each template stands on the one before it: base, code-interpreter-v1, code-interpreter-full.
images: build ## builds the root file systems of the three templates
	@$(ROOT) $(SOULBOX_BIN) template build --data-dir $(DATA) code-interpreter-full

# The demo needs neither R nor Java.
default-image: build
	@$(ROOT) $(SOULBOX_BIN) template build --data-dir $(DATA) code-interpreter-v1

demo: default-image ## sets up everything and runs the main job
	@tests/setup.sh current
	@$(ROOT) $(SOULBOX_CACHE)/venvs/current/bin/python tests/demo.py $(OUT)

test: images ## sets up everything and passes the tests
	@tests/setup.sh
	@python3 tests/run.py

lint: setup ## formatting, lints and licences only
	@tests/setup.sh tools
	@python3 tests/run.py lint

perf: images ## measures what isolation costs, and prints samples, medians and ratios
	@tests/setup.sh perf
	@$(ROOT) $(SOULBOX_CACHE)/venvs/current/bin/python tests/perf/latency.py
	@$(ROOT) $(SOULBOX_CACHE)/venvs/current/bin/python tests/perf/executions.py
	@$(ROOT) $(SOULBOX_CACHE)/venvs/current/bin/python tests/perf/languages.py
	@$(ROOT) $(SOULBOX_CACHE)/venvs/current/bin/python tests/perf/services.py
	@$(ROOT) $(SOULBOX_CACHE)/venvs/jupyter/bin/python tests/perf/jupyter.py

clean: ## removes build output and the demo's files; images and caches stay
	@cargo clean
	@rm -rf $(OUT)
