"""A figure of found numbers beside others of the same things: published ones, an ensemble's."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nnlab.errors import UsageError
from nnlab.report import drawing, style
from nnlab.report.style import text
from nnlab.sweeps.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@style.styled
def beside(
    names: Sequence[str],
    found: Interval,
    others: Mapping[str, Sequence[float]],
    metric: str,
    title: str,
    notes: Sequence[str] = (),
) -> "Figure":
    """A row for each name: the found mean with its interval, and a mark for each other number.

    Others that are NaN have no mark. Errors and losses, which approach 0, are on a log scale.
    """
    for label, values in others.items():
        if len(values) != len(names):
            raise UsageError(f"{label} has {len(values)} numbers for {len(names)} names")
    fig = style.figure(title)
    ax = fig.subplots()
    y = np.arange(len(names))[::-1]
    with np.errstate(invalid="ignore"):
        bars = np.nan_to_num(np.stack([found.mean - found.low, found.high - found.mean]))
    look = {"linestyle": "", "markersize": 11, "capsize": 6, "elinewidth": 2.5}
    label = f"ours, {int(np.max(found.n))} seeds"
    bar = ax.errorbar(
        found.mean, y, xerr=bars, marker="o", color=style.PALETTE[0], label=label, **look
    )
    handles: list[Any] = [bar]
    marks = zip(others.items(), style.PALETTE[1:], style.MARKERS[1:], strict=False)
    for (name, values), colour, marker in marks:
        plain = {"linestyle": "", "markersize": 11, "fillstyle": "none", "markeredgewidth": 2.5}
        handles += ax.plot(values, y, marker=marker, color=colour, label=name, **plain)
    if not style.larger_is_better(metric):
        seen = np.concatenate([found.mean, *(np.asarray(v, float) for v in others.values())])
        seen = seen[np.isfinite(seen) & (seen > 0)]
        ax.set_xscale("log")
        ax.set_xlim(seen.min() / 1.2, seen.max() * 1.2)
        style.log_ticks(ax.xaxis, seen.max() / seen.min())
    if "error" in metric or style.larger_is_better(metric):
        style.percent(ax.xaxis)
    ax.set_xlabel(style.words(metric))
    ax.set_yticks(y, [text(name) for name in names])
    ax.set_ylim(-0.6, len(names) - 0.4)
    fig.legend(handles=handles, loc="outside right upper")
    drawing.small_print(fig, notes)
    return fig
