"""What a model is: two pure functions of one run, and the names of the knobs they read."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from nnlab.nn.activations import relu
from nnlab.nn.initializers import he, zeros
from nnlab.types import Activation, Array, Flag, Initializer, Number, Params, PRNGKey


class Settings(NamedTuple):
    """How a model is built for one run; None leaves a part out of the program."""

    init: Initializer = he()
    bias_init: Initializer = zeros()
    activation: Activation | Callable[..., Array] = relu
    dropout: Number | None = None
    """Probability of dropping a unit."""
    batch_norm: Flag | None = None
    """Flag: True normalises, False passes through."""


@runtime_checkable
class Model(Protocol):
    """Any object with these; frozen dataclasses let a sweep vary their fields.

    A field whose name is on a sweep's axis (`hidden`, say) is replaced, and each of its values
    gets a program of its own.
    """

    @property
    def knobs(self) -> frozenset[str]:
        """The names in `Settings` that this model reads."""
        ...

    def start(
        self, key: PRNGKey, shape: tuple[int, ...], outputs: int, settings: Settings
    ) -> tuple[Params, Any]:
        """Initial (params, stats) for examples of a shape."""
        ...

    def apply(
        self, params: Params, stats: Any, x: Array, settings: Settings, key: PRNGKey | None
    ) -> tuple[Array, Any]:
        """(outputs [batch, outputs], stats) of a batch; key None means evaluation."""
        ...
