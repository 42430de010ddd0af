"""What a path of losses does, in one word: it diverges, converges, oscillates or crawls."""

from typing import NamedTuple

import numpy as np
import xarray as xr

from nnlab.errors import UsageError
from nnlab.sweeps.results import Results

NEAR = 0.01
"""The part of the initial gap to the minimum below which a loss has arrived."""
TURNS = 0.25
"""The part of steps that turn back from which on a path oscillates."""
WORDS = ("diverges", "oscillates", "crawls", "converges")


class Rule(NamedTuple):
    """A word and when it is said; of those that fit the first counts."""

    word: str
    when: str


RULES = (
    Rule("diverges", "a loss is not finite, or the last is above the first"),
    Rule(
        "converges",
        f"the last tenth lies within {100 * NEAR:g} % of the initial gap to the minimum",
    ),
    Rule("oscillates", f"{100 * TURNS:g} % or more of the last half's steps turn back"),
    Rule("crawls", "anything else"),
)


def trajectory(results: Results, *measures: str) -> xr.DataArray:
    """The recorded measures from the start on: [axes..., seed, update, measure], update 0 first.

    A measure m was recorded as start_m before the first step, then after every epoch.
    """
    missing = [name for name in measures if f"start_{name}" not in results.metrics]
    if missing or not measures:
        came = f"{missing[0]} is not" if missing else "none were"
        raise UsageError(
            f"a trajectory needs measures of the model, {came} given; "
            "try from_loss(loss, start, measures={'x': ..., 'y': ...})"
        )
    columns = []
    for name in measures:
        begun = results[f"start_{name}"].expand_dims("epoch", axis=-1)
        whole = np.concatenate([begun.values, results[name].values], axis=-1)
        columns.append(xr.DataArray(whole, dims=(*results[name].dims[:-1], "update")))
    found = xr.concat(columns, xr.Variable("measure", list(measures))).transpose(..., "measure")
    along = {name: c for name, c in results[measures[0]].coords.items() if "epoch" not in c.dims}
    return found.assign_coords(along)


def behaviour(loss: xr.DataArray, path: xr.DataArray, least: float) -> xr.DataArray:
    """One of `WORDS` for each run, by the first of `RULES` that fits.

    `loss` is [..., update] from the start on, `path` [..., update, measure], `least` the loss at
    the minimum. A step turns back where it has a negative product with the one before.
    """
    gap = loss.transpose(..., "update").values - least
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.diff(path.transpose(..., "update", "measure").values, axis=-2)
        diverges = ~np.isfinite(gap).all(-1) | (gap[..., -1] > gap[..., 0])
        tail = gap[..., -max(1, gap.shape[-1] // 10) :]
        converges = (tail <= NEAR * gap[..., :1]).all(-1)
        turns = np.sum(steps[..., 1:, :] * steps[..., :-1, :], axis=-1) < 0
        oscillates = turns[..., turns.shape[-1] // 2 :].mean(-1) >= TURNS
    words = np.select(
        [diverges, converges, oscillates], ["diverges", "converges", "oscillates"], "crawls"
    )
    return loss.isel(update=0, drop=True).copy(data=words)


def crossings(y: np.ndarray) -> int:
    """How often a coordinate changes its sign from one update to the next."""
    return int((y[1:] * y[:-1] < 0).sum())


def overshoot(y: np.ndarray) -> float:
    """How far a coordinate that starts above 0 gets from 0 after it first lies below; 0: never."""
    below = y < 0
    return float(np.abs(y[np.argmax(below) :]).max()) if below.any() else 0.0


def detour(path: np.ndarray, end: tuple[float, float]) -> float:
    """The length of a path [update, 2] over the distance from its start to `end`."""
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    return float(steps / np.linalg.norm(path[0] - np.asarray(end)))
