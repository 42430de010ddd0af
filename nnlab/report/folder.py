"""Folders to write into: nothing that somebody else put there is overwritten."""

from pathlib import Path

from nnlab.errors import UsageError
from nnlab.files import DRAFT

MARK = '<meta name="generator" content="nnlab">'
"""What a page of nnlab's has in its head."""
OWN = ("results.nc", "sweep.json")
NAMED = 3


def refuse_foreign(directory: Path) -> None:
    """Raises UsageError for a folder with files where none shows that nnlab made it.

    Such a sign is a page of nnlab's, results, or a sweep, also one stage of a search. Names that
    begin with a dot count as no file.
    """
    if not directory.is_dir():
        return
    held = sorted(
        path.name
        for path in directory.iterdir()
        if not path.name.startswith(".") and path.suffix != DRAFT
    )
    page = directory / "index.html"
    signs = [*OWN, *(f"{place}/sweep.json" for place in ("stage1", "final"))]
    ours = is_page(page) or any((directory / sign).exists() for sign in signs)
    if held and not ours:
        raise refusal(directory, held)
    if page.exists() and not is_page(page) and not (directory / "results.nc").exists():
        raise refusal(directory, [page.name])


def is_page(path: Path) -> bool:
    """Whether a file is a page that nnlab wrote."""
    return path.is_file() and MARK in path.read_text(encoding="utf-8", errors="replace")[:2000]


def refusal(directory: Path, held: list[str]) -> UsageError:
    """The error for a folder that holds files of others."""
    some = ", ".join(held[:NAMED]) + ", …" * (len(held) > NAMED)
    return UsageError(f"{directory} holds other files ({some}); choose a new folder")
