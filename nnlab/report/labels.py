"""Labels that fit beside their panel, measured as they are drawn: broken, turned or numbered."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from nnlab.report.style import DPI, SLIDE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZES = (13, 11, 9)
CELLS = (14, 11, 9, 8)
MOST_LINES = 4
TURN, LONGEST = 30, 100
"""Degrees, and how many points long a turned label may be: more would push its panel away."""
BESIDE = 0.25
"""Of the figure's width, what labels left of a panel may take."""
GAP = 6  # pixels between two labels
PIXELS = DPI / 72  # in a point
HARD = "\N{NO-BREAK SPACE}"


def words_along_x(axes: Sequence["Axes"], labels: Sequence[str], key: str) -> str:
    """Name the places 0, 1, 2, … along x; the key, where there was room for numbers only.

    Call it when all else is drawn: the room for a label is measured.
    """
    fig = laid_out(axes[0])
    room = min(_steps(ax)[0] for ax in axes) - GAP
    width, height = widest(fig, labels, SIZES[0])
    short = width <= LONGEST * PIXELS and room + GAP >= height / np.sin(np.radians(TURN))
    found = _broken(fig, labels, room, MOST_LINES)
    turned = short and not found
    drawn, size = found or ((labels, SIZES[0]) if short else _numbered(fig, labels, room))
    for ax in axes:
        ax.set_xticks(range(len(labels)), list(drawn), fontsize=size)
        for label in ax.get_xticklabels() if turned else ():
            label.set(rotation=TURN, ha="right", rotation_mode="anchor")
    return "" if found or turned else key


def words_along_y(ax: "Axes", labels: Sequence[str], key: str) -> str:
    """Name the places 0, 1, 2, … along y; the key, where there was room for numbers only."""
    fig = laid_out(ax)
    line = widest(fig, ["X"], SIZES[0])[1] * 1.2
    lines = max(1, min(MOST_LINES, int(0.8 * _steps(ax)[1] / line)))
    room = BESIDE * SLIDE[0] * DPI
    found = _broken(fig, labels, room, lines)
    drawn, size = found or _numbered(fig, labels, room)
    ax.set_yticks(range(len(labels)), list(drawn), fontsize=size)
    return "" if found else key


def thin_out(ax: "Axes") -> None:
    """Fewer numbers along x where they would touch: the powers of ten, or every second, third, …"""
    fig = laid_out(ax)
    low, high = sorted(ax.get_xlim())
    every = [float(x) for x in ax.xaxis.get_majorticklocs() if low <= x <= high]
    said = dict(zip(every, ax.xaxis.get_major_formatter().format_ticks(every), strict=True))
    where = {x: float(ax.transData.transform((x, 1.0))[0]) for x in every}
    half = {x: widest(fig, [said[x]], SIZES[0])[0] / 2 + GAP / 2 for x in every}
    for ticks in _fewer(np.array(every)):
        if all(where[a] + half[a] <= where[b] - half[b] for a, b in pairwise(ticks)):
            if len(ticks) < len(every):
                ax.set_xticks(ticks, [said[x] for x in ticks])
            return


def fit_cells(ax: "Axes") -> None:
    """Write the texts of a map's cells in one line, or smaller, where they are too large for one.

    Call it last: all else takes its room first.
    """
    fig = laid_out(ax)
    room = np.array(_steps(ax)) - (GAP, 2)
    said = [cell.get_text() for cell in ax.texts]
    ways = [said, [text.replace("\n", " ") for text in said]]
    tried = [(size, way) for size in CELLS for way in ways]
    size, way = next((t for t in tried if (widest(fig, t[1], t[0]) <= room).all()), tried[-2])
    for cell, text in zip(ax.texts, way, strict=True):
        cell.set(text=text, fontsize=size)


def laid_out(ax: "Axes") -> "Figure":
    """The figure of a panel after everything has found its place."""
    fig = ax.get_figure(root=True)
    assert fig is not None  # noqa: S101 - a panel is on a figure
    fig.draw_without_rendering()
    return fig


def widest(fig: "Figure", labels: Sequence[str], size: float) -> tuple[float, float]:
    """The width of the widest label and the height of the highest, in pixels."""
    probe = fig.text(0, 0, "", fontsize=size)
    boxes = []
    for label in labels:
        probe.set_text(label)
        boxes.append(probe.get_window_extent())
    probe.remove()
    return max(box.width for box in boxes), max(box.height for box in boxes)


def broken(label: str, width: int) -> str | None:
    """The label in lines of at most `width` characters, none where a part of it is longer.

    Lines end after a space, an underscore, a bracket or a slash.
    """
    lines = [""]
    for part in re.split(r"(?<=[ _(/])", label):
        if len((lines[-1] + part).rstrip()) <= width:
            lines[-1] += part
        else:
            lines.append(part)
    lines = [line.rstrip() for line in lines if line.strip()]
    return "\n".join(lines) if all(len(line) <= width for line in lines) else None


def key_of(head: str, labels: Sequence[str]) -> str:
    """What the numbers 1, 2, … stand for; an entry that fits on a line is not broken."""
    entries = [f"{i}: {label}" for i, label in enumerate(labels, 1)]
    whole = (e.replace(" ", HARD) if len(e) < 100 else e for e in entries)
    return f"{head} {'; '.join(whole)}."


def _broken(
    fig: "Figure", labels: Sequence[str], room: float, most: int
) -> tuple[list[str], int] | None:
    """The labels in as few lines as fit into the room, and their size; None where none do."""
    for lines in range(1, most + 1):
        for size in SIZES[:2]:
            for found in _in_lines(labels, lines):
                if widest(fig, found, size)[0] <= room:
                    return found, size
    return None


def _in_lines(labels: Sequence[str], lines: int) -> Iterator[list[str]]:
    """The labels in at most so many lines, as narrow as that can be."""
    for width in range(1, max(map(len, labels)) + 1):
        found = [broken(label, width) for label in labels]
        kept = [label for label in found if label is not None and label.count("\n") < lines]
        if len(kept) == len(labels):
            yield kept
            return


def _numbered(fig: "Figure", labels: Sequence[str], room: float) -> tuple[list[str], int]:
    """Numbers instead of the labels, and the size at which they fit."""
    numbers = [str(i) for i in range(1, len(labels) + 1)]
    sizes = [size for size in SIZES if widest(fig, numbers, size)[0] <= room]
    return numbers, (sizes or SIZES[-1:])[0]


def _steps(ax: "Axes") -> tuple[float, float]:
    """Pixels between two places along x and along y."""
    ends = ax.transData.transform([(0.0, 0.0), (1.0, 1.0)])
    return abs(ends[1, 0] - ends[0, 0]), abs(ends[1, 1] - ends[0, 1])


def _fewer(ticks: np.ndarray) -> Iterator[list[float]]:
    """All, then the powers of ten with zero if there are several, then every second, third, …"""
    yield ticks.tolist()
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.log10(ticks)
        tens = ticks[(ticks == 0) | (np.abs(power - power.round()) < 1e-6)]
    for some in [tens] * (tens.size > 1) + [ticks]:
        yield from (some[::k].tolist() for k in range(1, some.size + 1) if some[::k].size > 1)
    yield ticks[:1].tolist()
