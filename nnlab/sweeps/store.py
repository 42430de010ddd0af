"""A sweep's directory: `sweep.json` says what it is, `chunks/` holds one file per finished chunk.

Files are written beside their place and moved into it, so that a reader never sees half of one and
a kill at any moment loses at most the chunks in flight.
"""

import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from nnlab.errors import UsageError
from nnlab.files import DRAFT, replacing

FORMAT = 1
DESCRIBED = {"format", "sweep", "cells", "epochs", "chunks", "made with"}
JUDGED_BY = "judged_by"
"""Of a description and of results: the metric to choose by, no part of what the sweep is."""
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

        A sweep without a finished chunk is described anew: it may be cut into other chunks. What
        continues with other versions, or on another device, is noted beside what began. The metric
        to choose by stays until another one is given.
        Raises UsageError if the directory cannot be written or holds something else.
        """
        if out is None:
            return cls(None)
        if not isinstance(out, str | os.PathLike):
            raise UsageError(
                f"out needs the path of a directory, got {out!r}; try out='runs/first'"
            )
        directory = Path(out)
        try:
            if (directory / "sweep.json").exists():
                found = read_description(directory)
                refuse_other_sweep(directory, found, description)
                judge = {k: d[k] for d in (found, description) for k in (JUDGED_BY,) if k in d}
                if cls(directory).begun:
                    now = {**found, **judge}
                    if cls(directory).unfinished(found):
                        now = noted(now, description["made with"])
                    if now != found:
                        write_description(directory, now)
                    return cls(directory)
                description = {**description, **judge}
            elif directory.is_dir() and any(p.suffix != DRAFT for p in directory.iterdir()):
                raise UsageError(
                    f"{directory} is not empty and holds no sweep; choose a new directory"
                )
            directory.mkdir(parents=True, exist_ok=True)
            write_description(directory, description)
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

    def unfinished(self, description: Mapping[str, Any]) -> bool:
        """Whether some of the chunks that a description promises are missing."""
        promised = sum(c["config_chunks"] * c["seed_chunks"] for c in description["chunks"])
        return not all(map(self.has, range(promised)))

    def has(self, chunk: int) -> bool:
        return chunk in self._memory if self.directory is None else self.path(chunk).exists()

    def write(self, chunk: int, arrays: dict[str, np.ndarray]) -> None:
        """Keep a finished chunk."""
        if self.directory is None:
            self._memory[chunk] = arrays
            return
        path = self.path(chunk)
        try:
            with replacing(path) as draft, draft.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
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
        for draft in (Path(out) / "chunks").glob(f"*{DRAFT}"):
            draft.unlink()  # of a process that was killed
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


def write_description(directory: Path, description: Mapping[str, Any]) -> None:
    """Write `sweep.json`."""
    with replacing(directory / "sweep.json") as draft:
        draft.write_text(json.dumps(description, indent=2) + "\n")


def noted(description: dict[str, Any], made_with: Mapping[str, Any]) -> dict[str, Any]:
    """The description with the versions and the device that continue, where they are others."""
    last = [description["made with"], *description.get("continued with", [])][-1]
    if all(last.get(what) == value for what, value in made_with.items() if what != "started"):
        return description
    so_far = description.get("continued with", [])
    return {**description, "continued with": [*so_far, dict(made_with)]}


def read_description(directory: Path) -> dict[str, Any]:
    """What `sweep.json` says; raises UsageError if there is none or it is damaged."""
    path = directory / "sweep.json"
    if not path.exists():
        one = "the directory a sweep was kept in (out=, --out)"
        if directory.is_file():
            one += ", or read a file that Results.save wrote with nnlab.Results.open"
        if (directory / "stage1").exists():
            one = f"a stage of the search in it: {directory / 'stage1'}"
        what = "holds no sweep (no sweep.json)" if directory.exists() else "does not exist"
        raise UsageError(f"{directory} {what}; give {one}")
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
    axes = [{name for name in sweep if name.startswith("axis ")} for sweep in (old, new)]
    if differ := sorted(axes[0] ^ axes[1]):
        name, where = differ[0].removeprefix("axis "), "there" if differ[0] in old else "here"
        raise UsageError(
            f"{directory} holds another sweep: {name} is an axis only {where}; "
            "choose another directory"
        )
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
