PYTHON ?= python3

.PHONY: help install native format check style lint types layers test

help:     ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12
install:  ## editable install with everything the tests need
	$(PYTHON) -m pip install -e '.[test]'
native:   ## (re)build the native runtime into build/lib
	cmake -S . -B build && cmake --build build -j2
format:   ## format and sort imports
	ruff format . && ruff check --fix .
check: style lint types layers  ## what CI checks before it runs the tests
style:    ## formatting
	ruff format --check .
lint:     ## mistakes and import order
	ruff check .
types:    ## strict types of ir, passes and frontends
	mypy
layers:   ## who imports whom
	lint-imports
test:     ## run the tests
	$(PYTHON) -m pytest -n auto --dist worksteal
