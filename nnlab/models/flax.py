"""A flax module as a model."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nnlab.errors import UsageError
from nnlab.models.model import Settings
from nnlab.nn.convolution import conv_general_dilated
from nnlab.nn.products import dot_general
from nnlab.types import Array, PRNGKey

FORMS: dict[str, Callable[..., Array]] = {
    "dot_general": dot_general,
    "conv_general_dilated": conv_general_dilated,
}
"""jax's functions that are slow under vmap, by nnlab's forms."""
MODES = {"train": True, "training": True, "deterministic": False, "use_running_average": False}
"""Names by which flax modules are told that they train, with the value that says so."""
ROOM = "a window is larger than its image; take smaller windows, fewer layers or padding SAME"


@dataclass(frozen=True, eq=False)
class FlaxModel:
    """A `flax.linen` module: its own initializers, dropout and norms; no knobs of nnlab's.

    Collections other than "params" (batch statistics) are carried as stats. A module whose
    `__call__` takes `train`, `training`, `deterministic` or `use_running_average` is told. Dense
    and Conv layers that leave their products to jax compute them by nnlab's forms, equal but for
    rounding and fast under vmap. Models of equal modules are equal.
    """

    module: Any
    knobs: ClassVar[frozenset[str]] = frozenset()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FlaxModel):
            return NotImplemented
        try:
            return self.module is other.module or bool(self.module == other.module)
        except (TypeError, ValueError):  # arrays among the fields are not compared
            return False

    def __hash__(self) -> int:
        return hash(type(self.module))  # a module that holds lists has no hash of its own

    def _mode(self, training: bool) -> dict[str, bool]:
        names = inspect.signature(type(self.module).__call__).parameters
        return {name: value is training for name, value in MODES.items() if name in names}

    def start(
        self, key: PRNGKey, shape: tuple[int, ...], outputs: int, settings: Settings
    ) -> tuple[Any, Any]:
        """The module's own initial variables, params apart from the other collections."""
        del outputs, settings
        params, dropout = jax.random.split(key)
        batch = jnp.zeros((1, *shape))
        keys = {"params": params, "dropout": dropout}
        from flax.linen import intercept_methods

        with intercept_methods(with_room):
            variables = dict(self.module.init(keys, batch, **self._mode(training=False)))
        return variables.pop("params", {}), variables

    def apply(
        self, params: Any, stats: Any, x: Array, settings: Settings, key: PRNGKey | None
    ) -> tuple[Array, Any]:
        """The module's outputs for a batch; key None means evaluation."""
        del settings
        mode = self._mode(training=key is not None)
        variables = {"params": params, **stats}
        from flax.linen import intercept_methods

        with intercept_methods(by_own_forms):
            if key is None:
                return self.module.apply(variables, x, **mode), stats
            outputs, changed = self.module.apply(
                variables, x, rngs={"dropout": key}, mutable=list(stats), **mode
            )
        return outputs, {**stats, **changed}


def by_own_forms(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
    """Call a flax module's method; a layer that leaves its product to jax computes it by `FORMS`.

    flax's layers have a field for that, but a bound one is frozen.
    """
    from flax import linen

    layer = context.module
    field = {linen.Dense: "dot_general", linen.Conv: "conv_general_dilated"}.get(type(layer))
    if field is None or context.method_name != "__call__":
        return call(*args, **kwargs)
    if any(getattr(layer, name, None) is not None for name in (field, f"{field}_cls")):
        return call(*args, **kwargs)
    object.__setattr__(layer, field, FORMS[field])
    try:
        return call(*args, **kwargs)
    finally:
        object.__setattr__(layer, field, None)


def with_room(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
    """Call a flax module's method, or raise UsageError for a layer that gets or leaves nothing."""
    from flax import linen

    layer = context.module
    layers = isinstance(layer, linen.Dense | linen.Conv) and context.method_name == "__call__"
    if layers and args and 0 in jnp.shape(args[0]):
        raise UsageError(f"{layer.name} gets shape {jnp.shape(args[0])[1:]} of an example; {ROOM}")
    outputs = call(*args, **kwargs)
    if layers and 0 in jnp.shape(outputs):
        raise UsageError(f"{layer.name} leaves shape {outputs.shape[1:]} of an example; {ROOM}")
    return outputs


def from_flax(module: Any) -> FlaxModel:
    """A `flax.linen` module that maps [batch, ...] to [batch, outputs], as a model to sweep."""
    kind = module if isinstance(module, type) else type(module)
    if any(base.__module__.startswith("flax.nnx") for base in kind.__mro__):
        raise UsageError(
            f"from_flax got {kind.__name__} of flax.nnx, and only flax.linen is supported; "
            "try linen.Dense(10)"
        )
    if isinstance(module, type) or not (hasattr(module, "init") and hasattr(module, "apply")):
        came = f"the class {module.__name__}" if isinstance(module, type) else type(module).__name__
        raise UsageError(
            f"from_flax needs an instance of a flax.linen.Module, got {came}; try linen.Dense(10)"
        )
    return FlaxModel(module)
