"""Records as Markdown tables."""

from collections.abc import Iterable, Sequence
from typing import Any

HEAD = (
    "work", "peer", "lanes", "config-steps/s", "cores busy", "nnlab is faster by", "GFLOP/s",
    "of product limit", "of copy limit", "compile s", "first result s", "agreement",
)  # fmt: skip


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def made_with(record: dict[str, Any]) -> str:
    """Where a record was measured, and whether it is one."""
    made = "; ".join(f"{what} {value}" for what, value in record["made with"].items())
    toy = "\nToy sizes: a test, not a measurement." if record["quick"] else ""
    return f"{made}.{toy}"


def markdown(record: dict[str, Any]) -> str:
    """The table of a side-by-side record, and where it was measured."""
    rows = [row for name, work in record["workloads"].items() for row in rows_of(name, work)]
    titles = [
        f"- {name}: {work['title']}; "
        f"{work['configs']} configs of {work['steps of a config']} steps, "
        f"{work['flops of a config-step'] / 1e6:.2f} MFLOP and "
        f"{work['bytes of a config-step'] / 1e6:.2f} MB each; limits "
        f"{work['limits']['GFLOP/s']['median']:.0f} GFLOP/s, "
        f"{work['limits']['GB/s']['median']:.1f} GB/s"
        for name, work in record["workloads"].items()
    ]
    missing = [f"- {name}: {why}" for name, why in record["left out"].items()]
    caption = f"Medians of {record['rounds']} interleaved rounds (least-most)."
    parts = [table(HEAD, rows), "", *titles, *missing, "", f"{caption} {made_with(record)}"]
    return "\n".join(parts)


def rows_of(name: str, work: dict[str, Any]) -> list[list[str]]:
    """One row per peer."""
    return [
        [
            name,
            peer,
            facts["lanes"],
            number(facts["config-steps/s"]["median"]),
            f"{facts['cores busy']['median']:.1f}",
            times(facts["nnlab is faster by"]) if peer != "nnlab" else "",
            number(facts["GFLOP/s"]["median"]),
            *(f"{share['median']:.0%}" for share in facts["share of limit"].values()),
            f"{facts['compile seconds']:.1f}",
            f"{facts['first result seconds']:.1f}" if all_configs(facts, work) else "",
            agreement(facts["agreement"]),
        ]
        for peer, facts in work["peers"].items()
    ]


def holds(claim: bool) -> str:
    """A verdict; one that fails is not hidden."""
    return "holds" if claim else "**does not hold**"


def all_configs(facts: dict[str, Any], work: dict[str, Any]) -> bool:
    return facts["configs"] == work["configs"]


def number(value: float) -> str:
    """Three significant digits, thousands apart."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"


def times(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f}x ({ratio['least']:.2f}-{ratio['most']:.2f})"


def agreement(found: dict[str, Any]) -> str:
    """Steady runs of all, and how far they are from the reference."""
    if found["mean"] is not None:
        return f"masks of its own: mean loss {found['mean']:.1%} away"
    return (
        f"{found['steady']}/{found['configs']} steady, median {found['median']:.0e}, "
        f"largest {found['largest']:.0e}"
    )
