"""Claim: all first-order optimizers x 8 rates train in one program, almost as fast as Adam alone.

python -m benchmarks.all_optimizers [--rounds 5] [--network 5x100] [--out FILE] [--quick]

Two sweeps of the same number of runs on digits, both through nnlab's own engine: one mixes every
first-order optimizer, one has Adam throughout. Asked for: under 60 s of compilation on 2 cores, and
at least 80 % of Adam's speed. The share of each optimizer alone says who is slow.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import machine
from benchmarks.peers.nnlab_engine import prepare
from benchmarks.workloads import Inputs, Workload
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
NOTHING: Any = Inputs(*[None] * 5)  # type: ignore[arg-type]  # nnlab draws its own


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
        prepared = prepare(work, NOTHING, None)
        prepared.run()
        ready.append(prepared)
        found[work.name] = {
            "runs": len(work.configs),
            "lanes": prepared.lanes,
            "compile seconds": prepared.compile_seconds(),
            "config-steps/s": [],
        }
        print(f"{work.name} compiled", file=sys.stderr, flush=True)
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
    parser = argparse.ArgumentParser(prog="all_optimizers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--network", default="5x100", help="hidden layers (%(default)s)")
    parser.add_argument("--each", action="store_true", help="time every optimizer alone as well")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/all_optimizers.json"))
    parser.add_argument("--quick", action="store_true", help="toy sizes: a test, not a measurement")
    given = parser.parse_args(words)
    (hidden,) = sizes("hidden", given.network)
    names = FIRST_ORDER[:4] if given.quick else FIRST_ORDER
    rates = 2 if given.quick else 8
    everyone = workload("all", names, hidden, rates)
    adam = workload("adam", ("adam",), hidden, rates * len(names))
    if given.quick:
        everyone, adam = replace(everyone, epochs=1), replace(adam, epochs=1)
    works = [everyone, adam]
    if given.each:
        works += [workload(name, (name,), hidden, 16) for name in names]
    found = measure(works, given.rounds)
    record = {
        "claim": " ".join((__doc__ or "").split(".")[0].split()),
        "quick": given.quick,
        "network": given.network,
        "left out": BEYOND_FIRST_ORDER,
        "made with": machine.describe(),
        "measured": found,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(record, indent=2) + "\n")
    print(table(record))


def table(record: dict[str, Any]) -> str:
    """One row per sweep; the share of Adam's speed is the median over rounds of the ratio."""
    lines = [
        "| sweep | runs | lanes | compile s | config-steps/s | share of Adam's (least-most) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    adam = record["measured"]["adam"]["config-steps/s"]
    for name, facts in record["measured"].items():
        rates = facts["config-steps/s"]
        shares = [a / b for a, b in zip(rates, adam, strict=True)]
        lines.append(
            f"| {name} | {facts['runs']} | {facts['lanes']} | {facts['compile seconds']:.1f} | "
            f"{median(rates):,.0f} | {median(shares):.0%} ({min(shares):.0%}-{max(shares):.0%}) |"
        )
    made = "; ".join(f"{what} {value}" for what, value in record["made with"].items())
    return "\n".join([*lines, "", f"Network {record['network']}, digits, batch 100. {made}."])


if __name__ == "__main__":
    main()
