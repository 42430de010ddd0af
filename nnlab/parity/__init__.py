"""Proof of the optimizers: the same table drives the tests and `nnlab parity`.

    nnlab.parity.table(["adam"])    how far from optax's path, bytes of state, time of a step

`cases` says what is compared with what, `problems` on which losses, `compare` how, `measure` what
else is measured, `proof` puts it together.
"""

from nnlab.parity.cases import CASES, PLAIN
from nnlab.parity.proof import Row, rows, table

__all__ = ["CASES", "PLAIN", "Row", "rows", "table"]
