"""What a sweep is, in words that a file can hold and a person can read."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from nnlab.errors import UsageError
from nnlab.lanes.devices import describe
from nnlab.lanes.planner import Shape
from nnlab.models.model import reads
from nnlab.sweeps.axes import CONFIG
from nnlab.sweeps.choices import Choice, parse
from nnlab.sweeps.group import Group
from nnlab.sweeps.identity import identity
from nnlab.sweeps.labels import label, words
from nnlab.sweeps.metrics import METRIC
from nnlab.sweeps.recipe import FORWARD
from nnlab.sweeps.record_shapes import LABELS, variables
from nnlab.sweeps.store import FORMAT

if TYPE_CHECKING:
    from nnlab.sweeps.sweep import Sweep


def describe_sweep(sweep: "Sweep", groups: Sequence[Group]) -> dict[str, Any]:
    """The contents of `sweep.json`.

    "sweep" identifies it: a directory continues only the same sweep; "functions" tells apart what
    has the same name. "chunks" is the plan it keeps. "cells" maps each cell to the run it shares;
    null when every cell has its own. "constant" is what one answer for all examples scores.
    "recorded" says what the axes of recorded arrays are. Raises UsageError for a recording whose
    name the results need.
    """
    cells = sweep.grid.cells.ravel()
    own = np.array_equal(cells, np.arange(cells.size))
    described = variables(sweep.recording, groups, sweep.data)
    if taken := sorted(set(described) & {*varied(sweep), "seed", CONFIG, *LABELS}):
        raise UsageError(f"record {taken[0]} has the name of an axis of the results; rename it")
    recorded = {name: variable._asdict() for name, variable in described.items()}
    return {
        "format": FORMAT,
        "sweep": settings(sweep),
        "cells": None if own else cells.tolist(),
        "epochs": max(group.plan.epochs for group in groups),
        "constant": sweep.data.constant(),
        **({"recorded": recorded} if recorded else {}),
        "chunks": [
            {**g.shape._asdict(), "lanes": g.shape.lanes, "at_a_time": g.together, "runs": g.runs}
            for g in groups
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


def varied(sweep: "Sweep") -> set[str]:
    """The names of all that varies."""
    return {*sweep.axes, *sweep.axes.get(CONFIG, [{}])[0]}


def settings(sweep: "Sweep") -> dict[str, Any]:
    """What identifies a sweep."""
    axes = {name: [label(value) for value in values] for name, values in sweep.axes.items()}
    fixed = {k: label(v) for k, v in sweep.knobs.items() if k not in varied(sweep)}
    models = {id(recipe.model): recipe.model for recipe in sweep.grid.recipes}
    read = frozenset().union(*map(reads, models.values()))
    return {
        "model": words(sweep.model),
        "data": sweep.data.name,
        "data description": sweep.data.description,
        "data fingerprint": sweep.data.fingerprint(),
        "axes": axes,
        "functions": functions(sweep),
        **{k: v for k, v in fixed.items() if k in read or k not in FORWARD},
        **({"record": sweep.recording.labels} if sweep.recording.labels else {}),
    }


def functions(sweep: "Sweep") -> dict[str, str]:
    """By what they are for, the identities of the model and of what a label does not tell all."""
    found: dict[str, str] = {}
    for what, which in own_parts(sweep):
        found[what] = f"{found[what]} {which}" if what in found else which
    return found


def own_parts(sweep: "Sweep") -> Iterator[tuple[str, str]]:
    """(what it is for, identity) of each; configs may hold several of one name."""
    yield "model", identity(sweep.model)
    values = [(knob, value) for knob, listed in sweep.axes.items() for value in listed]
    values += [(knob, sweep.knobs[knob]) for knob in sweep.given]
    for config in sweep.axes.get(CONFIG, []):
        values += config.items()
    for knob, choice in dict.fromkeys((k, v) for k, v in values if isinstance(v, Choice)):
        if not says_all(knob, choice):
            yield f"{knob} {choice.label}", identity(choice)
    for knob, value in values:
        if not isinstance(value, Choice | bool | int | float | str | tuple | Mapping):
            yield f"{knob} {label(value)}", identity(value)
    for name, function in sweep.recording.functions:
        yield f"record {name}", identity(function)
    for choice in sweep.recording.metrics:
        if not says_all(METRIC, choice):
            yield f"metric {choice.label}", identity(choice)


def says_all(knob: str, choice: Choice) -> bool:
    """Whether a label, read as nnlab reads names, gives the same choice."""
    try:
        return parse(knob, choice.label) == choice
    except UsageError:
        return False


def as_begun(groups: Sequence[Group], description: dict[str, Any]) -> list[Group]:
    """The groups in the chunks and blocks that a description promises: the same programs.

    Descriptions of before the end of November 2026 say "together", the lanes of one seed.
    """
    found = []
    for group, chunk in zip(groups, description["chunks"], strict=True):
        shape = Shape(
            tuple(map(tuple, chunk["counts"])),
            chunk["config_chunks"],
            chunk["seeds"],
            chunk["seed_chunks"],
        )
        of_a_seed = chunk.get("together")
        before = group.together if of_a_seed is None else of_a_seed * shape.seeds
        found.append(replace(group, shape=shape, together=chunk.get("at_a_time", before)))
    return found
