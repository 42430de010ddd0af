"""How far a sweep has come, for whoever shows it."""

import sys
from collections.abc import Callable
from contextlib import contextmanager
from typing import NamedTuple


class Status(NamedTuple):
    """A sweep in progress."""

    runs_done: int
    runs: int
    config_steps_per_second: float
    """Training steps of all runs per second since training began; 0 while compiling."""
    seconds_left: float
    """Infinite while nothing is known."""
    doing: str


Watch = Callable[[Status], None]


def silent(status: Status) -> None:
    """Show nothing."""


@contextmanager
def bar():
    """A progress bar on the terminal's standard error; nothing if it is not a terminal."""
    from rich.console import Console  # only who wants a bar waits for it
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:>9}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} runs"),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("planning", total=None, rate="", left="")

        def show(status: Status) -> None:
            known = status.config_steps_per_second > 0
            progress.update(
                task,
                description=status.doing,
                completed=status.runs_done,
                total=status.runs,
                rate=f"{status.config_steps_per_second:,.0f} config-steps/s" if known else "",
                left=f"{in_words(status.seconds_left)} left" if known else "",
            )

        yield show


def in_words(seconds: float) -> str:
    """A duration as a person says it: 45 s, 3 min 20 s, 2 h 5 min."""
    seconds = round(seconds)
    if seconds < 100:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
