"""Rounds in line: while one trains the next is already started, so that no device stands idle.

A round is a chunk for every device. A device that is done with its chunk begins the next round's at
once: it waits neither for the slower devices nor for the host to collect and keep what is finished.
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
    """Since the round before was finished, or since the first was started."""


def train_rounds(
    program: Callable[[Sequence[Chunk]], Record], rounds: Iterable[Sequence[Chunk]]
) -> Iterator[Finished]:
    """Train every round with a `Program`, and yield each in order once it is finished.

    `rounds` is asked for a round's chunks while the two before are in line. Whoever waits here can
    be interrupted at any time: what blocks is left to a thread, as are the rounds in line then.
    """
    thread = ThreadPoolExecutor(1, "rounds")
    line: deque[Future[Record]] = deque()
    began = time.perf_counter()

    def finish() -> Finished:
        nonlocal began
        record = thread.submit(arrays, line.popleft()).result()
        ended = time.perf_counter()
        seconds, began = ended - began, ended
        return Finished(record, seconds)

    try:
        for chunks in rounds:
            if len(line) == IN_LINE:
                yield finish()
            line.append(thread.submit(program, chunks))
        while line:
            yield finish()
    finally:
        thread.shutdown(wait=False, cancel_futures=True)


def arrays(started: Future[Record]) -> Record:
    """Wait for a started round."""
    return jax.tree.map(np.asarray, started.result())
