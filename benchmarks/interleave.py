"""Time peers in turn: A, B, C, then B, C, A, ... so that a slow minute hits all of them."""

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, NamedTuple, Protocol

from benchmarks.agreement import Agreement, check
from benchmarks.workers import Facts, Round
from benchmarks.workloads import Workload

OURS = "nnlab"
REFERENCES = ("flax+optax vmap", "flax+optax lax.switch")
"""Whose losses the others must have: the first of these that trains all of a workload."""


class Peer(Protocol):
    """Carries out orders: a `Worker`, or in a test a `Bench`."""

    def load(self, work: Workload) -> tuple[Any, ...]: ...
    def prepare(self, variant: Any) -> tuple[Facts, Any]: ...
    def twins(self, variant: Any) -> Any: ...
    def run(self, variant: Any) -> tuple[Round, Any]: ...


class Entry(NamedTuple):
    """One variant of a peer and its rounds."""

    peer: str
    variant: Any
    facts: Facts
    agreement: Agreement
    rounds: list[Round]

    def rates(self, work: Workload) -> list[float]:
        """Config-steps per second, round by round."""
        return [len(self.facts.configs) * work.steps / r.seconds for r in self.rounds]


def measure(
    work: Workload,
    peers: Mapping[str, Peer],
    limit: Peer,
    rounds: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """A workload's record: all peers that take part, in the same rounds.

    Every run's losses are checked, the timed ones too; raises DisagreementError.
    """
    (size,) = limit.load(work)
    limit.prepare(size)
    asked = [name for name in peers if not work.peers or name in work.peers]
    tried = {name: peers[name].load(work) for name in asked}
    first = next(name for name in REFERENCES if tried.get(name))
    entries: list[Entry] = []
    expected: Any = None
    twins: Any = None
    for name in sorted(asked, key=lambda name: name != first):
        for variant in tried[name]:
            say(f"{work.name}: {name} compiles")
            facts, losses = peers[name].prepare(variant)
            if expected is None:
                expected, twins = losses, peers[name].twins(variant)
            agreement = check(work, expected, twins, losses, facts.configs, facts.own_noise)
            entries.append(Entry(name, variant, facts, agreement, []))
    limits = []
    for r in range(rounds):
        say(f"{work.name}: round {r + 1} of {rounds}")
        limits.append(limit.run(size)[1])
        for i in range(len(entries)):
            entry = entries[(r + i) % len(entries)]
            taken, losses = peers[entry.peer].run(entry.variant)
            check(work, expected, twins, losses, entry.facts.configs, entry.facts.own_noise)
            entry.rounds.append(taken)
    best = {unit: [max(found[unit].values()) for found in limits] for unit in limits[0]}
    return record(work, sorted(entries, key=lambda e: list(peers).index(e.peer)), best)


def record(work: Workload, entries: list[Entry], limits: dict[str, list[float]]) -> dict[str, Any]:
    """A workload's measurements as plain values; a peer's best variant is the one that counts."""
    best: dict[str, Entry] = {}
    for entry in entries:
        rival = best.get(entry.peer)
        if rival is None or median(entry.rates(work)) > median(rival.rates(work)):
            best[entry.peer] = entry
    ours = best[OURS].rates(work)
    return {
        "title": work.title,
        "configs": len(work.configs),
        "steps of a config": work.steps,
        "parameters": work.parameters,
        "flops of a config-step": work.flops,
        "usual flops of a config-step": work.usual_flops,
        "bytes of a config-step": work.bytes,
        "limits": {unit: spread(values) for unit, values in limits.items()},
        "peers": {
            name: {
                **describe(work, entry, limits),
                "nnlab is faster by": spread(
                    [a / b for a, b in zip(ours, entry.rates(work), strict=True)]
                ),
                "tried": [describe(work, e, limits) for e in entries if e.peer == name],
            }
            for name, entry in best.items()
        },
    }


def describe(work: Workload, entry: Entry, limits: dict[str, list[float]]) -> dict[str, Any]:
    """One variant's measurements."""
    amounts = {"GFLOP/s": work.flops, "GB/s": work.bytes}
    found = {
        unit: [amount * rate / 1e9 for rate in entry.rates(work)]
        for unit, amount in amounts.items()
    }
    return {
        "lanes": entry.facts.lanes,
        "device": entry.facts.device,
        "configs": len(entry.facts.configs),
        "config-steps/s": spread(entry.rates(work)),
        "cores busy": spread([taken.cores for taken in entry.rounds]),
        **{unit: spread(values) for unit, values in found.items()},
        "share of limit": {
            unit: spread([a / b for a, b in zip(values, limits[unit], strict=True)])
            for unit, values in found.items()
        },
        "compile seconds": entry.facts.compile_seconds,
        "first result seconds": entry.facts.first_seconds,
        "agreement": entry.agreement._asdict(),
    }


def spread(values: list[float]) -> dict[str, Any]:
    """Median, extremes, and every round's value."""
    return {
        "median": median(values), "least": min(values), "most": max(values), "rounds": values
    }  # fmt: skip
