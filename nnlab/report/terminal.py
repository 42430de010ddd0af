"""Tables as a terminal shows them."""

from collections.abc import Sequence

import pandas as pd
from rich.markup import escape
from rich.table import Table

from nnlab.report.style import texts
from nnlab.report.table import spoken
from nnlab.sweeps.results import Results


def rows(table: pd.DataFrame, title: str, right: Sequence[str] = ()) -> Table:
    """A table of words; the columns in `right` end at the same place."""
    made = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in table.columns:
        made.add_column(escape(str(name)), justify="right" if name in right else "left")
    columns = [texts(table[name].tolist()) for name in table.columns]
    for row in zip(*columns, strict=True):
        made.add_row(*map(escape, row))
    return made


def crossed(results: Results, down: str, across: str, metric: str) -> pd.DataFrame:
    """Two axes crossed: the metric's mean with its interval in every cell, in words."""
    mean = results.mean(metric)
    columns: dict[str, list[str]] = {down: texts(results.labels(down).tolist())}
    names = texts(results.labels(across).tolist())
    for i, name in enumerate(names):
        cells = mean.isel({across: i})
        columns[name] = [spoken(cells.isel({down: j}), metric) for j in range(mean.sizes[down])]
    return pd.DataFrame(columns)
