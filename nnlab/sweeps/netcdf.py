"""Results as NetCDF files, which xarray and many other programs read."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nnlab.errors import UsageError
from nnlab.files import replacing, writing_into

RECORDED = "recorded"
"""The group of a file that holds what was recorded."""
ENGINE = "h5netcdf"
SWITCH = "switch"
"""The attribute of a coordinate of switches."""


def write(path: Path, dataset: xr.Dataset, recorded: xr.Dataset) -> None:
    """Write one compressed file, replaced in one move; UsageError where that cannot be."""
    plain = dataset.assign_attrs({k: attribute(v) for k, v in dataset.attrs.items()})
    plain = switches_kept(plain)
    with writing_into(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft:
            plain.to_netcdf(draft, engine=ENGINE, encoding=compressed(plain))
            if recorded.data_vars:
                encoding = compressed(recorded)
                recorded.to_netcdf(draft, "a", group=RECORDED, engine=ENGINE, encoding=encoding)


def read(path: Path) -> tuple[xr.Dataset, xr.Dataset]:
    """The (dataset, recorded) of a file; a folder stands for the results.nc in it."""
    path = path / "results.nc" if path.is_dir() else path
    if not path.exists():
        hint = "give a file that Results.save wrote"
        if (path.parent / "sweep.json").exists():
            hint = f"nnlab.load({str(path.parent)!r}) reads a sweep's directory"
        raise UsageError(f"there is no {path}; {hint}")
    try:
        parts = xr.open_groups(path, engine=ENGINE)
        with parts["/"] as dataset, parts.get(f"/{RECORDED}", xr.Dataset()) as recorded:
            return switches_restored(words_restored(dataset.load())), recorded.load()
    except OSError as error:
        raise UsageError(f"{path} is not a NetCDF file that nnlab wrote") from error


def words_restored(dataset: xr.Dataset) -> xr.Dataset:
    """Missing words as missing: a file holds them as words without letters."""
    missing = {
        name: coordinate.astype(object).where(coordinate != "", None)
        for name, coordinate in dataset.coords.items()
        if coordinate.dtype.kind in "OUT" and bool((coordinate == "").any())
    }
    return dataset.assign_coords(missing)


def switches_kept(dataset: xr.Dataset) -> xr.Dataset:
    """Switches of which some are missing as small numbers, and a note: NetCDF knows no third state.

    Without it xarray makes numbers of them that nobody can tell from real ones.
    """
    kept = {}
    for name, coordinate in dataset.coords.items():
        values = coordinate.values.ravel()
        kinds = {type(value) for value in values if not pd.isna(value)}
        if coordinate.dtype == object and kinds and kinds <= {bool, np.bool_}:
            numbers = np.array([-1 if pd.isna(v) else v for v in values], np.int8)
            own = coordinate.copy(data=numbers.reshape(coordinate.shape))
            kept[name] = own.assign_attrs({SWITCH: "1 is on, 0 is off, -1 is missing"})
    return dataset.assign_coords(kept)


def switches_restored(dataset: xr.Dataset) -> xr.Dataset:
    """What `switches_kept` wrote as it was."""
    found = {}
    for name, coordinate in dataset.coords.items():
        if SWITCH in coordinate.attrs:
            own = coordinate.drop_attrs()
            found[name] = (own == 1).astype(object).where(own >= 0, None)
    return dataset.assign_coords(found)


def compressed(dataset: xr.Dataset) -> dict[Any, dict[str, Any]]:
    """How NetCDF stores each variable."""
    return {name: {"zlib": True, "complevel": 4} for name in dataset.data_vars}


def attribute(value: Any) -> Any:
    """A value that NetCDF can store: numbers and strings as they are, the rest as text."""
    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return value if plain else str(value)
