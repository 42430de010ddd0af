"""Train the chunks that are not finished yet, one per device at a time.

A thread compiles, while initial weights are drawn and while the group before trains.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median
from typing import NamedTuple

import jax
import numpy as np

from nnlab.data.dataset import Dataset
from nnlab.errors import UsageError
from nnlab.lanes.cache import remember_speed
from nnlab.lanes.devices import memory, one_thread_each
from nnlab.lanes.program import Chunk, Program, on_all
from nnlab.lanes.rounds import IN_LINE, train_rounds
from nnlab.sweeps.arrays import program_data
from nnlab.sweeps.group import Group, refuse_too_large
from nnlab.sweeps.predict import fingerprint
from nnlab.sweeps.progress import Status, Watch, silent
from nnlab.sweeps.record import PREFIX
from nnlab.sweeps.starts import Starts
from nnlab.sweeps.store import Store
from nnlab.train.loop import Data, Record
from nnlab.types import Device

ELSEWHERE = "continue on fewer devices, or on the kind of device where it was begun"
"""What to do where a sweep's chunks, planned for another machine, are too large for this one."""
OF_TEST = "test_"
"""Before the names of what is measured on test data."""


def execute(
    groups: Sequence[Group],
    data: Dataset,
    store: Store,
    devices: Sequence[Device],
    watch: Watch | None = None,
    tested: bool = True,
) -> None:
    """Train every chunk that the store does not have, and keep each as it finishes.

    Unless it is to be `tested`, what was measured on test data is not kept. Raises UsageError where
    the devices cannot hold chunks that were begun elsewhere.
    """
    meter = Meter(groups, data, store, watch or silent)
    first = 0
    jobs: deque[tuple[Group, list[Work]]] = deque()
    for group in groups:
        work = [
            (first + i, *chunk)
            for i, chunk in enumerate(group.chunks())
            if not store.has(first + i)
        ]
        first += group.shape.chunks
        if work:
            refuse_too_large(group, memory(devices), ELSEWHERE)
            jobs.append((group, work))
    if not jobs:
        return
    arrays = on_all(devices, program_data(data))
    compiler = ThreadPoolExecutor(1, "compiler")
    coming: deque[tuple[Ready, Future]] = deque()

    def begin_next() -> None:
        if jobs:
            group, work = jobs.popleft()
            with memory_in_words(group, store):
                ready = trace(group, work, data, arrays, devices)
                compiled = compiler.submit(ready.program.compile)
                ready.chunks.extend(ready.stack(work[: len(devices)]))
            coming.append((ready, compiled))

    try:
        meter.show("compiling")
        begin_next()
        while coming:
            ready, compiled = coming.popleft()
            with memory_in_words(ready.group, store), one_thread_each(devices):
                meter.show("compiling")
                compiled.result()
                train_group(ready, data, store, meter, begin_next, tested)
    finally:
        compiler.shutdown(wait=False, cancel_futures=True)


@contextmanager
def memory_in_words(group: Group, store: Store) -> Iterator[None]:
    """Say what to do when a program does not fit in memory."""
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        lanes = group.shape.lanes
        half = min(lanes, group.together) // 2
        less = f"lanes={half} (--lanes)" if half else "a smaller batch_size or network"
        elsewhere = " in another directory: this one keeps its chunks" * store.begun
        raise UsageError(
            f"{lanes} lanes of {group.parameter_bytes / 2**20:,.1f} MiB each do not fit in memory; "
            f"try {less}{elsewhere}"
        ) from error


Work = tuple[int, int, int]
"""A chunk to train: its number in the sweep, config chunk, seed chunk."""


class Ready(NamedTuple):
    """A group whose program is traced; `chunks` are those of its first round, once drawn."""

    group: Group
    work: Sequence[Work]
    program: Program
    starts: Starts
    chunks: list[Chunk]

    def stack(self, round_: Sequence[Work]) -> list[Chunk]:
        """A chunk for every device; devices without work get a copy."""
        found = [self.group.chunk(config, seed, self.starts) for _, config, seed in round_]
        return found + found[-1:] * (len(self.program.devices) - len(found))


def trace(
    group: Group, work: Sequence[Work], data: Dataset, arrays: Data, devices: Sequence[Device]
) -> Ready:
    """Trace a group's program; `arrays` is the data on the devices."""
    program = Program(group.plan, group.layout(data), arrays, devices, group.together)
    starts = Starts(data, group.batch_norm)
    program.trace(group.outline(starts))
    return Ready(group, work, program, starts, [])


def train_group(
    ready: Ready,
    data: Dataset,
    store: Store,
    meter: "Meter",
    meanwhile: Callable[[], None],
    tested: bool,
) -> None:
    """Train a group's chunks, one per device side by side, and keep them.

    `meanwhile` is called once, while the first rounds train; `tested` as in `execute`.
    """
    group, work, program = ready.group, ready.work, ready.program
    width = len(program.devices)
    rounds = [work[i : i + width] for i in range(0, len(work), width)]

    def drawn() -> Iterator[list[Chunk]]:
        for i, round_ in enumerate(rounds):
            if i == IN_LINE:
                meanwhile()
            yield ready.stack(round_) if i else ready.chunks
        if len(rounds) <= IN_LINE:
            meanwhile()

    meter.show("training")
    times = []
    finished = train_rounds(program.place, program, drawn())
    for i, (round_, (record, seconds)) in enumerate(zip(rounds, finished, strict=True)):
        compiling = program.compile_seconds if i == 0 else 0.0
        for device, (number, config_chunk, seed_chunk) in enumerate(round_):
            one = jax.tree.map(lambda a, d=device: a[d], record)
            found = chunk_arrays(group, config_chunk, seed_chunk, one)
            arrays = {k: a for k, a in found if tested or not k.startswith(OF_TEST)}
            arrays |= dict(group.recording.targets(data))
            arrays["seconds"] = np.asarray(seconds / len(round_))
            arrays["compile_seconds"] = np.asarray(compiling / len(round_))
            store.write(number, arrays)
            meter.add(arrays["recipe"].size * arrays["seed"].size, group.steps(data))
        meter.tick(seconds)
        times.append(seconds)
    lane_steps = width * group.shape.lanes * group.steps(data)
    remember_speed(fingerprint(group, data), lane_steps / median(times))


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
    histories |= {f"train_{name}": v for name, v in record.fit.items() if name != "loss"}
    histories |= record.watched
    for name, values in histories.items():
        yield name, np.moveaxis(np.asarray(values)[kept][..., keep], 1, -1)
    once = {f"test_{name}": values for name, values in record.test.items()}
    once |= {f"start_{name}": values for name, values in record.begun.items()}
    for name, values in once.items():
        yield name, np.asarray(values)[kept][..., keep]
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
