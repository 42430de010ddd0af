"""What a sweep is, in words that a file can hold and a person can read."""

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from nnlab.errors import UsageError
from nnlab.lanes.devices import describe
from nnlab.lanes.planner import Shape
from nnlab.models.model import reads
from nnlab.sweeps.axes import CONFIG, label, words
from nnlab.sweeps.group import Group
from nnlab.sweeps.recipe import FORWARD
from nnlab.sweeps.recorded import LABELS, variables
from nnlab.sweeps.store import FORMAT

if TYPE_CHECKING:
    from nnlab.sweeps.sweep import Sweep


def describe_sweep(sweep: "Sweep", groups: Sequence[Group]) -> dict[str, Any]:
    """The contents of `sweep.json`.

    "sweep" identifies it: a directory continues only the same sweep. "chunks" is the plan it
    keeps. "cells" maps each cell to the run it shares; null when every cell has its own. "recorded"
    says what the axes of recorded arrays are. Raises UsageError for a recording whose name the
    results need.
    """
    axes = {name: [label(value) for value in values] for name, values in sweep.axes.items()}
    varied = {*sweep.axes, *sweep.axes.get(CONFIG, [{}])[0]}
    fixed = {k: label(v) for k, v in sweep.knobs.items() if k not in varied}
    read = frozenset().union(*(reads(group.recipes[0].model) for group in groups))
    cells = sweep.grid.cells.ravel()
    own = np.array_equal(cells, np.arange(cells.size))
    described = variables(sweep.recording, groups, sweep.data)
    for name in sorted(set(described) & {*varied, "seed", CONFIG, *LABELS}):
        raise UsageError(f"record {name} has the name of an axis of the results; rename it")
    recorded = {name: variable._asdict() for name, variable in described.items()}
    return {
        "format": FORMAT,
        "sweep": {
            "model": words(sweep.model),
            "data": sweep.data.name,
            "data description": sweep.data.description,
            "data fingerprint": sweep.data.fingerprint(),
            "axes": axes,
            **{k: v for k, v in fixed.items() if k in read or k not in FORWARD},
            **({"record": sweep.recording.labels} if sweep.recording.labels else {}),
        },
        "cells": None if own else cells.tolist(),
        "epochs": max(group.plan.epochs for group in groups),
        **({"recorded": recorded} if recorded else {}),
        "chunks": [
            {**group.shape._asdict(), "lanes": group.shape.lanes, "runs": group.runs}
            for group in groups
        ],
        "made with": {
            "nnlab": version("nnlab"),
            "jax": version("jax"),
            "jaxlib": version("jaxlib"),
            "optax": version("optax"),
            "numpy": version("numpy"),
            "python": platform.python_version(),
            "device": describe(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    }


def read_shapes(description: dict[str, Any]) -> list[Shape]:
    """The chunks that a description promises, group by group."""
    return [
        Shape(
            tuple(map(tuple, chunk["counts"])),
            chunk["config_chunks"],
            chunk["seeds"],
            chunk["seed_chunks"],
        )
        for chunk in description["chunks"]
    ]
