"""The matrix of builtins and kinds of data, with values that do not come from sysmlc: see `cases.py`."""
