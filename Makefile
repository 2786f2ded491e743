# Two commands from nothing to a result: make demo, make test. Both make the environment where it is missing.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
CXR_SHARED ?= ../shared
export CXR_SHARED

.PHONY: demo test clean

demo: .venv/installed
	.venv/bin/cxr demo

test: .venv/installed
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --dist loadgroup --no-loadscope-reorder

# The versions that were tested; where one of them cannot be had, whatever pyproject.toml allows.
INSTALL = .venv/bin/pip install --quiet --disable-pip-version-check --editable '.[test]'
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) --constraint constraints.txt || { echo 'constraints.txt cannot be met here: installing the newest versions' >&2; $(INSTALL); }
	touch $@

clean:
	rm -rf .venv demo-study
