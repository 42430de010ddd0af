"""The table that proves the optimizers: papers, distances from optax, memory and time."""

import inspect
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from nnlab.errors import unknown
from nnlab.optim import OPTIMIZERS
from nnlab.parity.case import Case
from nnlab.parity.cases import PLAIN
from nnlab.parity.compare import STEPS, distance
from nnlab.parity.measure import clock, state_bytes_per_parameter, update_cost

SOURCE = re.compile(r"Source: (.*?) \((\d{4})\)", re.DOTALL)
"""Authors, the journal or conference after the last comma, and the year."""


class Row(NamedTuple):
    """One optimizer."""

    optimizer: str
    paper: str
    """Authors and year, from the docstring."""
    difference: float | None
    """The largest relative distance from optax's path; None where optax lacks the optimizer."""
    tolerance: float
    """What the distance may be."""
    note: str
    """Why the tolerance is not 1e-10, or what is compared in place of the whole."""
    steps: int
    problems: tuple[str, ...]
    state_bytes_per_parameter: float
    update_cost: float
    """The time of a step relative to gradient descent's."""

    @property
    def proved(self) -> bool:
        """Whether the paths agree, as far as they can be compared."""
        return self.difference is None or self.difference <= self.tolerance


def paper(name: str) -> str:
    """The authors and the year that an optimizer's docstring gives as its source."""
    found = SOURCE.search(inspect.getdoc(OPTIMIZERS[name]) or "")
    if found is None:
        raise LookupError(f"the docstring of {name} names no source with a year")
    place = " ".join(found[1].split())
    return f"{place.rpartition(', ')[0] or place} ({found[2]})"


def rows(names: Iterable[str] | None = None) -> Iterator[Row]:
    """One row per optimizer, all of them by default; compiled on every core, then timed in turn.

    Raises UsageError for a name that is no optimizer of nnlab.
    """
    chosen = sorted(OPTIMIZERS) if names is None else list(names)
    for name in chosen:
        if name not in OPTIMIZERS:
            raise unknown("optimizer", name, OPTIMIZERS)
    return _rows(chosen)


def _rows(names: list[str]) -> Iterator[Row]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        clocks = pool.map(clock, ["sgd", *names])
        distances = pool.map(_distance, names)
        sgd, *others = clocks
        proofs = list(distances)
    for name, far, seconds in zip(names, proofs, others, strict=True):
        case = PLAIN[name]
        yield Row(
            optimizer=name,
            paper=paper(name),
            difference=far,
            tolerance=case.rtol,
            note="; ".join(filter(None, [case.reason, _shared(case)])),
            steps=0 if far is None else STEPS,
            problems=() if far is None else case.problems,
            state_bytes_per_parameter=state_bytes_per_parameter(name),
            update_cost=update_cost(seconds, sgd),
        )


def _distance(name: str) -> float | None:
    return None if PLAIN[name].reference is None else distance(PLAIN[name])


def _shared(case: Case) -> str:
    places = " and ".join(case.unstable)
    return f"in lock step on {places}, where paths amplify rounding" if places else ""


def table(names: Iterable[str] | None = None) -> list[Row]:
    """All rows; see `rows`."""
    return list(rows(names))
