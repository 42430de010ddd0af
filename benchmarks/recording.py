"""Claim: recording validation metrics after every epoch costs under 5 % of training.

python -m benchmarks.recording [--rounds 7] [--out FILE] [--quick]

W1's and W3's networks train twice: with a validation set of a tenth of the training set, as in
MNIST's usual split, and with one of a single example, so that the same program has nothing to do
there. Both record the training loss. Rounds are interleaved; the cost is the median of their
ratios, less 1.
"""

import time
from dataclasses import replace
from statistics import median
from typing import Any

from benchmarks import command
from benchmarks.interleave import spread
from benchmarks.peers import Prepared
from benchmarks.peers.nnlab_engine import prepare_sweep
from benchmarks.tables import made_with, table
from benchmarks.workloads import WORKLOADS, Workload, toy
from nnlab.data.dataset import Dataset, Split
from nnlab.sweeps.sweep import Sweep

CLAIM = "recording validation metrics after every epoch costs under 5 % of training"
MOST = 0.05
WORKS = ("W1", "W3")


def sized(work: Workload) -> Workload:
    """The network with a tenth of its examples held out, for three epochs."""
    return replace(work, epochs=3, examples=5000, held_out=500, rates=work.rates[::2])


def blind(data: Dataset) -> Dataset:
    """The data with one validation example."""
    return replace(data, valid=Split(data.valid.x[:1], data.valid.y[:1]))


def engine(work: Workload, data: Dataset) -> Prepared:
    """The engine of nnlab on a workload's network and other data."""
    sweep = Sweep(
        work.model,
        data,
        {"learning_rate": work.rates},
        optimizer="adam",
        batch_size=work.batch,
        epochs=work.epochs,
    )
    return prepare_sweep(sweep)


def seconds(prepared: Prepared) -> float:
    """One training of all configs."""
    began = time.perf_counter()
    prepared.run()
    return time.perf_counter() - began


def measure(work: Workload, rounds: int) -> dict[str, Any]:
    """Seconds with and without validation, round by round, who goes first in turn."""
    pair = [engine(work, data) for data in (work.dataset, blind(work.dataset))]
    for prepared in pair:
        prepared.run()
    taken: list[list[float]] = [[], []]
    for r in range(rounds):
        for i in (r % 2, 1 - r % 2):
            taken[i].append(seconds(pair[i]))
    costs = [a / b - 1 for a, b in zip(*taken, strict=True)]
    return {
        "title": work.title,
        "configs": len(work.configs),
        "steps of a config": work.steps,
        "epochs": work.epochs,
        "examples": {"train": len(work.dataset.train.y), "valid": len(work.dataset.valid.y)},
        "seconds": dict(zip(("with", "without"), map(spread, taken), strict=True)),
        "cost": spread(costs),
        "holds": median(costs) < MOST,
    }


def main(words: list[str] | None = None) -> None:
    """Measure, write, print."""
    given = command.options("recording", CLAIM, rounds=7).parse_args(words)
    works = [sized(work) for work in WORKLOADS if work.name in WORKS]
    works = [toy(works[0])] if given.quick else works
    record = command.begin(CLAIM, given) | {"workloads": {}}
    for work in works:
        command.say(f"{work.name}: training with and without validation")
        record["workloads"][work.name] = measure(work, given.rounds)
    command.finish(record, given, markdown(record))


def markdown(record: dict[str, Any]) -> str:
    """One row per network."""
    head = ("network", "train / valid", "seconds with", "without", "cost (least-most)", "under 5 %")
    rows = [
        [
            work["title"],
            f"{work['examples']['train']:,} / {work['examples']['valid']:,}",
            *(f"{work['seconds'][k]['median']:.2f}" for k in ("with", "without")),
            "{median:.1%} ({least:.1%} to {most:.1%})".format(**work["cost"]),
            "yes" if work["holds"] else "**no**",
        ]
        for work in record["workloads"].values()
    ]
    return f"{table(head, rows)}\n\n{record['rounds']} interleaved rounds. {made_with(record)}"


if __name__ == "__main__":
    main()
