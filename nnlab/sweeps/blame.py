"""What goes wrong in a person's own function, as one line about it."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from nnlab.errors import UsageError

LIBRARIES = ("site-packages", str(Path(__file__).parents[1]))


@contextmanager
def blamed(what: str) -> Iterator[None]:
    """Any error inside becomes one line that says what failed, where and why."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{what} does not work{place(error)}: {reason(error)}") from error


def place(error: Exception) -> str:
    """The last line of the person's own code on the way to an error."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not any(library in f.filename for library in LIBRARIES)]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def reason(error: Exception) -> str:
    """Why, in words that need no knowledge of how jax works inside."""
    if isinstance(error, jax.errors.JAXTypeError | jax.errors.JAXIndexError):
        return (
            "it asks for values (if, float, numpy) while only shapes are known; "
            "use jax.numpy, and jnp.where instead of if"
        )
    text = next(iter(str(error).strip().splitlines()), "")
    text = re.sub(r"\w*Tracer\b", "Array", text.replace("dot_general", "a matrix product"))
    return f"{type(error).__name__}: {text}"


def came(value: Any) -> str:
    """What a function returned, in words."""
    return (
        f"{value.dtype} of shape {value.shape}" if hasattr(value, "shape") else type(value).__name__
    )
