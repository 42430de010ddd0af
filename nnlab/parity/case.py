"""A case: one optimizer, optax's constructor of it, and how the two are to be compared.

Every number that both constructors take is compared, at its default and at random draws, so that a
row says only what differs between the two: names, fixed arguments, unusual ranges, and why the
paths agree to less than 1e-10 where they do.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, get_args

import jax
import optax

from nnlab.optim import NEEDS, OPTIMIZERS
from nnlab.parity.problems import FOUR


class Span(NamedTuple):
    """The range of a number's random draws; its default if the constructor has none."""

    low: float
    high: float
    default: float | None = None


SPANS = {
    "alpha": Span(0.0, 10.0),
    "beta": Span(0.0, 0.95),
    "beta1": Span(0.0, 0.95),
    "beta2": Span(0.9, 0.9999),
    "beta3": Span(0.9, 0.999, 0.99),
    "clip": Span(0.1, 2.0),
    "decay": Span(0.5, 0.99),
    "decay_offset": Span(0.0, 3.0),
    "decay_power": Span(0.5, 0.95),
    "decay_rate": Span(0.0, 0.1),
    "eps": Span(1e-9, 1e-4),
    "eps_root": Span(0.0, 1e-6),
    "eta": Span(0.0, 0.1),
    "extrapolation": Span(0.0, 1.0),
    "gamma": Span(0.01, 1.0),
    "grow": Span(1.05, 1.5),
    "growth": Span(0.5, 2.0),
    "initial_accumulator": Span(0.0, 1.0),
    "initial_distance": Span(1e-6, 1e-3),
    "l1": Span(0.0, 0.1),
    "l2": Span(0.0, 0.1),
    "learning_rate": Span(1e-3, 0.1, 0.01),
    "lower_bound": Span(-1.0, 0.0),
    "max_learning_rate": Span(0.01, 1.0),
    "max_step": Span(0.1, 50.0),
    "min_norm": Span(1e-8, 1e-2),
    "min_step": Span(1e-8, 1e-4),
    "momentum": Span(0.0, 0.95, 0.9),
    "optimism": Span(0.0, 1.5),
    "power": Span(0.5, 1.0),
    "refresh": Span(2.0, 2.0),
    "scale": Span(0.25, 2.0),
    "shrink": Span(0.3, 0.9),
    "start": Span(0.0, 2.0),
    "strength": Span(0.5, 1.5),
    "threshold": Span(4.5, 8.0),
    "tries": Span(5.0, 5.0),
    "trust": Span(1e-3, 0.1),
    "weight_decay": Span(0.0, 0.1, 0.01),
    "weight_power": Span(0.0, 2.0),
}
"""Every number of every optimizer; a case may narrow one."""

WORDS = {"beta1": "b1", "beta2": "b2", "beta3": "b3"}
"""optax's name of an argument where it has another and a case says nothing."""


def numbers_of(make: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The arguments of a constructor that may be traced numbers; flags, masks and sizes are not."""
    known = inspect.signature(make).parameters
    return {name: p for name, p in known.items() if float in get_args(p.annotation)}


def flags_of(make: Callable[..., Any]) -> list[str]:
    """The arguments of a constructor that may be traced switches."""
    known = inspect.signature(make).parameters
    return [name for name, p in known.items() if bool in get_args(p.annotation)]


def construct(name: str, **arguments: Any) -> Any:
    """An optimizer by name, with a learning rate of 0.01 and a key if it cannot do without."""
    known = inspect.signature(OPTIMIZERS[name]).parameters
    needed = {word for word, p in known.items() if p.default is p.empty}
    if "key" in needed:
        arguments = {"key": jax.random.key(0)} | arguments
    if "learning_rate" in needed:
        arguments = {"learning_rate": SPANS["learning_rate"].default} | arguments
    return OPTIMIZERS[name](**arguments)


@dataclass(frozen=True, eq=False)
class Case:
    """One optimizer against one reference.

    Without a reference (optax lacks it) the optimizer is proved by the tests alone, against numpy
    transcriptions of its paper.
    """

    name: str
    reference: Callable[..., Any] | None
    variant: str = ""
    """What is special about this row of the optimizer; a variant is compared on two problems."""
    names: Mapping[str, str] = field(default_factory=dict)
    """optax's names of arguments, where they are neither nnlab's nor in WORDS."""
    spans: Mapping[str, Span] = field(default_factory=dict)
    """Numbers with another range or default, and numbers that are None unless a row names them."""
    both: Mapping[str, Any] = field(default_factory=dict)
    """Fixed arguments of both constructors, under nnlab's names."""
    ours: Mapping[str, Any] = field(default_factory=dict)
    theirs: Mapping[str, Any] = field(default_factory=dict)
    rtol: float = 1e-10
    reason: str = ""
    """Why rtol is not 1e-10, or what is compared in place of the whole."""
    dtype: str = "float64"
    on: tuple[str, ...] = ()
    """The problems, if not the usual ones."""
    unstable: tuple[str, ...] = ()
    """Problems on which the path amplifies rounding errors, so that only lock step compares."""

    @property
    def label(self) -> str:
        """The optimizer's name and the variant's."""
        return f"{self.name}, {self.variant}" if self.variant else self.name

    @property
    def problems(self) -> tuple[str, ...]:
        """The problems on which paths are compared."""
        return self.on or (("rosenbrock", "network") if self.variant else FOUR)

    @cached_property
    def numbers(self) -> dict[str, Span]:
        """What varies: the numbers that both constructors take, with ranges and defaults."""
        fixed = self.both.keys() | self.ours.keys()
        found = {}
        for name, parameter in numbers_of(OPTIMIZERS[self.name]).items():
            optional = parameter.default is None and name not in self.spans
            if not optional and name not in fixed and self._takes(name):
                span = self.spans.get(name, SPANS[name])
                own = self.spans[name].default if name in self.spans else None
                known = (own, parameter.default, SPANS[name].default)
                default = next(x for x in known if isinstance(x, int | float))
                found[name] = span._replace(default=float(default))
        return found

    @property
    def defaults(self) -> dict[str, float]:
        """Every number's default."""
        return {name: float(span.default or 0) for name, span in self.numbers.items()}

    def optimizer(self, **numbers: Any) -> Any:
        """The optimizer of nnlab."""
        return construct(self.name, **numbers, **self.both, **self.ours)

    def optax(self, **numbers: Any) -> Any:
        """The reference, from numbers under nnlab's names."""
        return self._reference(**self._renamed(numbers | dict(self.both)), **self.theirs)

    def injected(self, **numbers: Any) -> Any:
        """The reference under inject_hyperparams: the numbers are arrays in its state."""
        make = self._reference
        still = set(inspect.signature(make).parameters) - set(self._renamed(self.numbers))
        injected = optax.inject_hyperparams(make, static_args=still)
        return injected(**self._renamed(numbers | dict(self.both)), **self.theirs)

    @property
    def _reference(self) -> Callable[..., Any]:
        if self.reference is None:
            raise LookupError(f"optax has no {self.name}")
        return self.reference

    def _takes(self, name: str) -> bool:
        if self.reference is None:
            return True
        return self.word(name) in inspect.signature(self.reference).parameters

    def word(self, name: str) -> str:
        """An argument's name in optax."""
        return self.names.get(name, WORDS.get(name, name))

    def _renamed(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {self.word(name): x for name, x in arguments.items()}


def told(name: str, loss: Callable[[Any], Any], value: Any, g: Any) -> dict[str, Any]:
    """What an optimizer asks for in update beside gradient and weights."""
    known = {"value": value, "grad": g, "value_fn": loss, "obj_fn": loss}
    return {word: known[word] for word in NEEDS.get(name, ()) if word in known}
