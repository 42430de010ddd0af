"""From finished chunks to labelled data sets."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from nnlab.errors import UsageError
from nnlab.models.signals import EDGES, PERCENTILES
from nnlab.sweeps.axes import CONFIG
from nnlab.sweeps.choosing import where
from nnlab.sweeps.record import PREFIX, TARGETS
from nnlab.sweeps.record_shapes import rooms
from nnlab.sweeps.results import CONSTANT, RUN, Results
from nnlab.sweeps.store import JUDGED_BY, Store

MIDDLES = np.round((EDGES[1:] + EDGES[:-1]) / 2, 6)


def assemble(description: dict[str, Any], store: Store) -> Results:
    """The results of a sweep; a run that is not finished is NaN, its `diverged_at` -1."""
    axes = dict(description["sweep"]["axes"])
    seeds = axes.pop("seed")
    sizes = [len(values) for values in axes.values()]
    cells = description["cells"]
    cells = np.arange(int(np.prod(sizes))) if cells is None else np.array(cells)
    recipes, epochs = int(cells.max()) + 1, description["epochs"]
    described = description.get("recorded", {})
    room, targets = rooms(described), {}
    arrays: dict[str, np.ndarray] = {}
    seconds = {"seconds": 0.0, "compile_seconds": 0.0}
    trained = np.zeros((recipes, len(seeds)), np.int64)
    for chunk in range(sum(c["config_chunks"] * c["seed_chunks"] for c in description["chunks"])):
        if not store.has(chunk):
            continue
        found = store.read(chunk)
        for name in seconds:
            seconds[name] += float(found.pop(name))
        rows = np.array([seeds.index(seed) for seed in found.pop("seed").tolist()])
        columns = found.pop("recipe")
        trained[np.ix_(columns, rows)] = found["train_loss"].shape[2]
        for name in [name for name in found if name.startswith(TARGETS)]:
            targets[name.removeprefix(TARGETS)] = found.pop(name)
        for name, values in found.items():
            own = room.get(name, (epochs,)[: values.ndim - 2])
            whole = arrays.setdefault(name, missing(recipes, len(seeds), *own))
            inside = tuple(map(slice, map(min, own, values.shape[2:])))
            within = np.swapaxes(values, 0, 1)[:, :, *inside]
            whole[(*np.ix_(columns, rows), *inside)] = within
    if not arrays:
        raise UsageError("no chunk of this sweep is finished yet; run the sweep again to train it")
    for name, own in room.items():
        arrays.setdefault(name, missing(recipes, len(seeds), *own))
    dims = (*axes, "seed")
    diverged = diverged_at(arrays, trained)[cells].reshape(*sizes, len(seeds))
    grids = {name: a[cells].reshape(*sizes, *a.shape[1:]) for name, a in arrays.items()}
    variables = {
        name: ((*dims, "epoch")[: values.ndim], values)
        for name, values in grids.items()
        if name not in room
    }
    labels = {**coordinates(axes, description.get("unread", {})), "seed": seeds}
    shared = {} if description["cells"] is None else {RUN: (tuple(axes), cells.reshape(sizes))}
    dataset = xr.Dataset(
        {**variables, "diverged_at": (dims, diverged), **shared},
        {**labels, "epoch": np.arange(1, epochs + 1)},
        attributes(description, seconds),
    )
    return Results(dataset, labelled(described, grids, targets, dims, labels))


def missing(*shape: int) -> np.ndarray:
    """An array of this shape for what is not there yet."""
    return np.full(shape, np.nan, np.float32)


def coordinates(axes: Mapping[str, Any], unread: Mapping[str, Collection[int]]) -> dict[str, Any]:
    """The labels of each axis; along "config" the values of every knob that its configs set.

    `unread` holds for a knob the places of configs that do not read it: there it is missing.
    """
    found = {name: values for name, values in axes.items() if name != CONFIG}
    configs = axes.get(CONFIG, [])
    if configs:
        found[CONFIG] = np.arange(len(configs))
        for knob in configs[0]:
            values = xr.DataArray([config[knob] for config in configs], dims=CONFIG)
            read = ~np.isin(found[CONFIG], list(unread.get(knob, ())))
            found[knob] = where(xr.DataArray(read, dims=CONFIG), values)
    return found


def diverged_at(arrays: dict[str, np.ndarray], trained: np.ndarray) -> np.ndarray:
    """The first epoch, from 1, with a non-finite loss; 0 for never, -1 for a run not finished.

    `trained` [recipes, seeds] counts each run's epochs; what lies beyond them is no divergence.
    """
    finite = np.isfinite(arrays["train_loss"]) & np.isfinite(arrays["val_loss"])
    finite |= np.arange(finite.shape[-1]) >= trained[..., None]
    first = np.where(finite.all(-1), 0, 1 + np.argmin(finite, -1))
    return np.where(trained > 0, first, -1).astype(np.int32)


def attributes(description: dict[str, Any], seconds: dict[str, float]) -> dict[str, Any]:
    """What the results say about themselves."""
    sweep = description["sweep"]
    return {
        "model": sweep["model"],
        "data": sweep["data"],
        "data_description": sweep["data description"],
        "sweep": json.dumps(sweep),
        **{f"{CONSTANT}{k}": v for k, v in description.get("constant", {}).items()},
        **({JUDGED_BY: description[JUDGED_BY]} if JUDGED_BY in description else {}),
        "train_seconds": round(seconds["seconds"], 3),
        "compile_seconds": round(seconds["compile_seconds"], 3),
        **made_with(description),
    }


def made_with(description: dict[str, Any]) -> dict[str, str]:
    """Versions and device, of a sweep that went on with others all of them in order."""
    parts = [description["made with"], *description.get("continued with", [])]
    return {
        what.replace(" ", "_"): ", then ".join(dict.fromkeys(p[what] for p in parts if what in p))
        for what in parts[0]
    }


def labelled(
    described: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    targets: Mapping[str, np.ndarray],
    dims: Sequence[str],
    coordinates: Mapping[str, Any],
) -> xr.Dataset:
    """Recorded arrays [axes..., seed, own axes...] with the labels of all their axes.

    Here the epoch counts from 0, the start. Beside kept outputs stand their targets.
    """
    found: dict[str, Any] = {
        name: ((*dims, *v["dims"]), arrays[f"{PREFIX}{name}"]) for name, v in described.items()
    }
    sizes = {d: n for v in described.values() for d, n in zip(v["dims"], v["shape"], strict=True)}
    labels = {
        "epoch": range(sizes.get("epoch", 0)),
        "layer": range(1, sizes.get("layer", 0) + 1),
        "percentile": PERCENTILES,
        "value": MIDDLES,
    }
    own = {d: np.asarray(labels[d]) for d in sizes if d in labels}
    for name, y in targets.items():
        rest = tuple(f"{name}_target_{i}" for i in range(1, y.ndim))
        found[f"{name}_targets"] = ((f"{name}_example", *rest), y)
    return xr.Dataset(found, {**coordinates, **own}) if found else xr.Dataset()
