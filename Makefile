# Everything runs in .venv, which is created when a target first needs it and again when setup.py changes.

.DEFAULT_GOAL := help
.PHONY: help demo demo-listen demo-sources demo-migrate test check soak bench launch-check snapshots lock image template clean

BIN := .venv/bin
INSTALLED := .venv/.installed

# The first of these that runs and is a Python that Apache Beam supports; `make PYTHON=… …` overrides it.
PYTHONS := python3.12 python3.11 python3.13 python3.10 python3.14 python3
IS_SUPPORTED := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 15))
PYTHON ?= $(shell for python in $(PYTHONS); do $$python -c '$(IS_SUPPORTED)' 2>/dev/null && echo $$python && break; done)

# The tests wait for emulators and processes more than they compute; each of these has emulators of its own, of 1 GB.
TEST_PROCESSES ?= 3

# Images of Python often set it; then every process, of which the tests start hundreds, would compile all of Beam anew.
unexport PYTHONDONTWRITEBYTECODE

# Where nobody looks at the screen a test that is skipped for want of an emulator would go unnoticed.
ifdef CI
export FIREBEAM_REQUIRE_EMULATORS := 1
endif

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED)  ## run ingest on samples/profiles.jsonl against local emulators and show the result
	@$(BIN)/python -m pipeline demo

demo-listen: $(INSTALLED)  ## listen to candles that change, kill the listener, resume it, compare both stores
	@$(BIN)/python -m pipeline demo listen

demo-sources: $(INSTALLED)  ## export ugly orders of a real PostgreSQL, then what has changed, and compare both sides
	@$(BIN)/python -m pipeline demo sources

demo-migrate: $(INSTALLED)  ## move items of a stand-in of Cosmos DB to Firestore, through all phases and back
	@$(BIN)/python -m pipeline demo migrate

test: check  ## everything that must hold: check, unit tests, tests on the real emulators
	$(BIN)/pytest -m "not soak" -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --durations=10

check: $(INSTALLED)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

soak: $(INSTALLED)  ## the tests that take longer
	$(BIN)/pytest -m soak

bench: $(INSTALLED)  ## speed and memory beside the alternatives, on local emulators; BENCH='--suites=write --rounds=5'
	@$(BIN)/python -m benchmarks $(BENCH)

launch-check: $(INSTALLED)  ## every job through a loopback Dataflow, on workers that hold only what the image holds
	@$(BIN)/python -m tests.launch

snapshots: $(INSTALLED)  ## write the templates' metadata and the names of all steps anew, for review
	$(BIN)/python -m pipeline templates --write
	FIREBEAM_WRITE_SNAPSHOTS=1 $(BIN)/pytest tests/emulator/test_staging.py -k names_that_were_reviewed

lock: $(INSTALLED)  ## write the image's requirements anew, every version and hash pinned
	PATH="$(CURDIR)/$(BIN):$$PATH" uv pip compile setup.py templates/requirements.in --quiet --upgrade --generate-hashes \
		--python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-emit-index-url \
		--custom-compile-command "make lock" --output-file templates/requirements.txt

# The image of one job and its Flex Template; PROJECT, REGION, REPOSITORY and TAG say where the image is kept.
JOB ?= ingest
REGION ?= europe-west1
REPOSITORY ?= firebeam
TAG ?= $(shell sed -n 's/^ *version="\(.*\)",/\1/p' setup.py)
PROJECT ?= $(shell gcloud config get-value project 2>/dev/null)
IMAGE ?= $(REGION)-docker.pkg.dev/$(PROJECT)/$(REPOSITORY)/$(JOB):$(TAG)

image:  ## build the image of a job: make image JOB=ingest PROJECT=my-project
	docker build --file templates/Dockerfile --build-arg JOB=$(JOB) --build-arg IMAGE=$(IMAGE) --tag $(IMAGE) .

template: image  ## push it and build the job's Flex Template: make template JOB=ingest BUCKET=my-bucket
	@test -n "$(BUCKET)" || { echo "name the bucket for the template: make template JOB=$(JOB) BUCKET=my-bucket"; exit 2; }
	docker push $(IMAGE)
	gcloud dataflow flex-template build gs://$(BUCKET)/templates/$(JOB).json --project=$(PROJECT) --image=$(IMAGE) \
		--sdk-language=PYTHON --metadata-file=templates/$(JOB).json

clean:  ## remove .venv and everything generated
	rm -rf .venv .venv-launch build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv installs in seconds what takes pip minutes; pip knows about indexes that only pip.conf names.
$(INSTALLED): setup.py
	@test -n "$(PYTHON)" || { echo "Firebeam needs Python 3.10 or newer with the venv module; name one: make PYTHON=/path/to/python3 …"; exit 1; }
	@echo "Installing Firebeam into .venv …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@command -v uv >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@PATH="$(CURDIR)/$(BIN):$$PATH" uv pip install --quiet --python $(BIN)/python -e '.[dev]' \
		|| $(BIN)/python -m pip install --disable-pip-version-check -e '.[dev]'
	@touch $@
