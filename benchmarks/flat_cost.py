"""Claim: 4,096 configs train within 10 % of the best speed of fewer; memory grows with the chunk.

python -m benchmarks.flat_cost [--rounds 5] [--out FILE] [--quick]

W8's network with more and more learning rates, each number in a process of its own, in interleaved
rounds; the largest once more with a quarter of the planner's lanes. Peak memory is a process's
most, after all its rounds. Beside the chunk, only what is kept of each config should add to
it: its record and its place in the grid.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from statistics import median
from typing import Any, NamedTuple

from benchmarks import command
from benchmarks.interleave import spread
from benchmarks.tables import holds, made_with, number, table
from benchmarks.workers import Worker
from benchmarks.workloads import WORKLOADS, Workload, rates, toy

CLAIM = (
    "4,096 configs train within 10 % of the best speed of fewer; peak memory grows with the chunk "
    "and the recorded results only"
)
LEAST = 0.9
CONFIGS = (128, 512, 2048, 4096)
MOST_BYTES = 64 * 1024
"""Of memory that a config may add: its record, recipe and place in the grid, not its training."""
ENGINE = "benchmarks.peers.nnlab_engine"
MIB = 2**20


def with_rates(work: Workload, configs: int) -> Workload:
    return replace(work, rates=rates(1e-4, 1e-2, configs), lanes=())


class Case(NamedTuple):
    """A number of configs in a process of its own."""

    worker: Any
    work: Workload
    lanes: int | None
    """A chunk's, if not the planner's."""
    repeats: int
    """Runs in a round: those that finish fast are repeated."""
    row: dict[str, Any]


def begin(worker: Any, work: Workload, most: int, lanes: int | None = None) -> Case:
    """Let a process compile."""
    configs = len(work.configs)
    command.say(f"{configs} configs: compiling")
    worker.load(work)
    facts, _ = worker.prepare(lanes)
    row = {"configs": configs, "lanes": facts.lanes, "config-steps/s": []}
    return Case(worker, work, lanes, max(1, most // configs // 4), row)


def measure(
    work: Workload, sizes: Sequence[int], rounds: int, start: Callable[[], Any]
) -> list[dict[str, Any]]:
    """Rates, round by round, and peak memory for each number of configs; last with small chunks.

    `start` gives a worker with nnlab's engine.
    """
    most = sizes[-1]
    cases = [begin(start(), with_rates(work, n), most) for n in sizes]
    planned = int(cases[-1].row["lanes"].split()[0])
    cases.append(begin(start(), with_rates(work, most), most, lanes=max(1, planned // 4)))
    for r in range(rounds):
        command.say(f"round {r + 1} of {rounds}")
        for i in range(len(cases)):
            case = cases[(r + i) % len(cases)]
            taken = [case.worker.run(case.lanes)[0].seconds for _ in range(case.repeats)]
            rate = len(case.work.configs) * case.work.steps / median(taken)
            case.row["config-steps/s"].append(rate)
    return [case.row | {"peak bytes": case.worker.peak_bytes()} for case in cases]


def judge(rows: list[dict[str, Any]], work: Workload) -> dict[str, Any]:
    """The share of the best speed within rounds, and the bytes that a further config adds."""
    planned = rows[:-1]
    best = max(planned, key=lambda row: median(row["config-steps/s"]))
    many, some = planned[-1], planned[-2]
    pairs = zip(many["config-steps/s"], best["config-steps/s"], strict=True)
    share = spread([a / b for a, b in pairs])
    added = (many["peak bytes"] - some["peak bytes"]) / (many["configs"] - some["configs"])
    return {
        "best": best["configs"],
        "share of best": share,
        "bytes added by a config": added,
        "bytes of its training": 4 * 4 * work.parameters,
        "fast": share["median"] >= LEAST,
        "small": added <= MOST_BYTES,
    }


def main(words: list[str] | None = None, start: Callable[[], Any] | None = None) -> None:
    """Measure, write, print; `start` stands in for a process in tests."""
    given = command.options("flat_cost", CLAIM, rounds=5).parse_args(words)
    (work,) = (work for work in WORKLOADS if work.name == "W8")
    work, sizes = (toy(work), (4, 8)) if given.quick else (work, CONFIGS)
    with ExitStack() as stack:
        processes = start or (lambda: stack.enter_context(Worker(ENGINE)))
        rows = measure(work, sizes, given.rounds, processes)
    record = command.begin(CLAIM, given) | {
        "network": work.title, "steps of a config": work.steps,
        "measured": [row | {"config-steps/s": spread(row["config-steps/s"])} for row in rows],
        "judged": judge(rows, work),
    }  # fmt: skip
    command.finish(record, given, markdown(record))


def markdown(record: dict[str, Any]) -> str:
    """One row per number of configs, and whether the two halves of the claim hold."""
    head = ("configs", "lanes", "config-steps/s (least-most)", "peak memory")
    rows = [
        [
            f"{row['configs']:,}",
            row["lanes"],
            "{} ({}-{})".format(
                *(number(row["config-steps/s"][k]) for k in ("median", "least", "most"))
            ),
            f"{row['peak bytes'] / MIB:,.0f} MiB",
        ]
        for row in record["measured"]
    ]
    judged = record["judged"]
    share = "{median:.0%} ({least:.0%}-{most:.0%})".format(**judged["share of best"])
    speed = f"{rows[-2][0]} configs train at {share} of the speed of {judged['best']:,}"
    memory = (
        f"a further config adds {judged['bytes added by a config'] / 1024:.1f} KiB to the peak; "
        f"its weights, gradient and moments have {judged['bytes of its training'] / 1024:.1f}"
    )
    verdicts = [f"{speed}: {holds(judged['fast'])}", f"{memory}: {holds(judged['small'])}"]
    return "\n".join([table(head, rows), "", *(f"- {v}" for v in verdicts), "", made_with(record)])


if __name__ == "__main__":
    main()
