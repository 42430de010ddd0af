"""Every value of an axis beside one of them: paired differences with their intervals, sorted."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nnlab.errors import UsageError
from nnlab.report import drawing, style
from nnlab.report.select import needs_results, tuned_before, unfinished
from nnlab.report.style import texts, words
from nnlab.report.table import PARTS, shown_metric
from nnlab.sweeps.metrics import larger_is_better
from nnlab.sweeps.results import Results
from nnlab.sweeps.statistics import Interval, holm, p_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 40
TOO_FAR = 5.0
"""Worse by this many times the median distance: outside the frame."""


def against(
    results: Results, axis: str, reference: Any, metric: str | None = None, confidence: float = 0.95
) -> pd.DataFrame:
    """One row per value of the only axis, best first: its mean, and minus the reference's.

    Columns: the axis, the knobs along it, the metric, `difference`, `low`, `high`, `pairs` (of
    seeds), `p` (of all rows together) and `verdict`: better, worse, not separated, or reference.
    Intervals are each row's own; verdicts hold together: where no row differs from the reference,
    the chance that any seems to is 1 - confidence at most. What diverged is worse than what did
    not.
    """
    needs_results(results)
    if results.axes != (axis,):
        raise UsageError(
            f"a comparison needs {axis} as the only axis, got {', '.join(results.axes)}; "
            "choose the best place along the others first"
        )
    metric = metric or shown_metric(results)
    gap = results.difference(metric, axis, reference, confidence)
    table = pd.DataFrame({axis: results.labels(axis)})
    for knob in results.knobs:
        table[knob] = results.labels(knob)
    table[metric] = results.mean(metric)["mean"].values
    for name, part in PARTS.items():
        table[name] = gap[part].values
    itself = (table[axis] == reference).to_numpy()
    p = p_value(Interval(*(gap[name].values for name in Interval._fields)), confidence)
    table["p"] = holm(np.where(itself, np.nan, p))
    sign = 1 if larger_is_better(metric) else -1
    gain = sign * table["difference"]
    apart = np.isinf(gain) | (table["p"] < 1 - confidence)
    word = np.where(apart, np.where(gain > 0, "better", "worse"), "not separated")
    table["verdict"] = np.where(itself, "reference", word)
    return table.sort_values(metric, ascending=sign < 0, kind="stable").reset_index(drop=True)


@style.styled
def differences(
    results: Results, axis: str, reference: Any, metric: str | None = None, confidence: float = 0.95
) -> "Figure":
    """The rows of `against`, best on top: a dot and its interval beside the reference's line.

    Accuracies are in percentage points. A dot that is much worse is drawn at the frame's edge, with
    its number.
    """
    needs_results(results)
    metric = metric or shown_metric(results)
    table = against(results, axis, reference, metric, confidence)
    left_out = len(table) - MOST_ROWS
    table = table.head(MOST_ROWS).iloc[::-1]
    unit = 100 if style.in_percent(metric) else 1
    middle, low, high = (unit * table[name].to_numpy() for name in ("difference", "low", "high"))
    worse = -1 if larger_is_better(metric) else 1
    edge = worse * _reach(worse * middle)
    fig = style.figure(f"{style.capital(words(metric))}: each {words(axis)} minus {reference}")
    ax = fig.subplots()
    for place, word in enumerate(table["verdict"]):
        colour, marker = LOOKS[word]
        if not worse * middle[place] <= abs(edge) or np.isinf(middle[place]):
            end = edge if worse * middle[place] > 0 else -edge
            ax.plot(end, place, color=colour, marker="<" if end < 0 else ">", markersize=9)
            _say(ax, end, place, middle[place], -1 if end > 0 else 1)
            continue
        ends = worse * np.minimum(worse * np.array([low[place], high[place]]), abs(edge))
        ax.plot(ends, [place, place], color=colour, linewidth=2)
        ax.plot(middle[place], place, color=colour, marker=marker, markersize=8)
    ax.axvline(0, color="black", linewidth=1)
    size = 13 if len(table) <= 20 else 10
    ax.set_yticks(range(len(table)), texts(table[axis].tolist()), fontsize=size)
    ax.set_ylim(-0.7, len(table) - 0.3)
    ax.set_xlabel("percentage points" if unit == 100 else f"difference of the {words(metric)}")
    ax.grid(axis="y", visible=False)
    _legend(fig, list(table["verdict"]))
    rest = f"The best {MOST_ROWS}; {left_out} more are left out." if left_out > 0 else ""
    notes = [unfinished(results), tuned_before(results, "row")]
    chance = f"Verdicts hold for all rows together, at {100 * confidence:g} % (Holm)."
    notes += [drawing.interval_note(results, confidence), "Paired by seed.", chance, rest]
    drawing.small_print(fig, notes)
    return fig


LOOKS = {
    "better": (style.PALETTE[2], "^"),
    "not separated": (style.PALETTE[0], "o"),
    "worse": (style.PALETTE[1], "v"),
    "reference": (style.PALETTE[6], "D"),
}


def _reach(distance: np.ndarray) -> float:
    """How far to the worse side the frame reaches."""
    seen = distance[np.isfinite(distance) & (distance > 0)]
    return min(float(seen.max()), TOO_FAR * float(np.median(seen))) * 1.1 if seen.size else 1.0


def _say(ax: "Axes", x: float, y: float, value: float, side: int) -> None:
    """The number of a dot at the edge, inside the frame."""
    place: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 11}
    place["ha"] = "left" if side > 0 else "right"
    ax.annotate(
        f"{value:.3g}" if np.isfinite(value) else "diverged", (x, y), (9 * side, 0), **place
    )


def _legend(fig: "Figure", verdicts: list[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=word)
        for word, (colour, marker) in LOOKS.items()
        if word in verdicts
    ]
    fig.legend(handles=handles, loc="outside right upper")
