"""Files that appear whole or not at all, and what to say where none can be written."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nnlab.errors import UsageError

DRAFT = ".partial"
"""How the name of a file ends that is not finished."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft beside a file, moved into its place when it is written; Ctrl-C waits until then."""
    draft = path.with_name(f"{path.name}.{os.getpid()}{DRAFT}")
    with uninterrupted():
        try:
            yield draft
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait, where Python's main thread would hear it.

    In the middle of a zip file it would end as the error of a file that cannot be closed.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    heard: list[Any] = []
    signal.signal(signal.SIGINT, lambda *signal_: heard.append(signal_))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if heard:
        before(*heard[0])


@contextmanager
def writing_into(place: Path) -> Iterator[None]:
    """Say in one line that a file or folder cannot be written, and what to do."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"cannot write into {place} ({error.strerror or error}); "
            "choose a folder you can write to"
        ) from error
