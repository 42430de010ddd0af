"""What a study found beside what was published, in rows that a file can hold."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.markup import escape
from rich.table import Table

from nnlab.errors import UsageError

FILE = "verdicts.json"
HEAD = ("study", "claim", "published", "ours", "verdict")


class Verdict(NamedTuple):
    """One claim put to the test."""

    claim: str
    published: str
    """What the source says, with its numbers."""
    ours: str
    """What was found, with its interval, as `report.table.limits` writes it."""
    holds: bool
    why: str = ""
    """Where it fails: what looking into it showed."""


def keep(verdicts: Sequence[Verdict], directory: Path) -> Path:
    """Write a study's verdicts beside its figures."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / FILE
    rows = [
        v._replace(holds=bool(v.holds))._asdict() for v in verdicts
    ]  # numpy's bool is not json's
    path.write_text(json.dumps(rows, indent=2) + "\n")
    return path


def read(directory: Path) -> list[Verdict]:
    """The verdicts in a study's directory; raises UsageError where there are none."""
    path = directory / FILE
    try:
        return [Verdict(**row) for row in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{path} holds no verdicts ({type(error).__name__}); run the study again"
        ) from error


def verdict_rows(studies: Iterable[tuple[str, Sequence[Verdict]]]) -> Iterator[list[str]]:
    """One row per claim, under HEAD; a claim that fails says so, and why."""
    for study, verdicts in studies:
        for verdict in verdicts:
            word = "holds" if verdict.holds else f"FAILS: {verdict.why}".removesuffix(": ")
            yield [study, verdict.claim, verdict.published, verdict.ours, word]


def verdict_table(studies: Iterable[tuple[str, Sequence[Verdict]]]) -> Table:
    """The rows as a table for a terminal."""
    table = Table(title_justify="left", show_lines=True)
    for name in HEAD:
        table.add_column(name, overflow="fold")
    for row in verdict_rows(studies):
        table.add_row(*map(escape, row))
    return table
