# Two commands for newcomers, `make demo` and `make test`; both build the environment they need, once.
# Paths are relative throughout, so that a folder with a space in its name is no trouble.

PYTHON ?= python3
TEST := .venv
DEMO := .venv-demo
WHEEL := .venv-wheel
INSTALL := -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
SOURCES := pyproject.toml setup.py constraints.txt examples/skyloom_example/pyproject.toml

.PHONY: help demo test lint types contracts unit nightly example wheel benchmarks quick-benchmarks constraints clean

help:
	@echo "make demo        install Skyloom, and show a trained Pix2Prof at work (writes to demo/)"
	@echo "make test        install everything and run every check"
	@echo "make nightly     fail every call to the file system in turn, and other tests that take long"
	@echo "make wheel       build the wheel and try it in an empty environment"
	@echo "make benchmarks  measure the figures that the README promises"
	@echo "make clean       remove the environments and caches"

demo: $(DEMO)/ready
	@$(DEMO)/bin/python -m skyloom demo -o demo

test: lint types contracts unit example
	@echo "All checks passed."

lint: $(TEST)/ready
	$(TEST)/bin/python -m ruff check .
	$(TEST)/bin/python -m ruff format --check .

types: $(TEST)/ready
	$(TEST)/bin/python -m mypy

contracts: $(TEST)/ready
	$(TEST)/bin/lint-imports --no-logo

unit: $(TEST)/ready
	$(TEST)/bin/python -m coverage erase
	OMP_NUM_THREADS=1 $(TEST)/bin/python -m pytest --numprocesses=auto --dist=worksteal --cov --cov-report=
	$(TEST)/bin/python -m coverage report --fail-under=95

nightly: $(TEST)/ready
	OMP_NUM_THREADS=1 $(TEST)/bin/python -m pytest --numprocesses=auto --dist=worksteal -m nightly

example: $(TEST)/ready
	cd examples/skyloom_example && OMP_NUM_THREADS=1 ../../$(TEST)/bin/python -m pytest -q
	$(TEST)/bin/python -m skyloom plugins check skyloom-example

wheel: $(TEST)/ready
	rm -rf build dist $(WHEEL)
	$(TEST)/bin/python -m build --wheel --no-isolation --outdir dist . > /dev/null
	$(PYTHON) -m venv $(WHEEL)
	$(WHEEL)/bin/python $(INSTALL) dist/*.whl
	cd dist && ../$(WHEEL)/bin/python ../tests/wheel/check.py

benchmarks: $(TEST)/ready
	status=0; for name in startup reading sky runtime passes metrics classical pix2prof; do \
	  $(TEST)/bin/python -m benchmarks $$name || status=1; done; exit $$status

quick-benchmarks: $(TEST)/ready
	for name in startup reading sky runtime pix2prof; do \
	  $(TEST)/bin/python -m benchmarks $$name --quick || exit 1; done

$(TEST)/ready: $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit("Skyloom needs Python 3.11 or later: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(TEST)
	@rm -rf skyloom.egg-info  # what it says of entry points outlives a change of them
	$(TEST)/bin/python $(INSTALL) --editable ".[dev,openvino,train,zarr,plot,parquet,classical]" --editable examples/skyloom_example
	@touch $@

$(DEMO)/ready: $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit("Skyloom needs Python 3.11 or later: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python $(INSTALL) --editable ".[plot,classical]"
	@touch $@

# Resolve every extra anew and keep what came out; run the checks before committing it.
constraints:
	rm -rf $(TEST)-constraints
	$(PYTHON) -m venv $(TEST)-constraints
	$(TEST)-constraints/bin/python -m pip --disable-pip-version-check install --quiet \
		torch==2.13.0 ".[dev,openvino,serve,train,zarr,plot,parquet,classical]"
	{ echo "# The versions that the checks were run with; made by 'make constraints'."; \
	  $(TEST)-constraints/bin/python -m pip freeze --exclude skyloom | \
	  sed -e 's/+cpu$$//' -e 's/^onnxruntime-gpu==\(.*\)/onnxruntime==\1\n&/'; } > constraints.new
	mv constraints.new constraints.txt
	rm -rf $(TEST)-constraints

clean:
	rm -rf $(TEST) $(DEMO) $(WHEEL) $(TEST)-constraints build dist .coverage* .*_cache .hypothesis
