"""What lanes take of a device's memory, and chunks on accelerators, which leave room for it."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from engine import blobs

import nnlab
from nnlab import UsageError
from nnlab.sweeps.footprint import footprint
from nnlab.sweeps.group import make_groups

RATES = list(np.geomspace(1e-4, 1e-1, 500))


def sweep_of(axes: dict, hidden=(8,), **knobs) -> nnlab.Sweep:
    knobs = {"batch_size": 20, "epochs": 1} | knobs
    return nnlab.Sweep(nnlab.models.mlp(list(hidden)), blobs(), axes, **knobs)


def test_a_lanes_footprint_is_its_parameters_and_what_its_backward_pass_keeps():
    """Of one example at least its inputs, its hidden outputs and their slopes; with batch, more."""

    def of(**knobs):
        sweep = sweep_of({"learning_rate": [0.1]}, hidden=(50,), **knobs)
        (group,) = sweep.groups()
        return footprint(group.recipes[0], group.for_tasks[0], sweep.data)

    (weights, small), (_, middle), (_, large) = (of(batch_size=n) for n in (20, 40, 60))
    assert weights == 4 * (5 * 50 + 50 + 50 * 3 + 3)
    assert large - middle == middle - small >= 20 * 4 * (5 + 50 + 50)
    assert of(batch_norm=True)[1] > small


class Accelerator(NamedTuple):
    """Of a device what a plan asks for."""

    memory: int
    platform: str = "gpu"

    def memory_stats(self) -> dict[str, int]:
        return {"bytes_limit": self.memory}


def on_accelerator(sweep, memory, lanes=None):
    device: Any = Accelerator(memory)
    (group,) = make_groups(sweep.grid.recipes, sweep.axes["seed"], sweep.data, [device], lanes)
    return group


def test_a_chunk_leaves_room_for_what_its_optimizers_remember():
    """L-BFGS keeps ten pairs of the weights' size, Adam two moments."""
    room = 2**24
    few, many = (
        on_accelerator(sweep_of({"learning_rate": RATES}, (50,), optimizer=name), room)
        for name in ("lbfgs", "sgd")
    )
    assert few.shape.lanes < many.shape.lanes / 2
    assert few.chunk_bytes < room / 2
    both = sweep_of({"optimizer": ["lbfgs", "sgd"], "learning_rate": RATES}, (50,))
    assert few.shape.lanes < on_accelerator(both, room).shape.lanes < many.shape.lanes
    with pytest.raises(UsageError, match=r"500 lanes of .* a device has .*; try fewer lanes"):
        on_accelerator(sweep_of({"learning_rate": RATES}, (50,), optimizer="lbfgs"), room, 500)


def test_a_chunk_leaves_room_for_an_evaluation():
    """By 1,000 examples at once, where a step takes 20."""

    def lanes(held_out):
        x = np.random.default_rng(0).normal(size=(100 + 2 * held_out, 5)).astype(np.float32)
        y = np.arange(len(x)) % 3
        data = nnlab.data.from_arrays(x, y, validation=held_out, test=held_out)
        axes = {"learning_rate": RATES}
        sweep = nnlab.Sweep(nnlab.models.mlp([50]), data, axes, batch_size=20)
        return on_accelerator(sweep, 2**25).shape.lanes

    assert lanes(2000) == lanes(1000) < lanes(20) / 3
