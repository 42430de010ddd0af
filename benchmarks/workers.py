"""One process per peer: its own devices and thread pools, idle while another is timed.

jax fixes its number of devices once per process, and a peer should not share a thread pool with
its rival. A worker waits for an order on a pipe, carries it out, and answers with its own clock's
seconds; the driver gives one order at a time.
"""

import multiprocessing
import time
import traceback
from importlib import import_module
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import machine
from benchmarks.inputs import inputs
from benchmarks.peers import Prepared
from benchmarks.workloads import Workload


class MissingError(RuntimeError):
    """A peer whose library is not installed."""


class Round(NamedTuple):
    """What one timed run took."""

    seconds: float
    cores: float
    """Processor seconds of the peer's process per second: what it got of the machine."""


class Facts(NamedTuple):
    """What is known of a peer before it is timed."""

    first_seconds: float
    """From the inputs in memory to the first losses: planning, compiling, training once."""
    compile_seconds: float
    configs: tuple[int, ...]
    lanes: str
    device: str
    own_noise: bool


class Worker:
    """A peer in its own process; a context manager."""

    def __init__(self, module: str):
        self.module = module
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(module, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._answer()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self._pipe.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.terminate()

    def load(self, work: Workload) -> tuple[Any, ...]:
        """Forget the last workload, make the arrays of this one; what the peer tries for it."""
        return self._ask("load", work)

    def prepare(self, variant: Any) -> tuple[Facts, Any]:
        """Prepare and run once; the facts, and what the run returned."""
        return self._ask("prepare", variant)

    def run(self, variant: Any) -> tuple[Round, Any]:
        """Run what was prepared: what it took, and what it returned."""
        return self._ask("run", variant)

    def twins(self, variant: Any) -> Any:
        """Train what was prepared from weights one unit in the last place larger, and smaller."""
        return self._ask("twins", variant)

    def peak_bytes(self) -> int:
        """The most memory that the process has had so far."""
        return self._ask("peak_bytes")

    def _ask(self, *order: Any) -> Any:
        self._pipe.send(order)
        return self._answer()

    def _answer(self) -> Any:
        try:
            kind, value = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"{self.module}: its process died") from None
        if kind == "missing":
            raise MissingError(value)
        if kind == "error":
            raise RuntimeError(f"{self.module}:\n{value}")
        return value


def serve(module: str, pipe: Connection) -> None:
    """Carry out orders until the driver closes the pipe.

    Without jax's cache on disk: everybody's seconds of compilation are those of a first time.
    """
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        bench = Bench(import_module(module))
    except ModuleNotFoundError as error:
        pipe.send(("missing", f"{error.name} is not installed"))
        return
    pipe.send(("ready", None))
    while True:
        try:
            what, *arguments = pipe.recv()
        except EOFError:
            return
        orders = {
            "load": bench.load, "prepare": bench.prepare, "run": bench.run,
            "twins": bench.twins, "peak_bytes": bench.peak_bytes,
        }  # fmt: skip
        try:
            pipe.send(("done", orders[what](*arguments)))
        except Exception:
            pipe.send(("error", traceback.format_exc()))


class Bench:
    """The worker's side: a peer, the workload it was given and what it has prepared.

    In a test it stands in for a `Worker`: the same orders, without a process.
    """

    def __init__(self, peer: ModuleType):
        self.peer = peer
        self.prepared: dict[Any, Prepared] = {}

    def load(self, work: Workload) -> tuple[Any, ...]:
        self.prepared.clear()
        self.work, self.inputs = work, inputs(work)
        return self.peer.variants(work)

    def twins(self, variant: Any) -> Any:
        retrain = self.prepared[variant].retrain
        if retrain is None:
            raise ValueError(f"{self.peer.__name__} is no reference: it cannot train twins")
        return [retrain(inputs(self.work, toward)) for toward in (np.inf, -np.inf)]

    def peak_bytes(self) -> int:
        return machine.peak_bytes()

    def prepare(self, variant: Any) -> tuple[Facts, Any]:
        began = time.perf_counter()
        found = self.prepared[variant] = self.peer.prepare(self.work, self.inputs, variant)
        result = found.run()
        seconds = time.perf_counter() - began
        known = found.configs, found.lanes, found.device, found.own_noise
        return Facts(seconds, found.compile_seconds(), *known), result

    def run(self, variant: Any) -> tuple[Round, Any]:
        began, busy = time.perf_counter(), time.process_time()
        result = self.prepared[variant].run()
        seconds = time.perf_counter() - began
        return Round(seconds, (time.process_time() - busy) / seconds), result
