"""Time peers in turn: A, B, C, then B, C, A, ... so that a slow minute hits all of them."""

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, NamedTuple

from benchmarks.agreement import Agreement, check
from benchmarks.workers import Facts, Round, Worker
from benchmarks.workloads import Workload

OURS, REFERENCE = "nnlab", "flax+optax vmap"


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
    peers: Mapping[str, Worker],
    limit: Worker,
    rounds: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """A workload's record: all peers that take part, in the same rounds.

    Every run's losses are checked, the timed ones too; raises DisagreementError.
    """
    (size,) = limit.load(work)
    limit.prepare(size)
    reference = peers[REFERENCE]
    say(f"{work.name}: {REFERENCE} compiles and trains the twins")
    _, twin = reference.prepare(reference.load(work, nudged=True)[-1])
    entries: list[Entry] = []
    expected = twin
    for name in (REFERENCE, *(name for name in peers if name != REFERENCE)):
        for variant in peers[name].load(work):
            say(f"{work.name}: {name} compiles")
            facts, losses = peers[name].prepare(variant)
            expected = expected if entries else losses
            agreement = check(work, expected, twin, losses, facts.configs)
            entries.append(Entry(name, variant, facts, agreement, []))
    limits = []
    for r in range(rounds):
        say(f"{work.name}: round {r + 1} of {rounds}")
        limits.append(max(limit.run(size)[1].values()))
        for i in range(len(entries)):
            entry = entries[(r + i) % len(entries)]
            taken, losses = peers[entry.peer].run(entry.variant)
            check(work, expected, twin, losses, entry.facts.configs)
            entry.rounds.append(taken)
    return record(work, sorted(entries, key=lambda e: list(peers).index(e.peer)), limits)


def record(work: Workload, entries: list[Entry], limits: list[float]) -> dict[str, Any]:
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
        "limit GFLOP/s": spread(limits),
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


def describe(work: Workload, entry: Entry, limits: list[float]) -> dict[str, Any]:
    """One variant's measurements."""
    gflops = [work.flops * rate / 1e9 for rate in entry.rates(work)]
    return {
        "lanes": entry.facts.lanes,
        "device": entry.facts.device,
        "configs": len(entry.facts.configs),
        "config-steps/s": spread(entry.rates(work)),
        "cores busy": spread([taken.cores for taken in entry.rounds]),
        "GFLOP/s": spread(gflops),
        "share of limit": spread([g / most for g, most in zip(gflops, limits, strict=True)]),
        "compile seconds": entry.facts.compile_seconds,
        "first result seconds": entry.facts.first_seconds,
        "agreement": entry.agreement._asdict(),
    }


def spread(values: list[float]) -> dict[str, Any]:
    """Median, extremes, and every round's value."""
    return {
        "median": median(values), "least": min(values), "most": max(values), "rounds": values
    }  # fmt: skip
