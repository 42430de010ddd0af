"""How long a sweep will take on this machine: measured on a few steps, and remembered."""

import hashlib
from collections.abc import Sequence
from math import ceil
from statistics import median
from typing import NamedTuple

import jax

from nnlab.data.dataset import Dataset
from nnlab.lanes.cache import remember_speed, speeds
from nnlab.lanes.devices import describe, one_thread_each, processor
from nnlab.lanes.program import Program, on_all
from nnlab.lanes.rounds import train_rounds
from nnlab.sweeps.arrays import program_data
from nnlab.sweeps.group import Group
from nnlab.sweeps.identity import identity
from nnlab.sweeps.starts import Starts
from nnlab.train.loop import Data
from nnlab.types import Device

STEPS = 24
"""Steps of a probe: enough to outweigh what happens once a run."""
REPEATS = 5


class Prediction(NamedTuple):
    """What is expected before anything is trained, in seconds."""

    training: float
    compiling: float
    """As long as the probes took to compile; 0 for programs that have run here before."""


def predict(groups: Sequence[Group], data: Dataset, devices: Sequence[Device]) -> Prediction:
    """Sums over the groups: rounds of chunks x steps x lanes / (lane-steps per second).

    A group's speed is the one remembered on this machine, from a run or a probe, or is probed now.
    """
    training = compiling = 0.0
    known = speeds()
    for group in groups:
        rate = known.get(fingerprint(group, data))
        if rate is None:
            rate, seconds = probe(group, data, devices)
            remember_speed(fingerprint(group, data), rate)
            compiling += seconds
        rounds = ceil(group.shape.chunks / len(devices))
        lanes = rounds * len(devices) * group.shape.lanes
        training += lanes * group.steps(data) / rate
    return Prediction(training, compiling)


def fingerprint(group: Group, data: Dataset) -> str:
    """What decides a group's speed: its program, the data's sizes, the devices and jax.

    Functions are told apart by what they compute: two may have one name.
    """
    kinds = {(r.task, r.rule, r.schedule) for r in group.recipes}
    facts = (
        identity(group.recipes[0].model), group.plan.batch_size, group.plan.precision,
        sorted(map(identity, kinds)), group.shape.counts, group.shape.seeds, group.in_turn,
        group.together, identity(group.recording), sorted(group.for_tasks[0]), data.shape,
        str(data.train.x.dtype), *(len(part.y) for part in (data.train, data.valid, data.test)),
        describe(), processor(), jax.__version__,
    )  # fmt: skip
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def probe(group: Group, data: Dataset, devices: Sequence[Device]) -> tuple[float, float]:
    """(lane-steps per second, seconds to compile) of a group's program on a part of an epoch."""
    arrays = shortened(program_data(data), group.plan.batch_size)
    plan = group.plan._replace(epochs=1)
    program = Program(plan, group.layout(data), on_all(devices, arrays), devices, group.together)
    chunks = [group.chunk(0, 0, Starts(data, group.batch_norm))] * len(devices)
    program.trace(chunks[0])
    program.compile()
    rounds = [chunks] * (REPEATS + 1)
    with one_thread_each(devices):  # in line, as training has it
        times = [done.seconds for done in train_rounds(program.place, program, rounds)]
    # the first touches its memory for the first time
    steps = arrays.y.shape[0] // plan.batch_size
    return len(devices) * group.shape.lanes * steps / median(times[1:]), program.compile_seconds


def shortened(data: Data, batch_size: int) -> Data:
    """An epoch cut to a few steps, and its validation to the same share; one test example."""
    steps = data.y.shape[0] // batch_size
    rows = batch_size * min(steps, STEPS)
    share = min(1.0, STEPS / steps)

    def part(examples, share):
        size = max(1, round(share * examples.weight.shape[1]))
        return jax.tree.map(lambda a: a[:, :size], examples)

    return data._replace(
        x=data.x[:rows],
        y=data.y[:rows],
        valid=part(data.valid, share),
        test=jax.tree.map(lambda a: a[:1, :1], data.test),
    )
