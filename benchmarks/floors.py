"""What was asked for beside what was measured: met or not, for every floor.

A floor is a median of a side-by-side record: a ratio to a peer within rounds, a share of the
machine's limit, or W4's rate in terms of W3's. What was not measured is not met.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.tables import table

Record = dict[str, Any]
EXTREMES = ("median", "least", "most")


class Floor(NamedTuple):
    """One demand."""

    work: str
    beside: str
    least: float
    share: bool
    """Whether it is read as a percentage."""
    look: Callable[[Record], dict[str, float]]
    """The measured {"median", "least", "most"}; KeyError if it was not measured."""


def faster(than: str, **least: float) -> list[Floor]:
    """Ratios of nnlab's rate to a peer's."""

    def look(work: str) -> Callable[[Record], dict[str, float]]:
        return lambda record: record["workloads"][work]["peers"][than]["nnlab is faster by"]

    return [Floor(work, than, value, False, look(work)) for work, value in least.items()]


def of_product(**least: float) -> list[Floor]:
    """Shares of the matrix-product limit, by the count of operations that they were set with.

    That is the usual one; the operations that are done are fewer (`Workload.flops`), and their
    share stands in the side-by-side table.
    """

    def look(work: str) -> Callable[[Record], dict[str, float]]:
        def share(record: Record) -> dict[str, float]:
            found = record["workloads"][work]
            more = found["usual flops of a config-step"] / found["flops of a config-step"]
            done = found["peers"]["nnlab"]["share of limit"]["GFLOP/s"]
            return {k: more * done[k] for k in EXTREMES}

        return share

    beside = "the product limit, by the usual count"
    return [Floor(work, beside, value, True, look(work)) for work, value in least.items()]


def mixing(record: Record) -> dict[str, float]:
    """W4's rate over W3's, their medians; the extremes are those of W4's rounds."""
    rates = {
        work: record["workloads"][work]["peers"]["nnlab"]["config-steps/s"] for work in ("W3", "W4")
    }
    return {k: rates["W4"][k] / rates["W3"]["median"] for k in EXTREMES}


FLOORS = (
    *faster("torch eager", W1=3.0, W2=16, W3=4.0, W4=3.5, W5=1.0, W6=5, W7=3),
    *faster("flax+optax vmap", W1=1.6, W2=1.7, W3=1.7, W5=25, W6=2, W7=1.2),
    *faster("flax+optax lax.switch", W4=3.5),
    *of_product(W1=0.80, W2=0.30, W3=0.50, W5=0.30),
    Floor("W4", "nnlab's own W3", 0.88, True, mixing),
)
HEAD = ("work", "nnlab beside", "asked for", "measured (least-most)", "met")


def judge(record: Record) -> list[dict[str, Any]]:
    """Every floor with what was measured, None where nothing was."""
    found = []
    for floor in FLOORS:
        try:
            measured = floor.look(record)
        except KeyError:
            measured = None
        found.append(
            {
                "work": floor.work,
                "beside": floor.beside,
                "asked for": floor.least,
                "share": floor.share,
                "measured": measured and {k: measured[k] for k in EXTREMES},
                "met": measured is not None and measured["median"] >= floor.least,
            }
        )
    return found


def markdown(judged: list[dict[str, Any]]) -> str:
    """The floors as a table, and how many are met."""

    def number(value: float, share: bool) -> str:
        return f"{value:.0%}" if share else f"{value:.3g}x"

    def row(floor: dict[str, Any]) -> list[str]:
        share, measured = floor["share"], floor["measured"]
        told = ["not measured", "not measured"]
        if measured is not None:
            median, least, most = (number(measured[k], share) for k in EXTREMES)
            told = [f"{median} ({least}-{most})", "yes" if floor["met"] else "**no**"]
        return [floor["work"], floor["beside"], number(floor["asked for"], share), *told]

    met = sum(floor["met"] for floor in judged)
    return f"{table(HEAD, map(row, judged))}\n\n{met} of {len(judged)} floors are met."
