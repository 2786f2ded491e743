# From nothing to a result: make demo, make test, make lint, make docs.
# Each makes the environment it needs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
CXR_SHARED ?= ../shared
export CXR_SHARED

.PHONY: demo docs test lint clean

demo: .venv/installed
	.venv/bin/cxr demo

test: .venv/installed
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --dist loadgroup --no-loadscope-reorder

lint: .venv/installed-lint
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy

docs: .venv/installed-docs
	.venv/bin/mkdocs build --strict

# $(call install,EXTRAS) takes the versions that were tested, and where one of them cannot be had,
# whatever pyproject.toml allows.
pip_install = .venv/bin/pip install --quiet --disable-pip-version-check --editable '.[$(1)]'
install = $(pip_install) --constraint constraints.txt || { \
	echo 'constraints.txt cannot be met here: installing the newest versions' >&2; $(pip_install); }

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(call install,test)
	touch $@

.venv/installed-%: .venv/installed
	$(call install,$*)
	touch $@

clean:
	rm -rf .venv demo-study
