"""Tables as a terminal shows them."""

from collections.abc import Sequence

import pandas as pd
from rich.markup import escape
from rich.table import Table

from nnlab.report.style import text
from nnlab.report.table import spoken
from nnlab.sweeps.results import Results


def rows(table: pd.DataFrame, title: str, right: Sequence[str] = ()) -> Table:
    """A table of words; the columns in `right` end at the same place."""
    made = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in table.columns:
        made.add_column(escape(str(name)), justify="right" if name in right else "left")
    for row in table.itertuples(index=False):
        made.add_row(*(escape(text(cell)) for cell in row))
    return made


def crossed(results: Results, down: str, across: str, metric: str) -> pd.DataFrame:
    """Two axes crossed: the metric's mean with its interval in every cell, in words."""
    mean = results.mean(metric)
    columns: dict[str, list[str]] = {down: [text(label) for label in results.labels(down)]}
    for label in results.labels(across):
        cells = mean.sel({across: label})
        columns[text(label)] = [
            spoken(cells.isel({down: i}), metric) for i in range(mean.sizes[down])
        ]
    return pd.DataFrame(columns)
