"""Does what is best lie where a search ended? Then something better may lie beyond."""

from collections.abc import Sequence
from math import log

MARGIN = 0.1
"""The outer share of a range, on its own scale, that counts as its border."""
SHARE, FEWEST, MOST = 20, 2, 5
"""A search's best configs are a twentieth of them, from two to five."""


def position(value: float, low: float, high: float, logarithmic: bool) -> float:
    """Where a value lies in a range, 0 at its low end, 1 at its high one."""
    if logarithmic:
        value, low, high = log(value), log(low), log(high)
    return (value - low) / (high - low)


def crowded(ranked: Sequence[float], low: float, high: float, logarithmic: bool) -> int:
    """-1 where the best of a search's values all lie at the low border, 1 at the high one, else 0.

    `ranked` has them best first. For k of them and a knob without effect that is a chance of
    2 / 10^k, while the best one alone lies at a border by chance once in five.
    """
    best = ranked[: min(MOST, max(FEWEST, len(ranked) // SHARE))]
    if len(best) < FEWEST:
        return 0
    places = [position(value, low, high, logarithmic) for value in best]
    return int(min(places) > 1 - MARGIN) - int(max(places) < MARGIN)
