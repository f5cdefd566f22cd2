PYTHON ?= python3

.PHONY: help install native check test format

help:     ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:\t/' | expand -t 12
install:  ## editable install with everything the tests need
	$(PYTHON) -m pip install -e '.[test]'
native:   ## (re)build the native runtime into build/lib
	cmake -S . -B build && cmake --build build -j2
format:   ## format and sort imports
	ruff format . && ruff check --fix .
check:    ## what CI checks before it runs the tests
	ruff format --check .
	ruff check .
	mypy
	lint-imports
test:     ## run the tests
	$(PYTHON) -m pytest
