"""How many non-zeros matrices are expected to have: sketches of counts, and an analysis that carries them through a program.

Expectations choose plans and formats. They are no bounds: what must hold in every run is in the types (`nnz=`).
"""

from sysmlc.passes.sparsity.expect import Expectations, is_open
from sysmlc.passes.sparsity.sketch import Sketch

__all__ = ["Expectations", "Sketch", "is_open"]
