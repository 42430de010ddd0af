"""Claim: nnlab trains more config-steps per second than the programs its users would write instead.

python -m benchmarks.side_by_side [--work W1,demo] [--rounds 5] [--out FILE] [--quick]

Prints one Markdown table and writes everything behind it as JSON.
"""

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.agreement import EXCEPTIONS, STEADY, TOLERANCE
from benchmarks.interleave import measure
from benchmarks.tables import markdown
from benchmarks.workers import MissingError, Worker
from benchmarks.workloads import WORKLOADS, toy

CLAIM = "nnlab trains more config-steps per second than the programs its users would write instead"
PEERS = {
    "nnlab": "benchmarks.peers.nnlab_engine",
    "flax+optax vmap": "benchmarks.peers.flax_vmap",
    "flax+optax scan": "benchmarks.peers.flax_scan",
    "flax+optax jit step": "benchmarks.peers.flax_steps",
}
"""In the order of the table; a new peer is one file and one line."""
LIMIT = "benchmarks.limit"


def main(words: list[str] | None = None) -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(prog="side_by_side", description=CLAIM)
    names = [work.name for work in WORKLOADS]
    parser.add_argument("--work", default=",".join(names), help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/side_by_side.json"))
    parser.add_argument("--quick", action="store_true", help="toy sizes: a test, not a measurement")
    given = parser.parse_args(words)
    chosen = given.work.split(",")
    if not set(chosen) <= set(names):
        parser.error(f"--work {given.work}: choose from {', '.join(names)}")
    works = [toy(work) if given.quick else work for work in WORKLOADS if work.name in chosen]
    record: dict[str, Any] = {
        "claim": CLAIM,
        "quick": given.quick,
        "made with": machine.describe(),
        "rounds": given.rounds,
        "tolerance": {"steady": STEADY, "relative": TOLERANCE, "exceptions": EXCEPTIONS},
        "left out": {},
        "workloads": {},
    }
    with ExitStack() as stack:
        limit = stack.enter_context(Worker(LIMIT))
        peers = {}
        for name, module in PEERS.items():
            try:
                peers[name] = stack.enter_context(Worker(module))
            except MissingError as missing:
                record["left out"][name] = str(missing)
        for work in works:
            record["workloads"][work.name] = measure(work, peers, limit, given.rounds, say)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(record, indent=2) + "\n")
    print(markdown(record))


def say(text: str) -> None:
    """Progress, apart from the table."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
