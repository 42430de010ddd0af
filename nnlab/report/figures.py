"""Figures of a sweep: responses, learning curves, heat maps, and the general `plot`.

Shown are means over seeds with their confidence intervals.  Axes that a figure does not show are
at their best place, chosen on validation data; where there are more values than a reader can tell
apart, the best are shown; the small print below each figure says both.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from nnlab.errors import UsageError, unknown
from nnlab.report import drawing, labels, style
from nnlab.report.scatter import scatter
from nnlab.report.select import (
    MOST_CELLS,
    MOST_PANELS,
    key,
    most_hues,
    names,
    needs_results,
    reduce,
)
from nnlab.report.style import capital, words
from nnlab.sweeps.metrics import larger_is_better
from nnlab.sweeps.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 10.0
"""Times the least loss: there the colours of a heat map end, if others are not much worse."""


@style.styled
def plot(
    results: Results,
    x: str,
    y: str | None = None,
    hue: str | None = None,
    col: str | None = None,
    confidence: float = 0.95,
) -> "Figure":
    """Metric y along x ("epoch", an axis, or a knob of a random search), by hue, in panels by col.

    Numbers along x make lines, on a log scale where they are spaced like that; words make dots.
    A cross marks a place where a seed diverged, or whose mean loss lies above the frame.
    """
    needs_results(results)
    y = y or results.headline
    results[y]
    _check(results, x, hue, col)
    if x == "epoch":
        return learning_curves(results, y, hue, col, confidence)
    if x not in results.axes:
        results, notes = reduce(results, y, [(axis, 10**6) for axis in _along(results, x)])
        return scatter(results, x, y, hue, notes)
    numeric = style.is_numeric(results.labels(x)) and x != "config"
    room = 10**6 if numeric else MOST_CELLS if col else 2 * MOST_CELLS
    shown = [(x, room), (hue, most_hues(results, hue, col)), (col, MOST_PANELS)]
    results, notes = reduce(results, y, shown)
    at = results.labels(x) if numeric else np.array(names(results, x))
    table, floor = _floored(results.mean(y, confidence=confidence), y)
    table["diverged"] = results.diverged.any("seed")

    fig = style.figure(drawing.title(y, x, col))
    panels = drawing.panels(fig, results, table, at, hue, col)
    for ax, series in panels:
        for s in series:
            (drawing.line if numeric else drawing.dots)(ax, s)
    cut = drawing.y_scale(panels, table, y)
    if numeric:
        style.x_scale(panels[0].ax, at)
    drawing.label_outer(fig, panels, words(x), words(y))
    drawing.legend(fig, results, hue, drawing.crosses_above(fig, panels))
    words_key = "" if numeric else drawing.words_along(panels, names(results, x), key(results, x))
    if numeric:
        labels.thin_out(panels[0].ax)
    intervals = drawing.interval_note(results, confidence)
    drawing.small_print(fig, [words_key, *notes, floor, intervals, cut])
    return fig


def response(
    results: Results,
    metric: str | None = None,
    x: str = "learning_rate",
    hue: str | None = "optimizer",
    col: str | None = None,
    confidence: float = 0.95,
) -> "Figure":
    """How a metric answers to a number, by default to the learning rate for each optimizer."""
    hue = None if hue == "optimizer" and hue not in results.axes else hue
    return plot(results, x, metric, hue, col, confidence)


@style.styled
def learning_curves(
    results: Results,
    metric: str | None = None,
    hue: str | None = None,
    col: str | None = None,
    confidence: float = 0.95,
    most_panels: int = MOST_PANELS,
) -> "Figure":
    """A metric against the epoch, with its interval over seeds as a band; panels by col."""
    needs_results(results)
    metric = metric or results.headline
    if "epoch" not in results[metric].dims:
        raise UsageError(f"{metric} has no history; choose a metric that is measured every epoch")
    _check(results, "epoch", hue, col)
    shown = [(hue, most_hues(results, hue, col)), (col, most_panels)]
    results, notes = reduce(results, metric, shown, each="curve")
    table, floor = _floored(results.mean(metric, confidence=confidence, epoch="all"), metric)
    table["diverged"] = xr.zeros_like(table["mean"], dtype=bool)

    fig = style.figure(drawing.title(metric, "epoch", col))
    panels = drawing.panels(fig, results, table, results.labels("epoch"), hue, col)
    crossed = ""
    for ax, series in panels:
        for s in series:
            drawing.line(ax, s)
    cut = drawing.y_scale(panels, table, metric)
    for ax, series in panels:
        for row, s in enumerate(series):
            crossed = drawing.cross_at_end(ax, s, row) or crossed
    style.epochs_along(panels[0].ax, results.labels("epoch"))
    drawing.label_outer(fig, panels, "epoch", words(metric))
    drawing.legend(fig, results, hue, crossed)
    drawing.small_print(fig, [*notes, floor, drawing.interval_note(results, confidence), cut])
    return fig


@style.styled
def heatmap(
    results: Results, x: str, y: str, metric: str | None = None, confidence: float = 0.95
) -> "Figure":
    """The metric for every pair of two axes, all other axes at their best, with half-intervals.

    Where an interval ends at 0 or 100 %, the half is the longer one.
    """
    needs_results(results)
    metric = metric or results.headline
    for name in (x, y):
        if name not in results.axes:
            raise unknown("axis", name, results.axes)
    if x == y:
        raise UsageError(f"a heat map needs two different axes, got {x} twice")
    results, notes = reduce(results, metric, [(x, MOST_CELLS), (y, MOST_CELLS)], each="cell")
    table = results.mean(metric, confidence=confidence).transpose(y, x)
    mean = table["mean"].values
    coloured, floor = style.floored(mean, metric)
    floor = floor.replace("drawn at", "coloured as")
    with np.errstate(invalid="ignore"):
        half = np.fmax(mean - table["low"].values, table["high"].values - mean)

    fig = style.figure(f"{capital(words(metric))} by {words(y)} and {words(x)}")
    ax = fig.subplots()
    look, end = _colouring(coloured, metric)
    image = ax.imshow(np.ma.masked_invalid(coloured), aspect="auto", **look)
    for (row, column), value in np.ndenumerate(mean):
        shade = coloured[row, column]
        ink = style.ink_on(image.cmap(image.norm(shade)) if np.isfinite(shade) else style.MISSING)
        cell, margin = style.number(value, metric).removesuffix(" %"), float(half[row, column])
        if np.isfinite(margin):
            cell += "\n±" + style.number(margin, metric, digits=2).removesuffix(" %")
        ax.text(column, row, cell, ha="center", va="center", color=ink)
    ax.set(xlabel=words(x), ylabel=words(y))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(visible=False)
    _colour_bar(fig, image, metric, end)
    notes.append(labels.words_along_y(ax, names(results, y), key(results, y)))
    notes.append(labels.words_along_x([ax], names(results, x), key(results, x)))
    notes.append("Cells in percent." if style.in_percent(metric) else floor)
    drawing.small_print(fig, [*notes, end, drawing.interval_note(results, confidence)])
    labels.fit_cells(ax)
    return fig


def _along(results: Results, name: str) -> tuple[str, ...]:
    """The axes along which a knob lies; an axis lies along itself."""
    if name in results.axes or name not in results.dataset.coords:
        return (name,)
    return tuple(map(str, results.dataset[name].dims))


def _check(results: Results, x: str, hue: str | None, col: str | None) -> None:
    """The three axes exist and differ; hue and col are axes, or hue a knob of a random search."""
    free = x != "epoch" and x not in results.axes
    known = (*results.axes, *results.knobs, *(["epoch"] if "epoch" in results.dataset.dims else []))
    if x not in known:
        raise unknown("axis", x, known)
    named = dict.fromkeys((*results.axes, *results.knobs))
    beside = [k for k in named if _along(results, k) == _along(results, x)]
    for name, choices in ((hue, beside if free else results.axes), (col, results.axes)):
        if name is not None and name not in choices:
            raise unknown("axis", name, choices)
    used = [name for name in (x, hue, col) if name is not None]
    if len(set(used)) < len(used):
        raise UsageError(f"x, hue and col must be different axes, got {', '.join(used)}")


def _floored(table: xr.Dataset, metric: str) -> tuple[xr.Dataset, str]:
    """Means and intervals as a log scale can show them, and what to say of it."""
    mean, said = style.floored(table["mean"].values, metric)
    table = table.copy()
    for end in ("mean", "low", "high") if said else ():
        table[end] = table[end].clip(min=np.nanmin(mean))
    return table, said


def _colouring(mean: np.ndarray, metric: str) -> tuple[dict[str, Any], str]:
    """Bright is good; losses over more than a decade are coloured by their logarithm.

    Where a loss explodes the colours end, so that differences near the best can be seen: at MOST
    times the least loss, or at 3 times the median where that is more. Said is where they end.
    """
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm, Normalize

    seen = mean[np.isfinite(mean)] if np.isfinite(mean).any() else np.array([0.0, 1.0])
    low, high = float(seen.min()), float(seen.max())
    end = high if style.in_percent(metric) else _end(seen)
    log = style.on_log_scale(metric) and low > 0 and end >= MOST * low
    name = style.MAP if larger_is_better(metric) else f"{style.MAP}_r"
    cmap = colormaps[name].with_extremes(bad=style.MISSING)
    look = {"cmap": cmap, "norm": LogNorm(low, end) if log else Normalize(low, end)}
    return look, f"Colours end at {end:.3g}." if end < high else ""


def _end(seen: np.ndarray) -> float:
    """The largest loss with a colour of its own."""
    low, middle, high = float(seen.min()), float(np.median(seen)), float(seen.max())
    if low > 0:
        return min(high, max(MOST * low, 3 * middle))
    return min(high, low + MOST * (middle - low)) if middle > low else high


def _colour_bar(fig: "Figure", image: Any, metric: str, end: str) -> None:
    look = {"fraction": 0.04, "pad": 0.02, "extend": "max" if end else "neither"}
    bar = fig.colorbar(image, ax=fig.axes[0], label=words(metric), **look)
    bar.outline.set_visible(False)
    low, high = image.norm.vmin, image.norm.vmax
    if style.in_percent(metric):
        style.percent(bar.ax.yaxis)
    elif low > 0 and high >= MOST * low:
        style.log_ticks(bar.ax.yaxis, high / low)
