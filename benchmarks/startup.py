"""Claim: importing nnlab takes less than importing jax; a second process compiles nothing again.

python -m benchmarks.startup [--rounds 3] [--out FILE] [--quick]

Everything happens in fresh processes, as a user's does. `import nnlab` loads names only, so what a
first sweep needs is timed beside it. W4's first call, 12 optimizers x 6 activations, is timed from
the interpreter's first line to the results, and to the moment when the first step is about to run.
It trains two steps, so that what remains is importing, planning and compiling. Its compilation
cache is a temporary folder: empty for the first process of a round, filled for the second.
"""

from dataclasses import replace
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import command
from benchmarks.fresh import fresh
from benchmarks.interleave import spread
from benchmarks.tables import holds, made_with, table
from benchmarks.workloads import WORKLOADS, Workload, toy

CLAIM = (
    "importing nnlab takes less than importing jax, and a second process finds its program compiled"
)
MOST = 0.5
"""Of the first process's seconds of compilation that the second may need."""
IMPORTS = {
    "import jax": "import jax",
    "import nnlab": "import nnlab",
    "what a first sweep needs": "import nnlab; nnlab.Sweep; nnlab.data.load; nnlab.models.mlp",
}
FIRST_CALL = """
from benchmarks.peers.nnlab_engine import make_sweep
from benchmarks.startup import two_steps
from nnlab.lanes.program import Program
train, before = Program.__call__, []
def noted(program, chunks):
    before.append(time.perf_counter() - began)
    return train(program, chunks)
Program.__call__ = noted
results = make_sweep(two_steps({quick})).run(progress=False)
found = results.dataset.attrs["compile_seconds"], before[0]
"""


def two_steps(quick: bool) -> Workload:
    """W4's program: its network, its optimizers and activations, as many lanes."""
    (work,) = (work for work in WORKLOADS if work.name == "W4")
    work = toy(work) if quick else work
    return replace(work, epochs=1, examples=2 * work.batch, held_out=work.batch)


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """Seconds of each import, and of W4's first call with a cold and a warm cache."""
    imports: dict[str, list[float]] = {name: [] for name in IMPORTS}
    calls: dict[str, list[tuple[float, float, float]]] = {"cold": [], "warm": []}
    first_call = FIRST_CALL.format(quick=quick)
    for r in range(rounds):
        command.say(f"round {r + 1} of {rounds}")
        with TemporaryDirectory() as cache:
            for name, code in IMPORTS.items():
                imports[name].append(fresh(code, cache)[0])
            for kind in calls:
                seconds, (compiling, before) = fresh(first_call, cache)
                calls[kind].append((seconds, before, compiling))
    ratios = [a / b for a, b in zip(imports["import nnlab"], imports["import jax"], strict=True)]
    shares = [b[2] / a[2] for a, b in zip(calls["cold"], calls["warm"], strict=True)]
    parts = ("seconds", "before the first step", "compile seconds")
    return {
        "imports": {name: spread(seconds) for name, seconds in imports.items()},
        "calls": {
            kind: {part: spread([call[i] for call in found]) for i, part in enumerate(parts)}
            for kind, found in calls.items()
        },
        "nnlab over jax": spread(ratios),
        "warm over cold": spread(shares),
        "light": median(ratios) < 1,
        "kept": median(shares) <= MOST,
    }


def main(words: list[str] | None = None) -> None:
    """Measure, write, print."""
    given = command.options("startup", CLAIM, rounds=3).parse_args(words)
    record = command.begin(CLAIM, given) | measure(given.rounds, given.quick)
    command.finish(record, given, markdown(record))


def markdown(record: dict[str, Any]) -> str:
    """A row for each import and each call, and whether the two halves of the claim hold."""
    head = (
        "in a fresh process", "seconds (least-most)", "before the first step", "of them compiling"
    )  # fmt: skip

    def seconds(found: dict[str, float]) -> str:
        return "{median:.2f} ({least:.2f}-{most:.2f})".format(**found)

    rows = [[name, seconds(found), "", ""] for name, found in record["imports"].items()]
    rows += [
        [f"W4's first call, {kind} cache", *map(seconds, call.values())]
        for kind, call in record["calls"].items()
    ]
    ratio, share = (record[k]["median"] for k in ("nnlab over jax", "warm over cold"))
    verdicts = [
        f"- import nnlab takes {ratio:.2f} of import jax's time: {holds(record['light'])}",
        f"- the second process compiles for {share:.0%} of the first's: {holds(record['kept'])}",
    ]
    return "\n".join([table(head, rows), "", *verdicts, "", made_with(record)])


if __name__ == "__main__":
    main()
