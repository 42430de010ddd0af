"""One row per optimizer, one column per learning rate: what became of every run, on one slide."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from nnlab.report import drawing, style
from nnlab.studies.behaviour import RULES, WORDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    "diverges": "white", "oscillates": "#E69F00", "crawls": "#C9C9C9", "converges": "#0072B2",
}  # fmt: skip
CROSSED: dict[str, Any] = {"marker": "x", "linestyle": "", "color": "#777777", "markersize": 4}


@style.styled
def behaviour_map(words: xr.DataArray, title: str, notes: Sequence[str] = ()) -> "Figure":
    """What every optimizer does at every learning rate: words [optimizer, learning_rate]."""
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    codes = words.copy(data=np.searchsorted(sorted(WORDS), words.values).astype(float))
    ordered = sorted(WORDS)
    look = {
        "cmap": ListedColormap([COLOURS[word] for word in ordered]),
        "norm": BoundaryNorm(np.arange(len(ordered) + 1) - 0.5, len(ordered)),
    }
    fig = style.figure(title)
    halves(fig, codes, words.values == "diverges", look)
    handles: list[Any] = [
        Patch(facecolor=COLOURS[rule.word], label=rule.word)
        for rule in RULES
        if rule.word != "diverges"
    ]
    cross: dict[str, Any] = CROSSED | {"markersize": 8}
    handles.append(Line2D([], [], label="diverges", **cross))
    fig.legend(handles=handles, loc="outside right upper")
    said = "; ".join(f"{rule.word}: {rule.when}" for rule in RULES)
    drawing.small_print(fig, [*notes, f"The first that fits. {style.capital(said)}."])
    return fig


@style.styled
def loss_map(
    loss: xr.DataArray, title: str, label: str, notes: Sequence[str] = (), most: float = 10.0
) -> "Figure":
    """The loss of every optimizer at every learning rate, the best optimizer first.

    `loss` is [optimizer, learning_rate].
    Colours end at `most` times the least loss, so that differences near the best can be seen.
    """
    from matplotlib.colors import LogNorm

    loss = loss.isel(optimizer=np.argsort(loss.min("learning_rate").values, kind="stable"))
    shown, floor = style.floored(loss.values, "loss")
    loss = loss.copy(data=shown)
    least = float(loss.where(np.isfinite(loss)).min())
    fig = style.figure(title)
    look = {"cmap": "cividis_r", "norm": LogNorm(least, most * least)}
    image, axes = halves(fig, loss, ~np.isfinite(loss.values), look)
    bar = fig.colorbar(image, ax=axes, label=label, extend="max", fraction=0.04, pad=0.01)
    style.log_ticks(bar.ax.yaxis, most)
    drawing.small_print(fig, [*notes, floor, "Crosses: diverged."])
    return fig


def halves(
    fig: "Figure", table: xr.DataArray, lost: np.ndarray, look: Mapping[str, Any]
) -> tuple[Any, list["Axes"]]:
    """The rows in two panels side by side, crosses where runs are lost."""
    from matplotlib import colormaps

    rows, rates = table["optimizer"].values, table["learning_rate"].values.astype(float)
    half = -(-len(rows) // 2)
    panels = list(np.ravel(fig.subplots(1, 2 if len(rows) > 1 else 1)))
    decades = [i for i, rate in enumerate(rates) if abs(np.log10(rate) % 1) < 1e-4]
    colours = look["cmap"]
    colours = (colormaps[colours] if isinstance(colours, str) else colours).with_extremes(
        bad="white"
    )
    image = None
    for ax, first in zip(panels, (0, half), strict=False):
        part, crossed = table.values[first : first + half], lost[first : first + half]
        shown = np.ma.masked_array(part, crossed)
        image = ax.pcolormesh(shown, cmap=colours, norm=look["norm"], edgecolors="white", lw=0.4)
        y, x = np.nonzero(crossed)
        ax.plot(x + 0.5, y + 0.5, **CROSSED)
        ax.set_yticks(np.arange(len(part)) + 0.5, rows[first : first + half], fontsize=10.5)
        ax.set_xticks(
            np.array(decades) + 0.5,
            [f"$10^{{{round(np.log10(rates[i]))}}}$" for i in decades],
            fontsize=11,
        )
        ax.set_ylim(half, 0)
        ax.set_xlabel("learning rate")
        ax.grid(visible=False)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    return image, panels
