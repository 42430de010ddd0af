"""Claim: nnlab trains more config-steps per second than the programs its users would write instead.

python -m benchmarks.side_by_side [--work W1,demo] [--rounds 5] [--out FILE] [--quick]

Prints two Markdown tables, what was measured and which floors it meets, and writes everything
behind them as JSON.
"""

import os
from contextlib import ExitStack

from benchmarks import command, floors
from benchmarks.agreement import EXCEPTIONS, SAME_LAW, STEADY, TOLERANCE
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
    "flax+optax lax.switch": "benchmarks.peers.flax_switch",
    "torch eager": "benchmarks.peers.torch_eager",
    "torch.func vmap": "benchmarks.peers.torch_vmap",
}
"""In the order of the table; a new peer is one file and one line."""
LIMIT = "benchmarks.limit"


def main(words: list[str] | None = None) -> None:
    """Measure, write, print."""
    parser = command.options("side_by_side", CLAIM, rounds=5)
    names = [work.name for work in WORKLOADS]
    parser.add_argument("--work", default=",".join(names), help="default: %(default)s")
    given = parser.parse_args(words)
    chosen = given.work.split(",")
    if not set(chosen) <= set(names):
        parser.error(f"--work {given.work}: choose from {', '.join(names)}")
    works = [toy(work) if given.quick else work for work in WORKLOADS if work.name in chosen]
    record = command.begin(CLAIM, given) | {
        "tolerance": {
            "steady": STEADY, "relative": TOLERANCE, "exceptions": EXCEPTIONS, "law": SAME_LAW
        },
        "left out": {},
        "workloads": {},
    }  # fmt: skip
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # peers share a GPU's memory
    with ExitStack() as stack:
        limit = stack.enter_context(Worker(LIMIT))
        peers = {}
        for name, module in PEERS.items():
            try:
                peers[name] = stack.enter_context(Worker(module))
            except MissingError as missing:
                record["left out"][name] = str(missing)
        for work in works:
            found = measure(work, peers, limit, given.rounds, command.say)
            record["workloads"][work.name] = found
            record["floors"] = floors.judge(record)
            command.keep(record, given)
    command.finish(record, given, f"{markdown(record)}\n\n{floors.markdown(record['floors'])}")


if __name__ == "__main__":
    main()
