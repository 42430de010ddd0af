"""What a model is: two pure functions of one run, and the names of the knobs they read.

The first begins a run. The second says what it minimises: the outputs of a `Network`, which the
sweep's loss compares with targets, or the loss itself of a `Problem`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

from nnlab.nn.activations import relu
from nnlab.nn.initializers import he, zeros
from nnlab.types import Activation, Array, Flag, Initializer, Number, Params, PRNGKey, Scalar


class Settings(NamedTuple):
    """How a model is built for one run; None leaves a part out of the program."""

    init: Initializer = he()
    bias_init: Initializer = zeros()
    activation: Activation | Callable[..., Array] = relu
    dropout: Number | None = None
    """Probability of dropping a unit."""
    batch_norm: Flag | None = None
    """Flag: True normalises, False passes through; True itself, untraced, leaves the choice out."""


class Start(Protocol):
    """What begins a run; frozen dataclasses let a sweep vary their fields.

    A field whose name is on a sweep's axis (`hidden`, say) is replaced, and each of its values
    gets a program of its own. A model whose start ignores the key may say so: `draws = False`.
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


@runtime_checkable
class Network(Start, Protocol):
    """A model with outputs; how they are judged is a knob, `loss`."""

    def apply(
        self, params: Params, stats: Any, x: Array, settings: Settings, key: PRNGKey | None
    ) -> tuple[Array, Any]:
        """(outputs [batch, outputs], stats) of a batch; key None means evaluation."""
        ...


@runtime_checkable
class Problem(Start, Protocol):
    """A model that is a loss: it has no outputs, and its data need no targets."""

    @property
    def measures(self) -> Mapping[str, Callable[[Params], Scalar]]:
        """Numbers of the parameters to record, by name: at the start and after every epoch."""
        ...

    def loss(self, params: Params, batch: Any) -> Scalar:
        """The mean loss of a batch: x [batch, ...], or (x, y) where the data have targets."""
        ...


Model = Network | Problem
OF_LOSS = frozenset({"loss", "label_smoothing"})
"""Knobs of the loss that is put behind a network."""


def reads(model: Model) -> frozenset[str]:
    """The knobs of the forward half that a model's runs read."""
    own = frozenset(model.knobs)
    return own if isinstance(model, Problem) else own | OF_LOSS


def draws(model: Model) -> bool:
    """Whether a model's start depends on the seed; where it does not, its `draws` is False."""
    return bool(getattr(model, "draws", True))
