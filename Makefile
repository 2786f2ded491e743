# Two commands from nothing to a result: make demo, make test. Both make the environment where it is missing.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
CXR_SHARED ?= ../shared
export CXR_SHARED

.PHONY: demo test clean

demo: .venv/installed
	.venv/bin/cxr demo

test: .venv/installed
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

clean:
	rm -rf .venv demo-study
