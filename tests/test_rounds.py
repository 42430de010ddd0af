"""Rounds in line: two are started, all come back in order, and waiting can be interrupted."""

import os
import signal
import threading
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest

from nnlab.lanes.rounds import IN_LINE, train_rounds
from nnlab.train.loop import Record

PATIENCE = 30.0


class Pending:
    """An array that a device still computes."""

    def __init__(self, value: float, ready: threading.Event):
        self.value, self.ready = value, ready

    def __array__(self, dtype=None, copy=None):
        assert self.ready.wait(PATIENCE)
        return np.asarray(self.value, dtype)


class Device:
    """In place of a compiled program: what is started waits to be let go."""

    def __init__(self, *broken: int):
        self.started: list[int] = []
        self.placed: list[int] = []
        self.drawn: list[int] = []
        self.broken = broken
        self.ready = [threading.Event() for _ in range(5)]

    def rounds(self):
        for number in range(len(self.ready)):
            self.drawn.append(number)
            yield [number]

    def place(self, chunks: list[int]) -> int:
        (number,) = chunks
        self.placed.append(number)
        return number

    def __call__(self, number: int) -> Record:
        if number in self.broken:
            raise MemoryError(number)
        self.started.append(number)
        loss: Any = Pending(number, self.ready[number])
        return Record(loss, {}, {}, {}, {}, {}, {}, {})

    def train(self) -> Any:
        rounds: Any = self.rounds()
        place: Any = self.place
        return train_rounds(place, self, rounds)

    def all_ready(self) -> None:
        for event in self.ready:
            event.set()


def await_(reached: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not reached():
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.001)


def test_rounds_come_back_in_order_as_arrays_with_their_times():
    device = Device()
    device.all_ready()
    finished = list(device.train())
    assert [float(record.train_loss) for record, _ in finished] == [0, 1, 2, 3, 4]
    assert all(seconds >= 0 for _, seconds in finished)
    assert all(isinstance(record.train_loss, np.ndarray) for record, _ in finished)


def test_two_rounds_are_started_and_one_more_is_drawn_before_the_first_is_finished():
    device = Device()
    trained = device.train()
    first = threading.Thread(target=lambda: next(trained))
    first.start()
    await_(lambda: (len(device.drawn), len(device.started)) == (IN_LINE + 1, IN_LINE))
    assert (device.started, device.placed, device.drawn) == ([0, 1], [0, 1], [0, 1, 2])
    device.ready[0].set()
    first.join(PATIENCE)
    device.ready[1].set()
    record, _ = next(trained)
    assert float(record.train_loss) == 1
    await_(lambda: device.started == [0, 1, 2])
    device.all_ready()
    trained.close()


def test_a_round_s_time_is_its_own_and_not_that_of_whoever_asks_late():
    device = Device()
    device.all_ready()
    late = 0.3
    times = []
    for _, seconds in device.train():
        times.append(seconds)
        time.sleep(late)
    assert sum(seconds < late for seconds in times) >= IN_LINE  # they ended while nobody asked
    rounds = device.rounds()

    def slowly():
        yield next(rounds)
        time.sleep(late)  # as the next program is traced

    place: Any = device.place
    alone: Any = slowly()
    assert [seconds < late for _, seconds in train_rounds(place, device, alone)] == [True]


@pytest.mark.parametrize("broken", range(5))
def test_what_was_finished_before_a_failure_is_not_lost(broken):
    device = Device(broken)
    device.all_ready()
    found = []
    with pytest.raises(MemoryError, match=str(broken)):
        found.extend(float(record.train_loss) for record, _ in device.train())
    assert found == list(range(broken))


def test_waiting_is_interrupted_while_a_round_trains():
    device = Device()
    device.ready[0].set()
    trained = device.train()
    next(trained)
    threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            next(trained)
    finally:
        signal.signal(signal.SIGINT, before)
        device.all_ready()


def test_rounds_nobody_asks_for_are_not_started():
    device = Device()
    device.all_ready()
    trained = device.train()
    assert len(list(islice(trained, 1))) == 1
    trained.close()
    time.sleep(0.05)
    assert device.started in ([0], [0, 1])
