"""A sweep's directory: `sweep.json` says what it is, `chunks/` holds one file per finished chunk.

Files are written beside their place and moved into it, so that a reader never sees half of one and
a kill at any moment loses at most the chunks in flight.
"""

import json
import os
import signal
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from nnlab.errors import UsageError

FORMAT = 1
DESCRIBED = {"format", "sweep", "cells", "epochs", "chunks", "made with"}
FUNCTION = "~"
"""Before the names of functions that are compared: it sorts last, so that labels come first."""
RECORDED = {"recipe", "seed", "train_loss", "val_loss", "seconds", "compile_seconds"}


class Store:
    """The chunks of one sweep, on disk or (without a directory) in memory."""

    def __init__(self, directory: Path | None):
        self.directory = directory
        self._memory: dict[int, dict[str, np.ndarray]] = {}

    @classmethod
    def open(cls, out: str | os.PathLike[str] | None, description: Mapping[str, Any]) -> "Store":
        """The directory of a sweep: a new one, or the same sweep's, to be continued.

        A sweep without a finished chunk is described anew: it may be cut into other chunks.
        Raises UsageError if the directory cannot be written or holds something else.
        """
        if out is None:
            return cls(None)
        if not isinstance(out, str | os.PathLike):
            raise UsageError(
                f"out needs the path of a directory, got {out!r}; try out='runs/first'"
            )
        directory = Path(out)
        text = (json.dumps(description, indent=2) + "\n").encode()
        try:
            if (directory / "sweep.json").exists():
                refuse_other_sweep(directory, read_description(directory), description)
                if cls(directory).begun:
                    return cls(directory)
            elif directory.is_dir() and any(p.suffix != ".partial" for p in directory.iterdir()):
                raise UsageError(
                    f"{directory} is not empty and holds no sweep; choose a new directory"
                )
            directory.mkdir(parents=True, exist_ok=True)
            write_atomically(directory / "sweep.json", lambda file: file.write(text))
            (directory / "chunks").mkdir(exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot write results to {directory} ({error.strerror}); choose another directory"
            ) from error
        return cls(directory)

    @classmethod
    def existing(cls, directory: str | os.PathLike[str]) -> "Store":
        """A directory that holds a sweep, to be read."""
        read_description(Path(directory))
        return cls(Path(directory))

    def description(self) -> dict[str, Any]:
        assert self.directory is not None  # noqa: S101 - a store in memory has no description
        return read_description(self.directory)

    def path(self, chunk: int) -> Path:
        assert self.directory is not None  # noqa: S101
        return self.directory / "chunks" / f"{chunk:06d}.npz"

    @property
    def begun(self) -> bool:
        """Whether a directory holds a finished chunk, and so is cut as it is for good."""
        return self.directory is not None and any((self.directory / "chunks").glob("*.npz"))

    def has(self, chunk: int) -> bool:
        return chunk in self._memory if self.directory is None else self.path(chunk).exists()

    def write(self, chunk: int, arrays: dict[str, np.ndarray]) -> None:
        """Keep a finished chunk."""
        if self.directory is None:
            self._memory[chunk] = arrays
            return
        path = self.path(chunk)
        try:
            write_atomically(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
        except OSError as error:
            raise UsageError(
                f"cannot write {path} ({error.strerror}); make room or mend permissions and "
                "run the same command again: finished chunks are kept"
            ) from error

    def read(self, chunk: int) -> dict[str, np.ndarray]:
        """A finished chunk's arrays; raises UsageError if its file is damaged."""
        if self.directory is None:
            return self._memory[chunk]
        path = self.path(chunk)
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = dict(file)
            if missing := sorted(RECORDED - set(arrays)):
                raise KeyError(missing[0])
            return arrays
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UsageError(
                f"{path} is damaged ({type(error).__name__}); delete it and run the same sweep "
                "again to train its runs anew"
            ) from error


@contextmanager
def alone(out: Any) -> Iterator[None]:
    """Train into a directory as the only process that does; UsageError where another one does.

    Two that cut a sweep into different chunks would lose each other's. The lock ends with its
    process, however that ends. Where there are no locks (Windows, some network disks) none is held.
    """
    held = None
    try:
        import fcntl

        Path(out).mkdir(parents=True, exist_ok=True)
        held = os.open(out, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if held is not None:
            os.close(held)
        raise UsageError(
            f"another process trains into {out}; wait for its end, or choose another directory"
        ) from None
    except (ImportError, TypeError, ValueError, OSError):
        pass  # no directory, or no locks: what is wrong, `Store.open` says
    try:
        yield
    finally:
        if held is not None:
            os.close(held)


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file so that it appears whole or not at all; Ctrl-C waits until it is written."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with uninterrupted():
        try:
            with temporary.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
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


def read_description(directory: Path) -> dict[str, Any]:
    """What `sweep.json` says; raises UsageError if there is none or it is damaged."""
    path = directory / "sweep.json"
    if not path.exists():
        raise UsageError(
            f"{directory} holds no sweep (no sweep.json); give the --out directory of nnlab ablate"
        )
    try:
        description = json.loads(path.read_text())
        if missing := sorted(DESCRIBED - set(description)):
            raise KeyError(missing[0])
        if description["format"] != FORMAT:
            raise UsageError(
                f"{path} has format {description['format']}, this nnlab reads format {FORMAT}; "
                "read it with the nnlab that wrote it"
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(
            f"{path} is damaged ({error}); restore it or run the sweep anew elsewhere"
        ) from error
    return description


def refuse_other_sweep(
    directory: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    """Raise UsageError with the first difference if a directory belongs to another sweep."""
    old, new = flat(found["sweep"]), flat(json.loads(json.dumps(wanted["sweep"])))
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name) and name.startswith(FUNCTION):
            raise UsageError(
                f"{directory} holds another sweep: its {name.removeprefix(FUNCTION)} computes "
                "something else, or was written for another Python; choose another directory"
            )
        if old.get(name) != new.get(name):
            raise UsageError(
                f"{directory} holds another sweep ({name}: {shorten(old.get(name))} there, "
                f"{shorten(new.get(name))} asked for); choose another directory"
            )
    if list(old) != list(new):
        raise UsageError(
            f"{directory} holds this sweep with its axes in another order; keep it, or choose "
            "another directory"
        )


def flat(sweep: Mapping[str, Any]) -> dict[str, Any]:
    """A sweep's description with one entry per axis."""
    axes = {f"axis {name}": values for name, values in sweep["axes"].items()}
    functions = {f"{FUNCTION}{name}": value for name, value in sweep.get("functions", {}).items()}
    rest = {name: value for name, value in sweep.items() if name not in ("axes", "functions")}
    return rest | axes | functions


def shorten(value: Any) -> str:
    """A value in at most 60 letters."""
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
