# `make hunt` and `make test` set themselves up on a fresh machine with Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
EXTRA := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'

.PHONY: hunt test check serve bench torture bench-scoring samples docs format clean

hunt: $(READY)  ## hunt the last eight days of parquet_samples/
	@$(BIN)/python -m gundog.cli.tour

test: $(READY)  ## the test suite
	$(BIN)/pytest -q -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder

check: $(READY)  ## format, lint, types, SQL, import rules, generated docs, slow tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --disable-progress-bar sql
	$(BIN)/lint-imports
	$(BIN)/gundog check
	$(BIN)/gundog test
	$(BIN)/python -m tests.generated_docs --check
	$(BIN)/pytest -q -m slow -n 2 --dist loadfile --no-loadscope-reorder

serve: $(READY)  ## a Prefect server on loopback, both deployments, a worker
	@scripts/serve

bench: $(READY)  ## what staging, hunting and nights cost; writes benchmarks/README.md (an hour)
	@$(EXTRA)
	$(BIN)/python -m benchmarks.engine

torture: $(READY)  ## kill a run 200 times; time doubled texts; draw 20,000 SQL texts that try to get out; a year of counts
	$(BIN)/python -m tests.crash 200
	$(BIN)/python -m tests.bombs
	$(BIN)/python -m tests.growth
	$(BIN)/python -m tests.fuzz_sql 20000
	$(BIN)/python -m tests.drift_nights

bench-scoring: $(READY)  ## the score beside its baselines; writes benchmarks/scoring.md
	@$(EXTRA)
	$(BIN)/python -m benchmarks.scoring

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
