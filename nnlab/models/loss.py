"""A plain loss function as a model: its parameters are what is trained, nothing else is needed."""

import hashlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from nnlab import trees
from nnlab.errors import UsageError, name_of
from nnlab.models.model import Settings
from nnlab.types import Params, PRNGKey, Scalar

Measure = Callable[[Params], Scalar]
TAKEN = frozenset({
    "loss", "accuracy", "seed", "epoch", "config", "recipe", "diverged_at", "seconds",
    "compile_seconds",
})  # fmt: skip
PREFIXES = ("train_", "val_", "test_", "start_")


class LossModel:
    """A loss (params, batch) -> scalar with its own starting point; no knobs of nnlab's.

    Equal only to itself.
    """

    def __init__(
        self,
        loss: Callable[..., Any],
        start: Any,
        measures: Mapping[str, Measure],
        name: str,
    ):
        self._loss = loss
        self._measures = MappingProxyType(dict(measures))
        self._start = start
        self._name = name

    @property
    def knobs(self) -> frozenset[str]:
        return frozenset()

    @property
    def draws(self) -> bool:
        """Whether the start is drawn with the seed's key."""
        return callable(self._start)

    @property
    def measures(self) -> Mapping[str, Measure]:
        """Numbers of the parameters, by name."""
        return self._measures

    def loss(self, params: Params, batch: Any) -> Any:
        """The given loss; whether it is one number is seen before anything is compiled."""
        return self._loss(params, batch)

    def start(
        self, key: PRNGKey, shape: tuple[int, ...], outputs: int, settings: Settings
    ) -> tuple[Params, tuple[()]]:
        """The given parameters, or those drawn with the key; no statistics."""
        del shape, outputs, settings
        return self._start(key) if callable(self._start) else self._start, ()

    def __repr__(self) -> str:
        """The loss by name, and where it starts: what tells two problems apart in a file."""
        drawn = callable(self._start)
        start = name_of(self._start) if drawn else fingerprint(self._start)
        watched = f", {', '.join(self._measures)}" if self._measures else ""
        return f"from_loss({self._name}, start {start}{watched})"


def from_loss(
    loss: Any,
    start: Any,
    measures: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> LossModel:
    """A model that minimises loss(params, batch), from a start of its own.

    The loss is the mean over the examples of a batch: x [batch, ...], or the pair (x, y) where the
    data have targets; `nnlab.data.from_arrays(x)` has none, and without data there is one empty
    example, so that at batch size 1 an epoch is one update. `start` is a tree of arrays, or a
    function key -> such a tree, drawn anew for each seed. `measures` are functions of the
    parameters that return one number; the results hold it after every epoch under its name, and
    before the first step as start_<name>. Activation, initializer, dropout and loss are no knobs
    here; weight decay acts on arrays of rank two and more, as everywhere. Raises UsageError.
    """
    if not callable(loss):
        raise UsageError(
            f"from_loss needs a function (params, batch) -> scalar, got {type(loss).__name__}"
        )
    for word, measure in (measures or {}).items():
        if not word.isidentifier() or word in TAKEN or word.startswith(PREFIXES):
            raise UsageError(f"a measure cannot be called {word!r}; try a name like 'distance'")
        if not callable(measure):
            raise UsageError(
                f"measure {word} needs a function of the parameters, got {type(measure).__name__}"
            )
    begin = start if callable(start) else trees.map(_checked, start)
    if not callable(begin) and not jax.tree.leaves(begin):
        raise UsageError("from_loss got a start without numbers; give an array of one or more")
    return LossModel(loss, begin, measures or {}, name or name_of(loss))


def _checked(leaf: Any) -> np.ndarray:
    """An array of the start in float32; a list of numbers would be a tree of them, no vector."""
    if not hasattr(leaf, "__array__") or np.asarray(leaf).dtype.kind not in "fiu":
        raise UsageError(
            f"from_loss needs arrays to start from, got {type(leaf).__name__}; "
            "try np.array([1.0, 2.0]), a tree of arrays, or a function of a key"
        )
    array = np.array(leaf, np.float32)
    if not np.isfinite(array).all():
        raise UsageError("from_loss got a start that is not finite in float32; give finite numbers")
    return array


def fingerprint(tree: Params) -> str:
    """How many numbers a tree holds, and the first 8 hex digits of their SHA-256."""
    digest = hashlib.sha256(str(jax.tree.structure(tree)).encode())
    for leaf in jax.tree.leaves(tree):
        digest.update(f"{leaf.shape}".encode() + leaf.tobytes())
    return f"{sum(leaf.size for leaf in jax.tree.leaves(tree))}:{digest.hexdigest()[:8]}"
