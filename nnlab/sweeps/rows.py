"""Results as rows: a row for each run, and for each config one, whatever cells share them."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr

if TYPE_CHECKING:
    from nnlab.sweeps.results import Results

RUN = "run"
"""The variable [axis, ...] that numbers distinct configs: cells of one number share their runs."""


class Table(xr.Dataset):
    """What `Results.best` found; as a DataFrame it has one row where every axis was chosen."""

    __slots__ = ()

    def to_dataframe(self, dim_order: Sequence[Hashable] | None = None) -> pd.DataFrame:
        """As xarray's, and one row of what has no dimensions."""
        if self.dims:
            return super().to_dataframe(dim_order)
        return self.expand_dims("row").to_dataframe().reset_index(drop=True)


def rows(results: "Results", found: xr.Dataset) -> pd.DataFrame:
    """A row for each cell of `found`, [axis, ..., more], numbered; one for cells of one run.

    There the axes that the run does not read are missing. Configs listed by hand keep a row each.
    """
    more = [name for name in found.dims if name not in results.axes]
    order, run = [*results.axes, *more], results.dataset.get(RUN)
    if run is None:
        return found.to_dataframe(order).reset_index()
    listed = [axis for axis in results.axes if axis == "config"]
    flags = {axis: f"reads {axis}" for axis in results.axes if axis not in listed}
    read = {flag: results.reads(axis).variable for axis, flag in flags.items()}
    table = found.assign({RUN: run.variable, **read}).to_dataframe(order).reset_index()
    for axis, flag in flags.items():
        table[axis] = table[axis].where(table.pop(flag))
    return table.drop_duplicates([RUN, *listed, *more]).drop(columns=RUN)
