"""The reference evaluator: runs a module of any level with NumPy, slowly and plainly.

It shares no code with the native runtime, so that one can be tested against the other. Matrices are 2-D float64 (or float32)
arrays, scalars are Python numbers and strings, lists are `ListValue`.
"""

from sysmlc.codegen.reference.evaluate import Evaluator, StopProgram, evaluate
from sysmlc.codegen.reference.lists import ListValue

__all__ = ["Evaluator", "ListValue", "StopProgram", "evaluate"]
