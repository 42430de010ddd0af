"""Do two peers train the same? Their losses agree as far as float32 rounding lets them.

Programs round differently, and training may magnify that without bound. How far is measured, not
assumed: the reference is trained twice more, from weights that are one unit in the last place
larger and smaller, its twins (two, because weights that all grow move a ReLU across its kink in one
direction alone). A run whose twins stay within STEADY of it in every epoch is steady, and every
peer must end within TOLERANCE of it, finite or not alike; one steady run in a hundred may be an
exception. Runs whose own twins go elsewhere, those of large learning rates mostly, are chaotic:
they are counted, not compared. Each pair of activation and optimizer needs a steady run among those
a peer trains, so that none goes unchecked.

A peer that draws its own dropout masks trains other runs of the same law: the mean of its
losses must be within SAME_LAW of the reference's mean over the same configs.

Losses are an epoch's mean training losses; distances are |a - b| / |b|.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.workloads import Losses, Workload

STEADY = 1e-5
TOLERANCE = 1e-2
EXCEPTIONS = 0.01
SAME_LAW = 0.03


class DisagreementError(RuntimeError):
    """Two peers did different work: no number of theirs may be compared."""


class Agreement(NamedTuple):
    """How a peer's final training losses compare with the reference's."""

    configs: int
    steady: int
    exceptions: int
    """Steady runs that are further than TOLERANCE away."""
    median: float
    """Relative distance of the steady runs; with masks of its own, of all runs."""
    largest: float
    mean: float | None = None
    """Relative distance of the mean losses, for a peer with dropout masks of its own."""


def distance(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Relative distances, elementwise; 0 where neither is finite, infinite where one is."""
    a, b = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    both, one = ~np.isfinite(a) & ~np.isfinite(b), np.isfinite(a) ^ np.isfinite(b)
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b) / np.maximum(np.abs(b), np.finfo(np.float32).tiny)
    return np.where(both, 0.0, np.where(one, np.inf, apart))


def check(
    work: Workload,
    expected: Losses,
    twins: Sequence[Losses],
    found: Losses,
    configs: Sequence[int],
    own_noise: bool = False,
) -> Agreement:
    """Compare a peer's losses of some configs with the reference's of all.

    Raises DisagreementError with the worst config.
    """
    chosen = np.array(configs)
    expected, *twins = (Losses(*(a[chosen] for a in losses)) for losses in (expected, *twins))
    apart = distance(found.train, expected.train)[:, -1]
    if own_noise:
        return same_law(work, expected, found, apart)
    parted = [distance(twin.train, expected.train).max(axis=1) for twin in twins]
    steady = np.max(parted, axis=0) <= STEADY
    kinds = [(work.configs[i].activation, work.configs[i].optimizer) for i in configs]
    unchecked = set(kinds) - {kind for kind, holds in zip(kinds, steady, strict=True) if holds}
    if unchecked:
        raise DisagreementError(f"{work.name}: no steady run of {sorted(unchecked)}")
    apart = np.where(steady, apart, 0.0)
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


def same_law(work: Workload, expected: Losses, found: Losses, apart: np.ndarray) -> Agreement:
    """Compare mean final losses over configs: what other masks leave unchanged."""
    means = found.train[:, -1].mean(), expected.train[:, -1].mean()
    mean = float(distance(*means))
    if not mean <= SAME_LAW:
        raise DisagreementError(
            f"{work.name}: with dropout masks of its own the mean loss is {means[0]:.4g}, "
            f"the reference's {means[1]:.4g}"
        )
    return Agreement(len(apart), 0, 0, float(np.median(apart)), float(np.max(apart)), mean)
