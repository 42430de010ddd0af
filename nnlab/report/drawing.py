"""The parts of a figure: series, panels, lines and dots, crosses, legend, small print."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from nnlab.report import labels, style
from nnlab.report.select import most_seeds, names
from nnlab.report.style import capital, words
from nnlab.sweeps.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CROSS: dict[str, Any] = {"linestyle": "", "marker": "x", "markersize": 6, "markeredgewidth": 2}
ROW = 9  # points between the crosses of two series


class Series(NamedTuple):
    """What is drawn in one look: positions along x, means and intervals, divergences."""

    look: dict[str, Any]
    at: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    diverged: np.ndarray


class Panel(NamedTuple):
    """The axes of a panel and what is drawn in them."""

    ax: "Axes"
    series: list[Series]


def looks(results: Results, hue: str | None) -> dict[str, dict[str, Any]]:
    """Label -> colour, marker and line of each hue: told apart without colour too."""
    said = names(results, hue) if hue else [""]
    values = said if hue in (None, "config") else list(results.labels(hue))
    return {
        label: {"color": colour, "marker": style.MARKERS[i % 7], "linestyle": style.LINES[i % 7]}
        for i, (label, colour) in enumerate(zip(said, style.colours(values), strict=True))
    }


def panels(
    fig: "Figure",
    results: Results,
    table: xr.Dataset,
    x: np.ndarray,
    hue: str | None,
    col: str | None,
) -> list[Panel]:
    """One panel per value of col, up to four to a row; its series, one per value of hue.

    x holds the values along x; words stand at 0, 1, 2, …, with the hues side by side.
    """
    titles = panel_titles(results, col) if col else [""]
    columns = columns_for(len(titles))
    rows = -(-len(titles) // columns)
    grid = fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    made = []
    for i, ax in enumerate(grid.flat):
        if i >= len(titles):
            ax.remove()
            continue
        part = table.isel({col: i}) if col else table
        if col:
            ax.set_title(titles[i], loc="left")
        if i + columns >= len(titles):
            ax.tick_params(labelbottom=True)
        made.append(Panel(ax, _series(results, part, x, hue)))
    return made


def columns_for(count: int) -> int:
    """Panels in a row: a square of four, else rows of three, of four where there are many."""
    return {1: 1, 2: 2, 4: 2}.get(count, 3 if count <= 9 else 4)


def panel_titles(results: Results, col: str) -> list[str]:
    """The value of each panel, broken where it is long; a bare number or switch with its name."""
    spoken = col == "config" or isinstance(results.labels(col).tolist()[0], str)
    said = [name if spoken else f"{words(col)} {name}" for name in names(results, col)]
    return [textwrap.fill(title, 22, max_lines=2, placeholder=" …") for title in said]


def title(y: str, x: str, col: str | None) -> str:
    """What a figure shows, in words."""
    return f"{capital(words(y))} by {words(x)}" + (f", per {words(col)}" if col else "")


def _series(results: Results, table: xr.Dataset, x: np.ndarray, hue: str | None) -> list[Series]:
    made = []
    styles = list(looks(results, hue).values())
    for i, look in enumerate(styles):
        part = table.isel({hue: i}) if hue else table
        mean, low, high, diverged = (part[k].values for k in ("mean", "low", "high", "diverged"))
        if style.is_numeric(x):
            order = np.argsort(x)
            at, mean, low, high, diverged = (v[order] for v in (x, mean, low, high, diverged))
        else:
            at = np.arange(len(x)) + (i - (len(styles) - 1) / 2) * min(0.12, 0.7 / len(styles))
        made.append(Series(look, at, mean, low, high, diverged))
    return made


def label_outer(fig: "Figure", made: Sequence[Panel], xlabel: str, ylabel: str) -> None:
    """Name x below the lowest panels, and y left of the leftmost, once if there are more rows."""
    columns = made[0].ax.get_subplotspec().get_gridspec().ncols  # pyright: ignore[reportOptionalMemberAccess]
    for ax, _ in made[-columns:]:
        ax.set_xlabel(xlabel)
    if len(made) > columns:
        fig.supylabel(ylabel, fontsize=16)
    else:
        made[0].ax.set_ylabel(ylabel)


def line(ax: "Axes", s: Series) -> None:
    """The mean's line with its band; infinite means are a gap, a mean between two has a bar."""
    here = np.isfinite(s.mean)
    beside = np.pad(here, 1)
    lone = here & ~beside[:-2] & ~beside[2:]
    ax.plot(s.at, np.where(here, s.mean, np.nan), markevery=max(1, len(s.at) // 10), **s.look)
    band = np.isfinite(s.low)
    ax.fill_between(s.at, s.low, s.high, where=band, color=s.look["color"], alpha=0.18, linewidth=0)
    if lone.any():
        dots(ax, Series(s.look, *(values[lone] for values in s[1:])))


def dots(ax: "Axes", s: Series) -> None:
    """A dot with its error bar at each position."""
    mean = np.where(np.isfinite(s.mean), s.mean, np.nan)
    with np.errstate(invalid="ignore"):
        bars = np.nan_to_num(np.stack([s.mean - s.low, s.high - s.mean]), nan=0.0)
    ax.errorbar(s.at, mean, yerr=bars, elinewidth=2, capsize=4, **{**s.look, "linestyle": ""})


def y_scale(made: Sequence[Panel], table: xr.Dataset, metric: str) -> str:
    """Fix the scale that all panels share, once they are drawn; what it says of intervals."""
    ends = [table[name].values for name in ("mean", "low", "high")]
    (said,) = {style.y_scale(ax, metric, *ends) for ax, _ in made}
    return said


def crosses_above(fig: "Figure", made: Sequence[Panel]) -> str:
    """Mark where seeds diverged above each panel; what the legend says of it.

    A series that is marked in any panel has its row in all of them.
    """
    from matplotlib.transforms import ScaledTranslation

    roof, rows, cut = made[0].ax.get_ylim()[1], 0, False
    for alike in zip(*(series for _, series in made), strict=True):  # of one look, panel by panel
        lost = [s.diverged | (s.mean > roof) for s in alike]
        if not any(where.any() for where in lost):
            continue
        up = ScaledTranslation(0, (8 + ROW * rows) / 72, fig.dpi_scale_trans)
        for (ax, _), s, where in zip(made, alike, lost, strict=True):
            place = {"transform": ax.get_xaxis_transform() + up, "clip_on": False}
            if where.any():
                ax.plot(s.at[where], np.ones(where.sum()), color=s.look["color"], **place, **CROSS)
            cut = cut or bool((np.isfinite(s.mean) & (s.mean > roof)).any())
        rows += 1
    for ax, _ in made:
        if ax.get_title(loc="left"):
            ax.set_title(ax.get_title(loc="left"), loc="left", pad=8 + ROW * rows)
    return ("a seed diverged" + ",\nor above the frame" * cut) * bool(rows)


def cross_at_end(ax: "Axes", s: Series, row: int) -> str:
    """Mark the last finite mean of a curve that diverges; what the legend says of it.

    Of a curve without one the cross stands at the first epoch, in a row of its own below the top.
    """
    alive = np.flatnonzero(np.isfinite(s.mean))
    if not np.isinf(s.mean[-1]):
        return ""
    big: dict[str, Any] = CROSS | {"markersize": 15}
    if alive.size:
        ax.plot(s.at[alive[-1]], s.mean[alive[-1]], color=s.look["color"], **big)
    else:
        place = {"transform": ax.get_xaxis_transform(), "clip_on": False}
        ax.plot(s.at[0], 0.97 - 0.06 * row, color=s.look["color"], **place, **big)
    return "a seed diverged"


def legend(fig: "Figure", results: Results, hue: str | None, crossed: str) -> None:
    """The hues, long words broken, and the cross, to the right of the panels."""
    from matplotlib.lines import Line2D

    handles: list[Line2D] = []
    for label, look in looks(results, hue).items() if hue else ():
        handles.append(Line2D([], [], label=entry(label), **look))
    if crossed:
        handles.append(Line2D([], [], color="#555555", label=crossed, **CROSS))
    title = {"title": words(hue), "alignment": "left"} if hue else {}
    if handles:
        fig.legend(handles=handles, handlelength=3.2, loc="outside right upper", **title)


def entry(label: str) -> str:
    """A legend's entry, broken where it is long."""
    return textwrap.fill(label, 26, max_lines=4, placeholder=" …")


def words_along(made: Sequence[Panel], said: Sequence[str], key: str) -> str:
    """Words at 0, 1, 2, … along x; the key, where there is room for numbers only."""
    for ax, _ in made:
        ax.set_xlim(-0.6, len(said) - 0.4)
    return labels.words_along_x([ax for ax, _ in made], said, key)


def interval_note(results: Results, confidence: float) -> str:
    """What the bands and bars are."""
    n, same = most_seeds(results)
    if n < 2:
        return "One seed: no intervals." if n else "No run is finished."
    return f"{'' if same else 'up to '}{n} seeds, {100 * confidence:g} % intervals."


def small_print(fig: "Figure", notes: Sequence[str]) -> None:
    """Sentences below the figure; the layout makes room for them."""
    sentences = " ".join(capital(note) for note in notes if note)
    lines = textwrap.wrap(sentences.replace(" %", "\N{NO-BREAK SPACE}%"), 125)
    fig.supxlabel("\n".join(lines), x=0.015, ha="left", fontsize=12, color="#444444")
