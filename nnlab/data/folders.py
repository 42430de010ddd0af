"""Where data lie on this machine."""

import os
from collections.abc import Sequence
from pathlib import Path

from nnlab.errors import UsageError


def data_folder(data_dir: str | os.PathLike[str] | None = None) -> Path | None:
    """`data_dir`, or else the environment's NNLAB_DATA_DIR; None where neither is given."""
    chosen = data_dir or os.environ.get("NNLAB_DATA_DIR")
    if not chosen:
        return None
    folder = Path(chosen).expanduser()
    if not folder.is_dir():
        origin = "data_dir" if data_dir else "NNLAB_DATA_DIR"
        raise UsageError(
            f"{origin} is {folder}, which is not a folder; it needs the folder that holds the "
            "data; check the path, or try digits"
        )
    return folder


def folder_with(
    names: Sequence[str], data_dir: str | os.PathLike[str] | None = None, called: str = ""
) -> Path:
    """The folder that holds all the named files: the data folder, or one `called` so.

    The latter lies in the data folder or beside it. Raises UsageError where they are not.
    """
    folder = data_folder(data_dir) or Path("data")
    for place in (folder, folder / called, folder.parent / called):
        if all((place / name).is_file() for name in names):
            return place
    raise UsageError(
        f"{folder} has no {' with '.join(names)}; give the folder that holds them: --data FOLDER, "
        "or NNLAB_DATA_DIR"
    )
