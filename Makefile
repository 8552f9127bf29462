# `make hunt` and `make test` set themselves up on a fresh machine with Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Containers often ask Python to keep no compiled code: each process would compile gundog again.
export PYTHONDONTWRITEBYTECODE :=
# Both cores to the end: a worker without tests takes half of what the other has left.
BOTH := -n 2 --dist worksteal
# Slow tests wait for processes that start, so that two workers leave a sixth of the cores idle.
THOROUGH := --hypothesis-profile thorough -n 3 --dist worksteal
EXTRA := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'

.PHONY: hunt test check stress style types serve bench torture bench-scoring samples docs format clean

hunt: $(READY)  ## hunt the last eight days of parquet_samples/
	@$(BIN)/python -m gundog.cli.tour

test: $(READY)  ## the quick tests, or those of T='tests/test_stage.py -k late'
	$(BIN)/pytest -q -m "not slow" $(or $(T),$(BOTH))

check: $(READY)  ## format, lint, types, SQL, import rules, generated docs, slow tests, all laws at length
	@$(MAKE) --no-print-directory -j2 style types
	$(BIN)/pytest -q -m "hypothesis or (slow and not stress)" $(THOROUGH) tests

stress: $(READY)  ## killed runs and workers, full disks, files and SQL beyond memory, whole lakes
	$(BIN)/pytest -q -m "slow and stress" $(THOROUGH) tests

# What `check` begins with, both at a time: neither uses more than a core.
style: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/sqlfluff lint --disable-progress-bar sql

types: $(READY)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/gundog check
	$(BIN)/python -m tests.generated_docs --check

serve: $(READY)  ## a Prefect server on loopback, both deployments, a worker
	@scripts/serve

bench: $(READY)  ## what staging, hunting and nights cost; writes benchmarks/README.md (an hour)
	@$(EXTRA)
	$(BIN)/python -m benchmarks.engine

torture: $(READY)  ## kill a run 200 times; time doubled texts; draw 20,000 SQL texts that try to get out; a year of counts; 5,000 KQL queries; mutate every example
	$(BIN)/python -m tests.crash 200
	$(BIN)/python -m tests.bombs
	$(BIN)/python -m tests.growth
	$(BIN)/python -m tests.fuzz_sql 20000
	$(BIN)/python -m tests.drift_nights
	$(BIN)/python -m tests.kql_random 5000
	$(BIN)/python -m tests.all_mutations

bench-scoring: $(READY)  ## the score beside its baselines; writes benchmarks/scoring.md, contexts.md
	@$(EXTRA)
	$(BIN)/python -m benchmarks.scoring
	$(BIN)/python -m benchmarks.scoring.context_trial

samples: $(READY)  ## write parquet_samples/ again
	$(BIN)/gundog samples

docs: $(READY)  ## write the generated pages of docs/ again
	$(BIN)/python -m tests.generated_docs

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gundog needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

clean:
	rm -rf .venv .gundog .pytest_cache .mypy_cache .ruff_cache .hypothesis
