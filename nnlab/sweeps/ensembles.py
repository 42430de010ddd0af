"""Ensembles of finished runs: average what networks believe, and ask how much better that is.

Members differ in whatever axes are averaged over, by default the seed; nothing is trained again.
"""

import re
from collections.abc import Iterable
from typing import Literal

import numpy as np
import xarray as xr
from scipy.special import log_softmax

from nnlab.errors import UsageError
from nnlab.nn.losses import LOSSES
from nnlab.sweeps.results import Results

SOFTMAX = ("cross_entropy", "soft_cross_entropy", "poly_cross_entropy", "focal", "kl_divergence")
"""Losses of probabilities softmax(z)."""


def ensemble(
    results: Results, over: str | Iterable[str] = "seed", split: Literal["test", "val"] = "test"
) -> xr.Dataset:
    """Accuracy and cross-entropy (nats) of the mean probability of 1, 2, … n members.

    p = (1 / k) sum_i softmax(z_i): dims [other axes..., members].  For each k it is the mean over
    the n sets of k neighbours in a ring of all members, each member in k of them: at 1 it is what
    members do alone, at n the one ensemble of all.  Unfinished runs are no members (`n` counts
    those that are; NaN beyond); one that diverged to NaN spoils its ensembles: loss inf, accuracy
    0.  Needs a sweep of classes with record="test_outputs" and a loss of softmax probabilities.
    Source: Hansen & Salamon (1990).
    """
    over = [over] if isinstance(over, str) else list(dict.fromkeys(over))
    name = f"{split}_outputs"
    if name not in results.recorded:
        raise UsageError(
            f"an ensemble needs the outputs of every run, and these results have no {name}; "
            f"train with record={name!r}"
        )
    targets = results.recorded[f"{split}_targets"]
    if not np.issubdtype(targets.dtype, np.integer):
        raise UsageError("an ensemble averages probabilities of classes, and these targets are not")
    refuse_other_losses(results)
    places = [*results.axes, "seed"]
    for axis in over:
        if axis not in places:
            raise UsageError(f"cannot average over {axis!r}; choose from {', '.join(places)}")
    rest = [axis for axis in places if axis not in over]
    outputs = results.recorded[name].transpose(*rest, *over, ...)
    finished = results.finished.transpose(*rest, *over)
    shape = finished.shape[: len(rest)]
    members = finished.values.reshape(*shape, -1)
    z = outputs.values.reshape(*members.shape, *outputs.shape[-2:])
    found = np.full((*shape, members.shape[-1], 2), np.nan)
    for cell in np.ndindex(shape):
        own = grown(z[cell][members[cell]], targets.values)
        found[cell][: len(own)] = own
    dims = (*rest, "members")
    labels = {axis: (axis, results.labels(axis)) for axis in rest}
    return xr.Dataset(
        {
            "accuracy": (dims, found[..., 0]),
            "loss": (dims, found[..., 1]),
            "n": (tuple(rest), members.sum(-1)),
        },
        {**labels, "members": np.arange(1, members.shape[-1] + 1)},
    )


def refuse_other_losses(results: Results) -> None:
    """Raise UsageError where a loss of nnlab's does not read outputs as softmax probabilities."""
    sweep = results.settings
    fixed = [sweep["loss"]] if "loss" in sweep else []
    trained = results.dataset["loss"].values if "loss" in results.dataset.coords else fixed
    for loss in np.ravel(trained).tolist():
        name = re.split(r"[(:]", str(loss))[0].strip()
        if name in LOSSES and name not in SOFTMAX:
            raise UsageError(
                f"an ensemble averages softmax probabilities, which loss {loss} does not train; "
                f"train with one of {', '.join(SOFTMAX)}"
            )


def grown(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """[members, (accuracy, loss)] of ensembles of 1, 2, … of the members z [n, examples, classes].

    log p = logsumexp_i log_softmax(z_i) - log k, so that no probability is rounded to 0.
    """
    n = len(z)
    scores = np.empty((n, n, 2))
    with np.errstate(invalid="ignore"):  # a diverged member's NaN
        beliefs = log_softmax(z.astype(np.float64), axis=-1)
        for first in range(n):
            total = np.full(z.shape[1:], -np.inf)
            for k in range(1, n + 1):
                total = np.logaddexp(total, beliefs[(first + k - 1) % n])
                scores[first, k - 1] = judge(total - np.log(k), labels)
    return scores.mean(0)


def judge(log_p: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Accuracy and cross-entropy of log-probabilities [examples, classes]; NaN is all wrong."""
    finite = np.isfinite(log_p).all(-1)
    right = (log_p.argmax(-1) == labels) & finite
    losses = np.where(finite, -log_p[np.arange(len(labels)), labels], np.inf)
    return float(right.mean()), float(losses.mean())
