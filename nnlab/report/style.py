"""How figures look, said once: a slide's size, colours everybody can tell apart, plain numbers.

matplotlib is imported by the functions, when the first figure is made, never by `import nnlab`.
Figures are objects (`matplotlib.figure.Figure`): no window, and the caller's
settings stay as they were.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from nnlab.sweeps.metrics import larger_is_better
from nnlab.sweeps.statistics import Spacing, spacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

# Okabe & Ito, "Color universal design" (2008), without yellow, which white swallows.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (7, 2)), (0, (1, 1)))
MAP = "cividis"

SLIDE = (12.0, 6.75)  # inches, 16:9
DPI = 120
MISSING = "#E4E4E4"
FAR = 100
"""Times the median of what is finite: a loss above that is outside of the frame."""
REACH = 5
"""Times the usual half of an interval: what reaches further beyond all means leaves the frame."""
DECADES = 12
"""Below its top a log scale goes no further: there losses are rounding errors."""
RC: dict[Any, Any] = {
    "font.size": 15,
    "axes.titlesize": 15,
    "axes.labelsize": 16,
    "xtick.labelsize": 13,
    "ytick.labelsize": 13,
    "legend.fontsize": 13,
    "legend.title_fontsize": 14,
    "legend.frameon": False,
    "figure.titlesize": 18,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "lines.linewidth": 2.2,
    "lines.markersize": 7,
    "savefig.dpi": DPI,
    "figure.dpi": DPI,
    "axes.formatter.useoffset": False,
}


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function under nnlab's settings and leave the caller's as they were."""

    @wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        from matplotlib import rc_context

        with rc_context(RC):
            return draw(*args, **kwargs)

    return inner


def figure(title: str) -> "Figure":
    """An empty slide with its title, whose layout makes room for every label."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    fig = Figure(figsize=SLIDE, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    fig.suptitle(title, x=0.015, ha="left", weight="bold")
    return fig


def colours(values: Sequence[Any]) -> list[Any]:
    """One colour for each value: the palette for words, a dark-to-light ramp for numbers."""
    if len(values) > 1 and all(_is_number(v) for v in values):
        from matplotlib import colormaps

        return [colormaps["viridis"](x) for x in np.linspace(0.0, 0.85, len(values))]
    return [PALETTE[i % len(PALETTE)] for i in range(len(values))]


def ink_on(colour: Any) -> str:
    """Black or white, whichever contrasts more with the colour.

    Contrast is (L_1 + 0.05) / (L_2 + 0.05) for relative luminances L.  Source: WCAG 2.1, 1.4.3.
    """
    from matplotlib.colors import to_rgb

    rgb = np.asarray(to_rgb(colour))
    linear = np.where(rgb <= 0.03928, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ np.array([0.2126, 0.7152, 0.0722]))
    return "black" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "white"


# Words and numbers -------------------------------------------------------------------------------


def words(name: str) -> str:
    """A variable's name as a person says it."""
    return name.replace("val_", "validation ").replace("train_", "training ").replace("_", " ")


def text(value: Any, digits: int = 3) -> str:
    """A coordinate's value: words as they are, numbers short, switches as on and off.

    A number just below 1 keeps the digits of its distance from 1: 0.9999 is not 1.
    """
    if value is None or (_is_number(value) and np.isnan(value)):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "on" if value else "off"
    if not isinstance(value, float | np.floating):
        return str(value)
    nines = -int(np.floor(np.log10(1 - value))) if 0.9 < value < 1 else 0
    return f"{value:.{digits + nines}g}"


def texts(values: Iterable[Any]) -> list[str]:
    """`text` of each value, with the digits that tell them apart."""
    values = list(values)
    kinds = len({text(v, 17) for v in values})
    for digits in (3, 5, 9):
        found = [text(v, digits) for v in values]
        if len(set(found)) == kinds:
            return found
    return [text(v, 17) for v in values]


def number(value: float, metric: str, digits: int = 3) -> str:
    """A metric's value: accuracies in percent with one decimal, all else to some digits."""
    if np.isnan(value):
        return "–"
    if np.isinf(value):
        return "diverged"
    return f"{100 * value:.1f} %" if in_percent(metric) else f"{value:#.{digits}g}".rstrip(".")


def in_percent(metric: str) -> bool:
    """True for accuracies and what is made of them, as the gap between two."""
    return "accuracy" in metric


def on_log_scale(metric: str) -> bool:
    """True for what is to be small: losses and errors, not accuracies, nor what is made of them."""
    return not in_percent(metric) and not larger_is_better(metric)


def capital(sentence: str) -> str:
    """The sentence with a capital letter."""
    return sentence[:1].upper() + sentence[1:]


def listed(values: Sequence[Any], most: int = 6) -> str:
    """The values with commas, the first few by name and the others by number."""
    shown = ", ".join(texts(values[:most]))
    return f"{shown} and {len(values) - most} more" if len(values) > most else shown


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)


# Axes --------------------------------------------------------------------------------------------


def is_numeric(values: np.ndarray) -> bool:
    """True for numbers, false for words and switches."""
    return np.issubdtype(np.asarray(values).dtype, np.number)


def x_scale(ax: "Axes", values: np.ndarray) -> Spacing:
    """Give the x axis the scale on which the values lie evenly, and ticks at a few of them."""
    kind, values = spacing(values), np.unique(np.asarray(values, float))
    if kind == "log":
        margin = (values[-1] / values[0]) ** 0.05
        ax.set_xscale("log")
        ax.set_xlim(values[0] / margin, values[-1] * margin)
        log_ticks(ax.xaxis, values[-1] / values[0])
    elif kind == "symlog":
        ax.set_xscale("symlog", linthresh=values[1])
        ax.set_xlim(-0.15 * values[1], values[-1] * (values[-1] / values[1]) ** 0.05 * 1.1)
    elif values.size > 1:
        margin = 0.05 * (values[-1] - values[0])
        ax.set_xlim(values[0] - margin, values[-1] + margin)
    if values.size <= 6:
        from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

        ax.xaxis.set_major_locator(FixedLocator(list(values)))
        ax.xaxis.set_major_formatter(FixedFormatter(texts(values)))
        ax.xaxis.set_minor_locator(NullLocator())
    return kind


def floored(values: ArrayLike, metric: str) -> tuple[np.ndarray, str]:
    """Losses as a log scale can show them, and what to say of it: none below the floor.

    The floor is a power of ten, below the least that is not 0 and at most DECADES below the top.
    Accuracies, scores and losses that may be negative stay as they are.
    """
    values = np.asarray(values, float)
    seen = values[np.isfinite(values)]
    if not on_log_scale(metric) or not seen.size or seen.min() < 0:
        return values, ""
    positive = seen[seen > 0] if seen.any() else np.ones(1)
    top = min(positive.max(), FAR * float(np.median(positive)))
    least = max(np.ceil(np.log10(positive.min())) - 1, np.floor(np.log10(top)) - DECADES)
    floor = 10.0**least
    if seen.min() >= floor:
        return values, ""
    return values.clip(min=floor), f"What is below {floor:g} is drawn at {floor:g}."


def framed(mean: np.ndarray, low: np.ndarray, high: np.ndarray, log: bool) -> tuple[float, float]:
    """The least and the greatest value in the frame: means, and ends of intervals near to them.

    Means above FAR times their median would squash the rest of a log scale.  An end is near if it
    lies beyond the means by no more than their range, or REACH times the median upper half of an
    interval, on the scale of the axis.
    """
    shown = np.isfinite(mean)
    shown &= mean <= FAR * np.median(mean[shown]) if log else True
    values = np.stack([mean[shown], low[shown], high[shown]])
    with np.errstate(divide="ignore", invalid="ignore"):
        at = np.log(values) if log else values
    m, half = at[0], (at[2] - at[0])[np.isfinite(at[2])]
    room = max(np.ptp(m), REACH * np.median(half) if half.size else 0.0) or np.inf
    near = values[(at >= m.min() - room) & (at <= m.max() + room) & np.isfinite(at)]
    return float(near.min()), float(near.max())


def y_scale(
    ax: "Axes",
    metric: str,
    mean: np.ndarray,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
) -> str:
    """Percent for accuracies, never beyond 0 and 100; a logarithm for losses, ended by `framed`.

    Where nothing is finite there is no scale.  Returns what to say where the frame cuts intervals.
    """
    low, high = mean if low is None else low, mean if high is None else high
    seen = mean[np.isfinite(mean)]
    if not seen.size:
        ax.set_yticks([])
        return ""
    if in_percent(metric):
        percent(ax.yaxis)
        bottom, top = ax.get_ylim()
        if larger_is_better(metric):
            ax.set_ylim(max(bottom, -0.03), min(top, 1.03))
        return ""
    log = on_log_scale(metric) and seen.min() > 0
    bottom, top = framed(mean, low, high, log)
    cut = bool(((mean <= top) & ((low < bottom) | (high > top))).any())
    if log:
        ax.set_yscale("log")
        margin = max((top / bottom) ** 0.06, 1.05)
        ax.set_ylim(bottom / margin, top * margin)
        log_ticks(ax.yaxis, top / bottom)
    elif cut:
        margin = 0.06 * (top - bottom)
        ax.set_ylim(bottom - margin, top + margin)
    return "Intervals that meet the frame reach beyond it." * cut


def percent(axis: "Axis") -> None:
    """Fractions as percent, with the digits they need."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:.4g} %"))


def whole_numbers(axis: "Axis") -> None:
    """Ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(6, integer=True))


def epochs_along(ax: "Axes", epochs: np.ndarray) -> None:
    """Whole epochs along x, all of them in the frame, whatever of them is drawn."""
    room = 0.04 * max(len(epochs) - 1, 1)
    ax.set_xlim(epochs[0] - room, epochs[-1] + room)
    if len(epochs) == 1:
        ax.set_xticks(epochs)
    else:
        whole_numbers(ax.xaxis)


def log_ticks(axis: "Axis", ratio: float) -> None:
    """Decades where there are three or more; else 1, 2, 5; all in plain figures."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axis.set_minor_locator(NullLocator())
    if ratio < 1000:
        axis.set_major_locator(MaxNLocator(6) if ratio < 5 else LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.4g}"))
