"""Train the chunks that are not finished yet, one per device at a time."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import jax
import numpy as np

from nnlab.data.dataset import Dataset
from nnlab.errors import UsageError
from nnlab.lanes.program import Program
from nnlab.sweeps.arrays import program_data
from nnlab.sweeps.group import Group
from nnlab.sweeps.progress import Status, Watch, silent
from nnlab.sweeps.record import PREFIX
from nnlab.sweeps.starts import Starts
from nnlab.sweeps.store import Store
from nnlab.train.loop import Record
from nnlab.types import Device


def execute(
    groups: Sequence[Group],
    data: Dataset,
    store: Store,
    devices: Sequence[Device],
    watch: Watch | None = None,
) -> None:
    """Train every chunk that the store does not have, and keep each as it finishes."""
    meter = Meter(groups, data, store, watch or silent)
    first = 0
    for group in groups:
        work = [
            (first + i, *chunk)
            for i, chunk in enumerate(group.chunks())
            if not store.has(first + i)
        ]
        first += group.shape.chunks
        if work:
            with memory_in_words(group):
                train_group(group, work, data, store, devices, meter)


@contextmanager
def memory_in_words(group: Group) -> Iterator[None]:
    """Say what to do when a program does not fit in memory."""
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        lanes = group.shape.lanes
        less = f"lanes={lanes // 2} (--lanes)" if lanes > 1 else "a smaller batch_size or network"
        raise UsageError(
            f"{lanes} lanes of {group.parameter_bytes / 2**20:,.1f} MiB each do not fit in memory; "
            f"finished chunks are kept; try {less}"
        ) from error


Work = tuple[int, int, int]
"""A chunk to train: its number in the sweep, config chunk, seed chunk."""


def train_group(
    group: Group,
    work: Sequence[Work],
    data: Dataset,
    store: Store,
    devices: Sequence[Device],
    meter: "Meter",
) -> None:
    """Compile a group's program and train its chunks, one per device side by side."""
    meter.show("compiling")
    program = Program(group.plan, group.layout(data), program_data(data), devices)
    starts = Starts(data, group.batch_norm)

    def prepare(round_: Sequence[Work]):
        chunks = [group.chunk(config, seed, starts) for _, config, seed in round_]
        return chunks + chunks[-1:] * (len(devices) - len(chunks))

    rounds = [work[i : i + len(devices)] for i in range(0, len(work), len(devices))]
    ready = prepare(rounds[0])
    for i, round_ in enumerate(rounds):
        began = time.perf_counter()
        compiled_before = program.compile_seconds
        running = program(ready)
        compiling = program.compile_seconds - compiled_before
        meter.show("training")
        if i + 1 < len(rounds):
            ready = prepare(rounds[i + 1])
        wait(running)
        seconds = time.perf_counter() - began - compiling
        record = jax.tree.map(np.asarray, running)
        for device, (number, config_chunk, seed_chunk) in enumerate(round_):
            one = jax.tree.map(lambda a, d=device: a[d], record)
            arrays = dict(chunk_arrays(group, config_chunk, seed_chunk, one))
            arrays |= dict(group.recording.targets(data))
            arrays["seconds"] = np.asarray(seconds / len(round_))
            arrays["compile_seconds"] = np.asarray(compiling / len(round_))
            store.write(number, arrays)
            meter.add(arrays["recipe"].size * arrays["seed"].size, group.steps(data))
        meter.tick(seconds)


def wait(record: Record) -> None:
    """Wait for a running program, so that Ctrl-C is heard at once."""
    while not all(leaf.is_ready() for leaf in jax.tree.leaves(record)):
        time.sleep(0.01)


def chunk_arrays(
    group: Group, config_chunk: int, seed_chunk: int, record: Record
) -> Iterator[tuple[str, np.ndarray]]:
    """A finished chunk as labelled arrays [seed, recipe(, epoch)(, ...)], copies left out."""
    lanes, seeds = group.lanes_of(config_chunk), group.seeds_of(seed_chunk)
    keep = np.array([not place.copy for place in lanes])
    kept = np.array([not place.copy for place in seeds])
    yield "recipe", np.array([group.ids[place.position] for place in lanes])[keep]
    yield "seed", np.array([group.seeds[place.position] for place in seeds])[kept]
    histories = {"train_loss": record.train_loss}
    histories |= {f"val_{name}": values for name, values in record.valid.items()}
    for name, values in histories.items():
        yield name, np.moveaxis(np.asarray(values)[kept][..., keep], 1, -1)
    for name, values in record.test.items():
        yield f"test_{name}", np.asarray(values)[kept][..., keep]
    for name, values in record.observed.items():
        yield f"{PREFIX}{name}", np.moveaxis(np.asarray(values)[kept], 2, 1)[:, keep]
    for name, values in record.outputs.items():
        yield f"{PREFIX}{name}_outputs", np.asarray(values)[kept][:, keep]


class Meter:
    """Counts finished work and reports it."""

    def __init__(self, groups: Sequence[Group], data: Dataset, store: Store, watch: Watch):
        self._watch = watch
        self._runs = sum(group.runs for group in groups)
        self._steps = sum(group.runs * group.steps(data) for group in groups)
        self._done = self._steps_done = self._steps_now = 0
        self._seconds = 0.0
        first = 0
        for group in groups:
            for i, (config_chunk, seed_chunk) in enumerate(group.chunks()):
                if store.has(first + i):
                    runs = sum(not p.copy for p in group.lanes_of(config_chunk))
                    runs *= sum(not p.copy for p in group.seeds_of(seed_chunk))
                    self._done += runs
                    self._steps_done += runs * group.steps(data)
            first += group.shape.chunks

    def add(self, runs: int, steps: int) -> None:
        """Some runs have finished."""
        self._done += runs
        self._steps_done += runs * steps
        self._steps_now += runs * steps

    def tick(self, seconds: float) -> None:
        """A round of chunks took so long."""
        self._seconds += seconds
        self.show("training" if self._done < self._runs else "done")

    def show(self, doing: str) -> None:
        """Report where the sweep stands."""
        rate = self._steps_now / self._seconds if self._seconds else 0.0
        left = (self._steps - self._steps_done) / rate if rate else float("inf")
        self._watch(Status(self._done, self._runs, rate, left, doing))
