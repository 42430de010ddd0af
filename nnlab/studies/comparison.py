"""A figure of found numbers beside others of the same things: published ones, an ensemble's."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from nnlab.errors import UsageError
from nnlab.report import drawing, style
from nnlab.report.style import text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@style.styled
def beside(
    names: Sequence[str],
    found: xr.Dataset,
    others: Mapping[str, Sequence[float]],
    metric: str,
    title: str,
    notes: Sequence[str] = (),
) -> "Figure":
    """A row for each name: the found mean with its interval, and a mark for each other number.

    `found` is `Results.mean` along one axis. Others that are NaN have no mark. All are on a log
    scale, and accuracies, which approach 1, are drawn as errors.
    """
    for label, values in others.items():
        if len(values) != len(names):
            raise UsageError(f"{label} has {len(values)} numbers for {len(names)} names")
    fig = style.figure(title)
    ax = fig.subplots()
    y = np.arange(len(names))[::-1]
    marks = {name: np.asarray(values, float) for name, values in others.items()}
    mean, *ends = (found[end].values for end in ("mean", "low", "high"))
    accuracies = style.in_percent(metric)
    if accuracies:
        mean, ends = 1 - mean, [1 - end for end in reversed(ends)]
        marks = {name: 1 - values for name, values in marks.items()}
    with np.errstate(invalid="ignore"):
        bars = np.nan_to_num(np.stack([mean - ends[0], ends[1] - mean]))
    look = {"linestyle": "", "markersize": 11, "capsize": 6, "elinewidth": 2.5}
    label = f"ours, {int(found['n'].max())} seeds"
    bar = ax.errorbar(mean, y, xerr=bars, marker="o", color=style.PALETTE[0], label=label, **look)
    handles: list[Any] = [bar]
    looks = zip(marks.items(), style.PALETTE[1:], style.MARKERS[1:], strict=False)
    for (name, values), colour, marker in looks:
        plain = {"linestyle": "", "markersize": 11, "fillstyle": "none", "markeredgewidth": 2.5}
        handles += ax.plot(values, y, marker=marker, color=colour, label=name, **plain)
    seen = np.concatenate([mean, *marks.values()])
    seen = seen[np.isfinite(seen) & (seen > 0)]
    reach = np.concatenate(ends)  # of intervals, unless they come too near to 0 for this scale
    seen = np.concatenate([seen, reach[np.isfinite(reach) & (reach > seen.min() / 4)]])
    ax.set_xscale("log")
    ax.set_xlim(seen.min() / 1.2, seen.max() * 1.2)
    style.log_ticks(ax.xaxis, seen.max() / seen.min())
    if accuracies:
        style.percent(ax.xaxis)
    ax.set_xlabel(style.words(metric.replace("accuracy", "error")))
    ax.set_yticks(y, [text(name) for name in names])
    ax.set_ylim(-0.6, len(names) - 0.4)
    fig.legend(handles=handles, loc="outside right upper")
    drawing.small_print(fig, notes)
    return fig
