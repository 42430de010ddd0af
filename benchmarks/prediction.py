"""Claim: nnlab foretells within 30 % how long W1 to W4 will take.

python -m benchmarks.prediction [--rounds 3] [--out FILE] [--quick]

As a user meets it: one fresh process asks for the plan (`--dry-run`, `Sweep.predict`), with nothing
remembered of this machine; another one trains. A round has a cache folder of its own. The truth is
what the results say of themselves: seconds of training, and of tracing and compiling.
"""

from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import command
from benchmarks.fresh import fresh
from benchmarks.interleave import spread
from benchmarks.tables import made_with, table

CLAIM = "nnlab foretells within 30 % how long W1 to W4 will take"
MOST = 0.3
WORKS = ("W1", "W2", "W3", "W4")
PARTS = ("training", "compiling", "together")
SWEEP = """
from benchmarks.peers.nnlab_engine import make_sweep
from benchmarks.workloads import WORKLOADS, toy
(work,) = (toy(work) if {quick} else work for work in WORKLOADS if work.name == "{name}")
sweep = make_sweep(work)
"""
FORETOLD = f"{SWEEP}found = list(sweep.predict())"
TRUE = f"""{SWEEP}results = sweep.run(progress=False)
found = [results.dataset.attrs[name] for name in ("train_seconds", "compile_seconds")]
"""


def measure(name: str, rounds: int, quick: bool) -> dict[str, Any]:
    """Seconds foretold and true, and their ratio, round by round."""
    both: dict[str, list[list[float]]] = {"foretold": [], "true": []}
    for _ in range(rounds):
        with TemporaryDirectory() as cache:
            for kind, code in (("foretold", FORETOLD), ("true", TRUE)):
                _, found = fresh(code.format(name=name, quick=quick), cache)
                both[kind].append([*found, sum(found)])
    found = {}
    for i, part in enumerate(PARTS):
        foretold, true = ([row[i] for row in both[kind]] for kind in both)
        ratios = [a / b for a, b in zip(foretold, true, strict=True)]
        found[part] = {
            "foretold": spread(foretold),
            "true": spread(true),
            "ratio": spread(ratios),
            "holds": abs(median(ratios) - 1) <= MOST,
        }
    return found


def main(words: list[str] | None = None) -> None:
    """Measure, write, print."""
    given = command.options("prediction", CLAIM, rounds=3).parse_args(words)
    record = command.begin(CLAIM, given) | {"workloads": {}}
    for name in WORKS[:1] if given.quick else WORKS:
        command.say(f"{name}: foretelling, then training")
        record["workloads"][name] = measure(name, given.rounds, given.quick)
    command.finish(record, given, markdown(record))


def markdown(record: dict[str, Any]) -> str:
    """One row for each work and each part of its time."""
    head = ("work", "seconds of", "foretold", "true", "foretold over true (least-most)", "met")
    rows = [
        [
            name,
            part,
            *(f"{times[kind]['median']:.2f}" for kind in ("foretold", "true")),
            "{median:.2f} ({least:.2f}-{most:.2f})".format(**times["ratio"]),
            "yes" if times["holds"] else "**no**",
        ]
        for name, work in record["workloads"].items()
        for part, times in work.items()
    ]
    return f"{table(head, rows)}\n\nMedians of {record['rounds']} rounds. {made_with(record)}"


if __name__ == "__main__":
    main()
