"""Claim: all first-order optimizers x 8 rates train in one program, almost as fast as Adam alone.

python -m benchmarks.all_optimizers [--rounds 5] [--network 5x100] [--out FILE] [--quick]

Two sweeps of the same number of runs on digits, both through nnlab's own engine: one mixes every
first-order optimizer, one has Adam throughout. Asked for: under 60 s of compilation on 2 cores, and
at least 80 % of Adam's speed. The share of each optimizer alone says who is slow.
"""

import time
from dataclasses import replace
from statistics import median
from typing import Any

import jax

from benchmarks import command
from benchmarks.peers.nnlab_engine import prepare
from benchmarks.tables import holds, made_with, table
from benchmarks.workloads import Workload
from nnlab.cli.words import sizes
from nnlab.optim import OPTIMIZERS
from nnlab.sweeps.axes import log_space

BEYOND_FIRST_ORDER = {
    "galore": "singular vectors of gradients",
    "lbfgs": "curvature from past steps, and a line search",
    "shampoo": "inverse roots of second-moment matrices",
    "soap": "eigenvectors of second-moment matrices",
    "sophia": "Hessian diagonals",
}
"""Left out: their steps do more than arithmetic on a gradient."""
FIRST_ORDER = tuple(name for name in OPTIMIZERS if name not in BEYOND_FIRST_ORDER)
CLAIM = "all first-order optimizers x 8 rates train in one program, almost as fast as Adam alone"
MOST_SECONDS, LEAST = 60, 0.8
"""Of compilation on two cores, and of Adam's speed."""


def workload(
    name: str, optimizers: tuple[str, ...], hidden: tuple[int, ...], rates: int
) -> Workload:
    """Optimizers x log-spaced rates on digits."""
    return Workload(
        name=name,
        title=f"{len(optimizers)} optimizers x {rates} rates",
        sizes=(64, *hidden, 10),
        batch=100,
        epochs=4,
        rates=tuple(log_space(1e-4, 1e-1, rates).tolist()),
        lanes=(),
        data="digits",
        optimizers=optimizers,
    )


def measure(works: list[Workload], rounds: int) -> dict[str, Any]:
    """Compile each, then train them in turn: seconds to compile, config-steps per second."""
    ready, found = [], {}
    for work in works:
        prepared = prepare(work)
        prepared.run()
        ready.append(prepared)
        found[work.name] = {
            "runs": len(work.configs),
            "lanes": prepared.lanes,
            "compile seconds": prepared.compile_seconds(),
            "config-steps/s": [],
        }
        command.say(f"{work.name} compiled")
    for r in range(rounds):
        for i in range(len(works)):
            k = (r + i) % len(works)
            began = time.perf_counter()
            ready[k].run()
            rate = len(works[k].configs) * works[k].steps / (time.perf_counter() - began)
            found[works[k].name]["config-steps/s"].append(rate)
    return found


def main(words: list[str] | None = None) -> None:
    """Measure, write, print."""
    parser = command.options("all_optimizers", CLAIM, rounds=5)
    parser.add_argument("--network", default="5x100", help="hidden layers (%(default)s)")
    parser.add_argument("--each", action="store_true", help="time every optimizer alone as well")
    given = parser.parse_args(words)
    (hidden,) = sizes("hidden", given.network)
    names = FIRST_ORDER[:2] if given.quick else FIRST_ORDER
    rates = 2 if given.quick else 8
    everyone = workload("all", names, hidden, rates)
    adam = workload("adam", ("adam",), hidden, rates * len(names))
    if given.quick:
        everyone, adam = replace(everyone, epochs=1), replace(adam, epochs=1)
    works = [everyone, adam]
    if given.each:
        works += [workload(name, (name,), hidden, 16) for name in names if name != "adam"]
    record = command.begin(CLAIM, given) | {
        "network": given.network,
        "left out": BEYOND_FIRST_ORDER,
        "measured": measure(works, given.rounds),
    }
    command.finish(record, given, markdown(record))


def markdown(record: dict[str, Any]) -> str:
    """One row per sweep, shares being medians of the rounds' ratios; what was asked for."""
    head = (
        "sweep", "runs", "lanes", "compile s", "config-steps/s", "share of Adam's (least-most)"
    )  # fmt: skip
    measured = record["measured"]

    def shares(name: str) -> list[float]:
        rates = (measured[which]["config-steps/s"] for which in (name, "adam"))
        return [a / b for a, b in zip(*rates, strict=True)]

    rows = [
        [
            name,
            f"{facts['runs']}",
            facts["lanes"],
            f"{facts['compile seconds']:.1f}",
            f"{median(facts['config-steps/s']):,.0f}",
            f"{median(own):.0%} ({min(own):.0%}-{max(own):.0%})",
        ]
        for name, facts, own in ((name, facts, shares(name)) for name, facts in measured.items())
    ]
    seconds, share = measured["all"]["compile seconds"], median(shares("all"))
    verdicts = [
        f"- {seconds:.1f} s to compile, {MOST_SECONDS} asked for: {holds(seconds < MOST_SECONDS)}",
        f"- {share:.0%} of Adam's speed, {LEAST:.0%} asked for: {holds(share >= LEAST)}",
    ]
    caption = f"Network {record['network']}, digits, batch 100. {made_with(record)}"
    return "\n".join([table(head, rows), "", *verdicts, "", caption])


if __name__ == "__main__":
    jax.config.update("jax_enable_compilation_cache", False)  # a first time's seconds are asked for
    main()
