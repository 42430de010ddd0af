"""What the benchmarks' command lines share."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine


def options(name: str, claim: str, rounds: int) -> argparse.ArgumentParser:
    """A benchmark's options: how many rounds, where the record goes, toy sizes."""
    parser = argparse.ArgumentParser(prog=name, description=claim)
    parser.add_argument("--rounds", type=int, default=rounds, help="interleaved (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path(f"benchmarks/results/{name}.json"))
    parser.add_argument("--quick", action="store_true", help="toy sizes: a test, not a measurement")
    return parser


def begin(claim: str, given: argparse.Namespace) -> dict[str, Any]:
    """A record's head."""
    made = machine.describe()
    return {"claim": claim, "quick": given.quick, "rounds": given.rounds, "made with": made}


def keep(record: dict[str, Any], given: argparse.Namespace) -> None:
    """Write the record, as far as it has come: an hour's measurement is not lost to the last."""
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(record, indent=2) + "\n")


def finish(record: dict[str, Any], given: argparse.Namespace, text: str) -> None:
    """Write the record, print its table."""
    keep(record, given)
    print(text)


def say(text: str) -> None:
    """Progress, apart from the table."""
    print(text, file=sys.stderr, flush=True)
