"""The programs that are timed beside each other, one file each.

A peer is a module with two functions, called in a process of its own:

    variants(work) -> tuple            what it tries (lane counts, say); its best one counts
    prepare(work, inputs, variant)     -> Prepared

Their time starts with `prepare`; `inputs` are ready before it.
"""

from collections.abc import Callable
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from benchmarks.inputs import Inputs
from benchmarks.workloads import Losses, Workload

MOST_PROGRAMS = 24
"""A peer that cannot mix leaves out workloads that would cost it more programs than that."""


class Prepared(NamedTuple):
    """A peer that is ready to train."""

    run: Callable[[], Any]
    """Train every config from its start; returns when the losses are numpy arrays."""
    compile_seconds: Callable[[], float]
    """What tracing and compilation took, known after the first run."""
    configs: tuple[int, ...]
    """Which of the workload's configs it trains."""
    lanes: str
    """How many runs train together, in words."""
    device: str
    own_noise: bool = False
    """Whether it draws its dropout masks itself, so that only means over configs can agree."""
    retrain: Callable[[Inputs], Losses] | None = None
    """Train again from other weights, with what is compiled: a reference's twins."""


def homogeneous(work: Workload) -> list[list[int]]:
    """The configs that one unmixed program can train: equal activation and optimizer."""

    def kind(i: int) -> tuple[str, str]:
        return work.configs[i].activation, work.configs[i].optimizer

    return [list(g) for _, g in groupby(sorted(range(len(work.configs)), key=kind), key=kind)]


def cut(members: list[int], lanes: int) -> list[list[int]]:
    """The configs of each call of a program with so many lanes."""
    lanes = min(lanes, len(members))
    if len(members) % lanes:
        raise ValueError(f"{lanes} lanes do not divide {len(members)} configs")
    return [members[i : i + lanes] for i in range(0, len(members), lanes)]


def some(work: Workload, among: list[int] | None = None) -> list[int]:
    """A few configs, evenly spread: enough for a peer that trains one run at a time."""
    known = list(range(len(work.configs))) if among is None else among
    places = np.linspace(0, len(known) - 1, min(work.alone, len(known)))
    return [known[i] for i in np.unique(places.round().astype(int))]


def gather(pieces: list[Any], configs: list[int]) -> Losses:
    """Records [lanes, ...] of these configs, one after the other, in the workload's order."""
    order = np.argsort(configs)
    columns = zip(*pieces, strict=True)
    return Losses(*(np.concatenate([np.asarray(a) for a in column])[order] for column in columns))
