"""Do two peers train the same? Their losses agree as far as float32 rounding lets them.

Programs round differently, and training may magnify that without bound. How far is measured, not
assumed: the reference is trained once more from weights that are one unit in the last place larger,
its twin. A run whose twin stays within STEADY of it in every epoch is steady, and every peer must
end within TOLERANCE of it, finite or not alike; one steady run in a hundred may be an exception (a
ReLU that rounding moves across its kink). Runs whose own twin goes elsewhere, those of large
learning rates mostly, are chaotic: they are counted, not compared. Each pair of activation and
optimizer needs a steady run among those a peer trains, so that none goes unchecked.

Losses are an epoch's mean training losses; distances are |a - b| / |b|.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.workloads import Losses, Workload

STEADY = 1e-5
TOLERANCE = 1e-2
EXCEPTIONS = 0.01


class DisagreementError(RuntimeError):
    """Two peers did different work: no number of theirs may be compared."""


class Agreement(NamedTuple):
    """How a peer's final training losses compare with the reference's."""

    configs: int
    steady: int
    exceptions: int
    """Steady runs that are further than TOLERANCE away."""
    median: float
    """Relative distance of the steady runs."""
    largest: float


def distance(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Relative distances, elementwise; 0 where neither is finite, infinite where one is."""
    a, b = found.astype(np.float64), expected.astype(np.float64)
    both, one = ~np.isfinite(a) & ~np.isfinite(b), np.isfinite(a) ^ np.isfinite(b)
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b) / np.maximum(np.abs(b), np.finfo(np.float32).tiny)
    return np.where(both, 0.0, np.where(one, np.inf, apart))


def check(
    work: Workload, expected: Losses, twin: Losses, found: Losses, configs: Sequence[int]
) -> Agreement:
    """Compare a peer's losses of some configs with the reference's of all.

    Raises DisagreementError with the worst config.
    """
    chosen = np.array(configs)
    expected, twin = (Losses(*(a[chosen] for a in losses)) for losses in (expected, twin))
    steady = distance(twin.train, expected.train).max(axis=1) <= STEADY
    kinds = [(work.configs[i].activation, work.configs[i].optimizer) for i in configs]
    unchecked = set(kinds) - {kind for kind, holds in zip(kinds, steady, strict=True) if holds}
    if unchecked:
        raise DisagreementError(f"{work.name}: no steady run of {sorted(unchecked)}")
    apart = np.where(steady, distance(found.train, expected.train)[:, -1], 0.0)
    exceptions = int(np.sum(apart > TOLERANCE))
    worst = int(np.argmax(apart))
    if exceptions > EXCEPTIONS * steady.sum():
        raise DisagreementError(
            f"{work.name}: {exceptions} of {steady.sum()} steady runs disagree; the worst is "
            f"{work.configs[configs[worst]]}: {found.train[worst, -1]:.7g}, "
            f"the reference has {expected.train[worst, -1]:.7g}"
        )
    return Agreement(
        len(configs), int(steady.sum()), exceptions,
        float(np.median(apart[steady])), float(apart[worst]),
    )  # fmt: skip
