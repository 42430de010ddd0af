"""The table: every optimizer, and what it is compared with."""

from nnlab.parity.case import Case
from nnlab.parity.cases import adam, adaptive, descent, free, matrices

CASES: dict[str, Case] = {
    case.label: case
    for family in (descent, adam, adaptive, matrices, free)
    for case in family.CASES
}
"""Every case by its label; an optimizer's first case is the plain one."""

PLAIN: dict[str, Case] = {case.name: case for case in CASES.values() if not case.variant}
"""Every optimizer's plain case."""
