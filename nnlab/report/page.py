"""One readable page for a sweep: the answer, the reasons to doubt it, tables, figures, settings."""

from collections.abc import Iterator, Mapping
from html import escape
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from nnlab.files import writing_into
from nnlab.report import figures, html, table
from nnlab.report.cautions import cautions
from nnlab.report.folder import is_page, refuse_foreign
from nnlab.report.select import (
    MOST_PANELS,
    along_configs,
    needs_results,
    varied,
)
from nnlab.report.style import in_percent, is_numeric, text, texts, words
from nnlab.sweeps.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS = 20
ERROR = 0.05
"""How probable it may be that any row of a ranking is wrongly told apart."""
LISTED = 6
"""Numbers that random configs set are listed up to here; of more the ends are said."""
SPOKEN = ("title", "description", "sweep")
TOLD = ("axes", "functions")
"""Of a sweep's settings, what the page says elsewhere, and what only a program reads."""


def write(results: Results, directory: str | Path) -> Path:
    """Write index.html (figures inside), the figures as PNG, table.csv and results.nc.

    Figures that an earlier page shows and this one does not are removed.
    Returns the path of index.html.  UsageError if the folder cannot be written, or holds files and
    nothing that nnlab made.
    """
    needs_results(results)
    directory = Path(directory)
    with writing_into(directory):
        refuse_foreign(directory)
        directory.mkdir(parents=True, exist_ok=True)
        results.save(directory / "results.nc")  # first: it says whose folder this is
        pictures = {}
        for name, caption, drawn in _figures(results):
            pictures[name] = (caption, html.png(drawn))
            (directory / f"{name}.png").write_bytes(pictures[name][1])
        table.configs(results).to_csv(directory / "table.csv", index=False)
        page = directory / "index.html"
        for name in _pictured(page) - pictures.keys():
            (directory / f"{name}.png").unlink(missing_ok=True)
        page.write_text(_html(results, pictures), encoding="utf-8")
    return page


def _figures(results: Results) -> Iterator[tuple[str, str, "Figure"]]:
    """The figures that fit what was swept: name, caption, figure."""
    if not bool(results.finished.any()):
        return
    yield from _knob_figures(results)
    yield from _axis_figures(results, [a for a in varied(results) if a != "config"])


def _axis_figures(results: Results, axes: list[str]) -> Iterator[tuple[str, str, "Figure"]]:
    """Responses to numbers, or words side by side; curves; maps of pairs."""
    metric = results.headline
    numbers = sorted((a for a in axes if is_numeric(results.labels(a))), key=_by_interest)
    others = sorted((a for a in axes if a not in numbers), key=_by_interest)
    hue, col = (*others[:2], None, None)[:2]
    if col and results.dataset.sizes[col] > MOST_PANELS:
        col = None
    for x in numbers[:2]:
        drawn = figures.plot(results, x, metric, hue, col)
        yield f"response_{x}", f"Response to the {words(x)}", drawn
    if others and not numbers:
        drawn = figures.plot(results, others[0], metric, hue=col)
        yield "comparison", f"By {words(others[0])}", drawn
    if "epoch" in results[metric].dims and results.dataset.sizes["epoch"] > 1:
        lines = "config" if "config" in results.axes else hue or (*numbers, None)[0]
        for y in (m for m in dict.fromkeys((metric, "train_loss")) if m in results.metrics):
            drawn = figures.learning_curves(results, y, lines)
            yield f"curves_{y}", f"Learning curves: {words(y)}", drawn
    for row, column in _pairs([*others, *numbers]):
        caption = f"By {words(row)} and {words(column)}"
        yield f"map_{row}_{column}", caption, figures.heatmap(results, column, row)


def _pairs(axes: list[str]) -> list[tuple[str, str]]:
    """The pairs of axes that get a map: the lecture's question, and the two of most interest."""
    asked = [("init", "activation")] if {"init", "activation"} <= set(axes) else []
    return list(dict.fromkeys([*asked, (axes[0], axes[1])])) if len(axes) > 1 else []


def _knob_figures(results: Results) -> Iterator[tuple[str, str, "Figure"]]:
    """Every config over each of the knobs that configs set."""
    knobs = sorted(
        along_configs(results), key=lambda k: (not is_numeric(results.labels(k)), *_by_interest(k))
    )
    named = [k for k in reversed(knobs) if not is_numeric(results.labels(k))]
    for knob in knobs[:3]:
        hue = next((k for k in (*named, *knobs) if k != knob), None)
        drawn = figures.plot(results, knob, results.headline, hue)
        yield f"knob_{knob}", f"Every config by {words(knob)}", drawn


def _by_interest(axis: str) -> tuple[int, str]:
    """Learning rates and optimizers first: what a reader asks for."""
    first = ("learning_rate", "optimizer", "init", "activation")
    return (first.index(axis) if axis in first else len(first), axis)


# Words and tables --------------------------------------------------------------------------------


def _html(results: Results, pictures: Mapping[str, tuple[str, bytes]]) -> str:
    attrs = results.dataset.attrs
    title = str(attrs.get("title") or f"Sweep on {attrs.get('data', 'unnamed data')}")
    parts = [
        f"<p>{escape(str(attrs['description']))}</p>" if attrs.get("description") else "",
        html.answer(table.headline(results)),
        html.doubts(cautions(results)),
        "<h2>What was swept</h2>",
        _axes_table(results),
        *(_best(results) if bool(results.finished.any()) else ()),
        "<h2>Figures</h2>" * bool(pictures),
        *(html.picture(name, *picture) for name, picture in pictures.items()),
        "<h2>Settings</h2>",
        settings(results),
        "<h2>How to read this</h2>",
        f"<p>{READING}</p>",
    ]
    return html.document(title, parts)


def _best(results: Results) -> Iterator[str]:
    """The leaders, then each axis at its best."""
    leaders = table.leaders(results)
    some = f"The best {ROWS} of {len(leaders):,} rows. " if len(leaders) > ROWS else ""
    yield "<h2>The best</h2>"
    yield (
        f"<p>{some}In brackets: 95 % intervals over seeds. Every config is in "
        "<a href='table.csv'>table.csv</a>, every run in <a href='results.nc'>results.nc</a>.</p>"
    )
    yield _leaders_table(results, leaders.head(ROWS))
    axes = [a for a in varied(results) if a != "config"]
    if len(axes) > 1 and bool((results.finished & ~results.diverged).any()):
        yield from (_ranking(results, axis) for axis in axes)


def _axes_table(results: Results) -> str:
    rows = []
    drawn = along_configs(results)
    for knob in results.knobs:
        labels = results.labels(knob)
        labels = labels[pd.notna(labels)]
        if knob in drawn and is_numeric(labels) and len(set(labels.tolist())) > LISTED:
            values = f"{text(labels.min())} to {text(labels.max())}"
        else:
            values = ", ".join(texts(dict.fromkeys(labels.tolist())))
        rows.append((words(knob), values))
    sizes = results.dataset.sizes
    if "config" in results.axes:
        rows.append(("configs", f"{sizes['config']:,}"))
    rows.append(("seeds", text(sizes["seed"])))
    if "epoch" in sizes:
        rows.append(("epochs", text(sizes["epoch"])))
    rows.append(("runs", f"{results.runs:,}"))
    if missing := results.count(~results.finished):
        rows.append(("unfinished", f"{missing:,} of {results.runs:,} runs"))
    return html.pairs(rows)


def _leaders_table(results: Results, rows: pd.DataFrame) -> str:
    metrics = list(dict.fromkeys((results.headline, table.shown_metric(results))))
    several = [k for k in results.knobs if len(set(results.labels(k).tolist())) > 1]
    knobs = [k for k in several if k in rows]
    head = [*map(words, knobs), *map(words, metrics), "seeds", "diverged"]
    body = []
    for row in rows.to_dict("records"):
        cells = [text(row[k]) for k in knobs]
        if row["at_border"] and "learning_rate" in knobs:
            cells[knobs.index("learning_rate")] += " (border)"
        cells += [table.interval(row, m) for m in metrics]
        body.append([*cells, text(int(row["n"])), text(int(row["diverged"]))])
    return html.table(head, body)


def _ranking(results: Results, axis: str) -> str:
    """Each value of an axis, everything else at its best for it, against the best value.

    Differences of accuracies are in percentage points. Without "not separated" are those that hold
    for all rows together, and infinite ones, which need no test.
    """
    rows, metric = table.ranking(results, axis), table.shown_metric(results)
    fixed = {k for k in results.knobs if len(set(results.labels(k).tolist())) == 1}
    others = [k for k in results.knobs if k in rows and k != axis and k not in fixed]
    unit = " (points)" if in_percent(metric) else ""
    head = [words(axis), words(metric), f"difference to the best{unit}", *map(words, others)]
    body = []
    for place, row in enumerate(rows.head(ROWS).to_dict("records")):
        gap = table.limits(row["difference"], row["low"], row["high"], metric)
        gap = gap.replace(" %", "").replace("-", "\N{MINUS SIGN}")
        sure = ", not separated" * (isfinite(row["difference"]) and not row["p"] < ERROR)
        cells = [text(row[axis]), table.interval(row, metric), "–" if place == 0 else gap + sure]
        body.append([*cells, *(text(row[k]) for k in others)])
    return (
        f"<h3>By {escape(words(axis))}, all else at its best for each</h3>{html.table(head, body)}"
    )


def settings(results: Results) -> str:
    """What was fixed, and with what it was made: each thing once, in words."""
    swept = {k: v for k, v in results.settings.items() if k not in TOLD}
    made = {k: v for k, v in results.dataset.attrs.items() if k not in SPOKEN}
    rows = {words(str(k)): _in_words(v) for k, v in (swept | made).items()}
    return html.pairs(list(rows.items()))


def _in_words(value: Any) -> str:
    """A value of a settings file: lists with commas, tables as names and values."""
    if isinstance(value, Mapping):
        return ", ".join(f"{words(str(k))} {_in_words(v)}" for k, v in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(_in_words, value)) or "–"
    return text(value, 6)


def _pictured(page: Path) -> set[str]:
    """The names of the figures that a page of nnlab's shows."""
    written = page.read_text(encoding="utf-8") if is_page(page) else ""
    return html.pictured(written)


READING = (
    "Numbers are means over seeds at the last epoch; in brackets are 95 % Student intervals, "
    "one at a time; only what a ranking tells apart from its best row is so for all pairs of its "
    "rows together (Holm, 5 %). Choices are made on validation data and reported on test data "
    "where both were measured: the examples are fresh then, the trained networks are those that "
    "chose. Of many configs a lucky one is chosen, and the luck of a run shows in its validation "
    "and its test score alike; only fresh seeds say what a choice is worth (nnlab.confirm, "
    "--confirm 5). Differences are paired by seed, because runs of one seed share their random "
    "numbers. A diverged run has an infinite loss and keeps its recorded accuracy."
)
