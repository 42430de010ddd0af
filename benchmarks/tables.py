"""A record as a Markdown table."""

from typing import Any

HEAD = (
    "work", "peer", "lanes", "config-steps/s", "cores busy", "nnlab is faster by", "GFLOP/s",
    "of the limit", "compile s", "first result s", "agreement",
)  # fmt: skip


def markdown(record: dict[str, Any]) -> str:
    """The table of a side-by-side record, and where it was measured."""
    rows = [row for name, work in record["workloads"].items() for row in rows_of(name, work)]
    lines = [f"| {' | '.join(row)} |" for row in (HEAD, ["---"] * len(HEAD), *rows)]
    titles = [
        f"- {name}: {work['title']}; "
        f"{work['configs']} configs of {work['steps of a config']} steps, "
        f"{work['flops of a config-step'] / 1e6:.2f} MFLOP each; limit "
        f"{work['limit GFLOP/s']['median']:.0f} GFLOP/s"
        for name, work in record["workloads"].items()
    ]
    made = "; ".join(f"{what} {value}" for what, value in record["made with"].items())
    missing = [f"- {name}: {why}" for name, why in record["left out"].items()]
    caption = f"Medians of {record['rounds']} interleaved rounds (least-most). {made}."
    toy = ["Toy sizes: a test, not a measurement."] if record["quick"] else []
    return "\n".join([*lines, "", *titles, *missing, "", caption, *toy])


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
            f"{facts['share of limit']['median']:.0%}",
            f"{facts['compile seconds']:.1f}",
            f"{facts['first result seconds']:.1f}" if all_configs(facts, work) else "",
            agreement(facts["agreement"]),
        ]
        for peer, facts in work["peers"].items()
    ]


def all_configs(facts: dict[str, Any], work: dict[str, Any]) -> bool:
    return facts["configs"] == work["configs"]


def number(value: float) -> str:
    """Three significant digits, thousands apart."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"


def times(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f}x ({ratio['least']:.2f}-{ratio['most']:.2f})"


def agreement(found: dict[str, Any]) -> str:
    """Steady runs of all, and how far they are from the reference."""
    return (
        f"{found['steady']}/{found['configs']} steady, median {found['median']:.0e}, "
        f"largest {found['largest']:.0e}"
    )
