"""The one exception a person sees: what came, what was needed, what to try; and its words."""

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """A request nnlab cannot carry out; its message is one line that says how to mend it."""


def name_of(function: object) -> str:
    """A function as its writer calls it."""
    function = getattr(function, "func", function)  # of a partial
    return getattr(function, "__name__", None) or type(function).__name__


def unknown(
    kind: str, word: object, choices: Iterable[str], meant: str | None = None
) -> UsageError:
    """The error for a name that is not in a table: what is meant, or near, then the whole list."""
    names = sorted(set(choices))
    near = difflib.get_close_matches(str(word), names, n=1, cutoff=0.5)
    near = [meant] if meant in names else near
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UsageError(f"unknown {kind} {str(word)!r}; {hint}choose from {', '.join(names)}")
