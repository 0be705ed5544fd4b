# Every target makes the environment itself; it takes a few seconds when it exists.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
# Another PYTHON makes the environment anew.
STAMP := $(VENV)/.installed-$(notdir $(PYTHON))

.PHONY: setup demo test test-slow lint bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Needs $(PYTHON): install it, or run make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: setup
	$(BIN)/neurokit-sdr demo

test: setup
	$(BIN)/python -m pytest -m 'not slow' -n 2

test-slow: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python benchmarks/make_environments.py
	$(BIN)/python benchmarks/hmm_glm.py
	$(BIN)/python benchmarks/hmm_glm_scaling.py
	$(BIN)/python benchmarks/linear_track.py
	$(BIN)/python benchmarks/snn.py
	$(BIN)/python benchmarks/published_networks.py
	$(BIN)/python benchmarks/connectivity.py
	$(BIN)/python benchmarks/io.py
	$(BIN)/python benchmarks/io_signals.py
	$(BIN)/python benchmarks/sdr.py
	$(BIN)/python benchmarks/memories.py
	$(BIN)/python benchmarks/latent_metrics.py
	$(BIN)/python benchmarks/langevin_flow.py
	$(BIN)/python benchmarks/latent_recovery.py

clean:
	rm -rf $(VENV) out .pytest_cache .mypy_cache .ruff_cache benchmarks/.environments
