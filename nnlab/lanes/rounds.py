"""Rounds in line: while one trains the next is ready on the devices, so that none stands idle.

A round is a chunk for every device. The next begins as soon as the devices are done with it: none
waits for the host to collect and keep what is finished.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np

from nnlab.lanes.program import Chunk
from nnlab.train.loop import Record

IN_LINE = 2
"""Rounds started and not finished; more would only hold memory."""


class Finished(NamedTuple):
    """A round that has been trained."""

    record: Record
    """Leaves are numpy arrays [devices, seeds, ..., lanes]."""
    seconds: float
    """From the end of the round before, or the start of the first, to its own end."""


def train_rounds(
    place: Callable[[Sequence[Chunk]], Chunk],
    train: Callable[[Chunk], Record],
    rounds: Iterable[Sequence[Chunk]],
) -> Iterator[Finished]:
    """Place and train every round, as a `Program` does; yield each in order once it is finished.

    `rounds` is asked for a round's chunks while the two before are in line. Whoever waits here can
    be interrupted at any time: what blocks is left to threads, as are the rounds in line then. One
    places rounds on the devices, one starts them, one waits for them, so that a round's time does
    not depend on when it is asked for.
    """
    placer, starter, waiter = (ThreadPoolExecutor(1, does) for does in ("place", "start", "wait"))
    line: deque[Future[tuple[Record, float]]] = deque()
    began = time.perf_counter()

    def finish() -> Finished:
        nonlocal began
        record, ended = line.popleft().result()
        seconds, began = ended - began, ended
        return Finished(record, seconds)

    try:
        for chunks in rounds:
            if len(line) == IN_LINE:
                yield finish()
            placed = placer.submit(place, chunks)
            started = starter.submit(lambda placed=placed: train(placed.result()))
            line.append(waiter.submit(wait, started))
        while line:
            yield finish()
    finally:
        for threads in (placer, starter, waiter):
            threads.shutdown(wait=False, cancel_futures=True)


def wait(started: Future[Record]) -> tuple[Record, float]:
    """A started round's record as numpy arrays, and when it was there."""
    record = jax.tree.map(np.asarray, started.result())
    return record, time.perf_counter()
