"""A sweep's directory: `sweep.json` says what it is, `chunks/` holds one file per finished chunk.

Files are written beside their place and moved into it, so that a reader never sees half of one and a
kill at any moment loses at most the chunks in flight.
"""

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnlab.errors import UsageError

FORMAT = 1


class Store:
    """The chunks of one sweep, on disk or (without a directory) in memory."""

    def __init__(self, directory: Path | None):
        self.directory = directory
        self._memory: dict[int, dict[str, np.ndarray]] = {}

    @classmethod
    def open(cls, out: str | os.PathLike[str] | None, description: Mapping[str, Any]) -> "Store":
        """The directory of a sweep: a new one, or the same sweep's, to be continued.

        Raises UsageError if it cannot be written or holds something else.
        """
        if out is None:
            return cls(None)
        directory = Path(out)
        existing = directory / "sweep.json"
        if existing.exists():
            refuse_other_sweep(directory, read_description(directory), description)
            return cls(directory)
        if directory.is_dir() and any(directory.iterdir()):
            raise UsageError(
                f"{directory} is not empty and holds no sweep; choose a new directory for the results"
            )
        try:
            (directory / "chunks").mkdir(parents=True, exist_ok=True)
            write_atomically(existing, (json.dumps(description, indent=2) + "\n").encode())
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

    def has(self, chunk: int) -> bool:
        return chunk in self._memory if self.directory is None else self.path(chunk).exists()

    def write(self, chunk: int, arrays: dict[str, np.ndarray]) -> None:
        """Keep a finished chunk."""
        if self.directory is None:
            self._memory[chunk] = arrays
            return
        path = self.path(chunk)
        temporary = path.with_suffix(f".{os.getpid()}.partial")
        try:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise UsageError(
                f"cannot write {path} ({error.strerror}); make room or mend permissions and run the "
                "same command again: finished chunks are kept"
            ) from error

    def read(self, chunk: int) -> dict[str, np.ndarray]:
        """A finished chunk's arrays; raises UsageError if its file is damaged."""
        if self.directory is None:
            return self._memory[chunk]
        path = self.path(chunk)
        try:
            with np.load(path, allow_pickle=False) as file:
                return dict(file)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UsageError(
                f"{path} is damaged ({type(error).__name__}); delete it and run the same sweep again "
                "to train its runs anew"
            ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    temporary.write_bytes(content)
    temporary.replace(path)


def read_description(directory: Path) -> dict[str, Any]:
    """What `sweep.json` says; raises UsageError if there is none or it is damaged."""
    path = directory / "sweep.json"
    if not path.exists():
        raise UsageError(
            f"{directory} holds no sweep (no sweep.json); give the --out directory of `nnlab ablate`"
        )
    try:
        description = json.loads(path.read_text())
        if description["format"] != FORMAT:
            raise UsageError(
                f"{path} has format {description['format']}, this nnlab reads format {FORMAT}; "
                "read it with the nnlab that wrote it"
            )
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{path} is damaged ({error}); restore it or run the sweep anew") from error
    return description


def refuse_other_sweep(
    directory: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    """Raise UsageError with the first difference if a directory belongs to another sweep."""
    for part in ("sweep", "chunks"):
        old, new = found.get(part, {}), json.loads(json.dumps(wanted[part]))
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                raise UsageError(
                    f"{directory} holds another sweep ({name}: {shorten(old.get(name))} there, "
                    f"{shorten(new.get(name))} asked for); choose another directory"
                )


def shorten(value: Any) -> str:
    """A value in at most 60 letters."""
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
