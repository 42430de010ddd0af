"""What every optimizer has to prove, one row each, and the problems it is proved on.

A row names an optimizer of the table, the reference that it must follow, the numbers that are
traced (so that a new draw of hyperparameters compiles nothing) and the ranges they are drawn from.
"""

import contextlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax import contrib

from nnlab.optim import NEEDS, OPTIMIZERS


class Span(NamedTuple):
    """The default of a hyperparameter and the range of its random draws."""

    default: float
    low: float
    high: float


RATE = Span(0.01, 1e-3, 0.1)
BETA1 = Span(0.9, 0.0, 0.95)
BETA2 = Span(0.999, 0.9, 0.9999)
EPS = Span(1e-8, 1e-9, 1e-4)
MOMENTUM = Span(0.9, 0.0, 0.95)


@dataclass(frozen=True, eq=False)
class Case:
    """One optimizer against one reference; `reason` says why rtol is not 1e-10.

    Without a reference in optax the path is proved in test_optim_papers, the rest here.
    """

    name: str
    reference: Callable[..., Any] | None
    numbers: Mapping[str, Span]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    rtol: float = 1e-10
    reason: str = ""
    dtype: str = "float64"
    problems: tuple[str, ...] = ("quadratic", "rosenbrock", "network", "mixed")

    def ours(self, **numbers: Any) -> Any:
        return OPTIMIZERS[self.name](**numbers, **self.fixed)

    def defaults(self) -> dict[str, float]:
        return {name: span.default for name, span in self.numbers.items()}


def renamed(make: Callable[..., Any], names: Mapping[str, str] | None = None, **fixed: Any):
    """The optax constructor under nnlab's names of hyperparameters."""
    words = {"beta1": "b1", "beta2": "b2", "beta3": "b3"} | dict(names or {})

    def build(**numbers: Any) -> Any:
        return make(**{words.get(name, name): x for name, x in numbers.items()}, **fixed)

    return build


ADAM = {"learning_rate": RATE, "beta1": BETA1, "beta2": BETA2, "eps": EPS}
RMS = {"learning_rate": RATE, "decay": Span(0.9, 0.5, 0.99), "eps": Span(1e-8, 1e-9, 1e-4)}
START = {"initial_accumulator": "initial_accumulator_value"}
SCALE = {"initial_accumulator": "initial_scale"}

DECAY = Span(1e-3, 0.0, 0.1)
BELIEF = {
    **ADAM,
    "beta1": Span(0.9, 0.5, 0.95),
    "eps": Span(1e-16, 1e-16, 1e-8),
    "eps_root": Span(1e-16, 1e-16, 1e-8),
}
HOPE = {"strength": "alpha", "optimism": "beta"}
HOPES = {"learning_rate": RATE, "strength": Span(1.0, 0.5, 1.5), "optimism": Span(1.0, 0.0, 1.5)}
TRUST = {"trust": "trust_coefficient"}
LARS = {
    "learning_rate": RATE,
    "momentum": MOMENTUM,
    "trust": Span(1e-3, 1e-3, 0.1),
    "eps": Span(0.0, 0.0, 1e-3),
    "weight_decay": Span(0.0, 0.0, 0.1),
}
FACTOR = {
    "decay_power": "decay_rate",
    "clip": "clipping_threshold",
    "weight_decay": "weight_decay_rate",
}
FACTORS = {
    "learning_rate": RATE,
    "decay_power": Span(0.8, 0.5, 0.95),
    "clip": Span(1.0, 0.1, 2.0),
    "eps": Span(1e-30, 1e-30, 1e-6),
}
NO_NUMBERS = ("quadratic", "rosenbrock", "network")
KEY = jax.random.key(0)
AVERAGE = Span(0.9, 0.5, 0.95)
FREE = {
    "learning_rate": Span(1.0, 0.1, 2.0),
    "beta1": BETA1,
    "beta2": BETA2,
    "eps": EPS,
    "initial_distance": Span(1e-6, 1e-6, 1e-3),
    "weight_decay": Span(0.0, 0.0, 0.1),
}
POLYAK = {"learning_rate": "scaling", "lower_bound": "f_min"}
POLYAKS = {
    "max_learning_rate": Span(1.0, 0.01, 1.0),
    "lower_bound": Span(0.0, -1.0, 0.0),
    "eps": Span(0.0, 0.0, 1e-2),
}
MOMO = {
    "learning_rate": Span(1.0, 0.01, 1.0),
    "beta": BETA1,
    "lower_bound": Span(0.0, -1.0, 0.0),
    "weight_decay": Span(0.0, 0.0, 0.1),
}
MOMO_ADAM = {
    **ADAM,
    "lower_bound": Span(0.0, -1.0, 0.0),
    "weight_decay": Span(0.0, 0.0, 0.1),
}


def _betas(make: Callable[..., Any], **fixed: Any) -> Callable[..., Any]:
    """The optax constructor that takes two betas as one pair, under nnlab's names."""
    words = {"initial_distance": "estim_lr0", "growth": "estim_lr_coef"}

    def build(beta1: Any, beta2: Any, **numbers: Any) -> Any:
        rest = {words.get(name, name): x for name, x in numbers.items()}
        return make(betas=(beta1, beta2), **rest, **fixed)

    return build


def _first_optimistic_adam(learning_rate: Any, optimism: Any, strength: Any, **rest: Any) -> Any:
    """optax's first version, which multiplies the optimism by the rate itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return renamed(optax.optimistic_adam)(
            learning_rate=learning_rate, optimism=learning_rate * optimism, **rest
        )


CASES: dict[str, Case] = {
    "sgd": Case("sgd", renamed(optax.sgd), {"learning_rate": RATE}),
    "momentum": Case("momentum", renamed(optax.sgd), {"learning_rate": RATE, "momentum": MOMENTUM}),
    "momentum, nesterov": Case(
        "momentum",
        renamed(optax.sgd, nesterov=True),
        {"learning_rate": RATE, "momentum": MOMENTUM},
        {"nesterov": True},
    ),
    "nesterov": Case(
        "nesterov",
        renamed(optax.sgd, nesterov=True),
        {"learning_rate": RATE, "momentum": MOMENTUM},
    ),
    "adagrad": Case(
        "adagrad",
        renamed(optax.adagrad, START),
        {"learning_rate": RATE, "eps": EPS, "initial_accumulator": Span(0.0, 0.0, 0.2)},
        {"eps_in_root": True},
    ),
    "rmsprop": Case("rmsprop", renamed(optax.rmsprop, eps_in_sqrt=False), RMS),
    "rmsprop, eps in the root, momentum": Case(
        "rmsprop",
        renamed(optax.rmsprop, SCALE),
        {**RMS, "momentum": MOMENTUM, "initial_accumulator": Span(0.0, 0.0, 1.0)},
        {"eps_in_root": True},
    ),
    "rmsprop, centered, corrected, nesterov": Case(
        "rmsprop",
        renamed(
            optax.rmsprop,
            SCALE,
            eps_in_sqrt=True,
            centered=True,
            nesterov=True,
            bias_correction=True,
        ),
        {
            **RMS,
            "eps": Span(1e-4, 1e-4, 1e-2),
            "momentum": MOMENTUM,
            "initial_accumulator": Span(0.1, 0.1, 1.0),
        },
        {"eps_in_root": True, "centered": True, "nesterov": True, "bias_correction": True},
    ),
    "adam": Case("adam", renamed(optax.adam), {**ADAM, "eps_root": Span(0.0, 0.0, 1e-6)}),
    "adam, nesterov": Case("adam", renamed(optax.adam, nesterov=True), ADAM, {"nesterov": True}),
    "nadam": Case("nadam", renamed(optax.nadam), ADAM),
    "adamw": Case("adamw", renamed(optax.adamw), {**ADAM, "weight_decay": DECAY}),
    "nadamw": Case("nadamw", renamed(optax.nadamw), {**ADAM, "weight_decay": DECAY}),
    "amsgrad": Case("amsgrad", renamed(optax.amsgrad), ADAM),
    "amsgrad, the paper's": Case(
        "amsgrad",
        renamed(optax.amsgrad, bias_correction_mu=False, bias_correction_nu=False),
        ADAM,
        {"bias_correction": False},
    ),
    "adamax": Case("adamax", renamed(optax.adamax), ADAM),
    "adamaxw": Case("adamaxw", renamed(optax.adamaxw), {**ADAM, "weight_decay": DECAY}),
    "adabelief": Case("adabelief", renamed(optax.adabelief), BELIEF),
    "adabelief, nesterov": Case(
        "adabelief", renamed(optax.adabelief, nesterov=True), BELIEF, {"nesterov": True}
    ),
    "acprop": Case("acprop", renamed(contrib.acprop), {**BELIEF, "weight_decay": DECAY}),
    "yogi": Case("yogi", renamed(optax.yogi), {**ADAM, "eps": Span(1e-3, 1e-4, 1e-2)}),
    "radam": Case("radam", renamed(optax.radam), {**ADAM, "threshold": Span(5.0, 4.5, 8.0)}),
    "radam, nesterov": Case("radam", renamed(optax.radam, nesterov=True), ADAM, {"nesterov": True}),
    "adan": Case(
        "adan",
        renamed(optax.adan),
        {
            "learning_rate": RATE,
            "beta1": Span(0.98, 0.5, 0.99),
            "beta2": Span(0.92, 0.5, 0.99),
            "beta3": Span(0.99, 0.9, 0.999),
            "eps_root": Span(1e-8, 1e-9, 1e-6),
            "weight_decay": Span(0.0, 0.0, 0.1),
        },
    ),
    "adopt": Case("adopt", renamed(contrib.adopt), {**ADAM, "eps": Span(1e-6, 1e-6, 1e-3)}),
    "adopt, nesterov, unclipped": Case(
        "adopt",
        renamed(contrib.adopt, nesterov=True, use_clipping=False),
        {**ADAM, "eps": Span(1e-6, 1e-6, 1e-3)},
        {"nesterov": True, "clipping": False},
    ),
    "optimistic_gradient_descent": Case(
        "optimistic_gradient_descent", renamed(optax.optimistic_gradient_descent, HOPE), HOPES
    ),
    "optimistic_adam": Case(
        "optimistic_adam", renamed(optax.optimistic_adam_v2, HOPE), {**ADAM, **HOPES}
    ),
    "optimistic_adam, the first": Case(
        "optimistic_adam",
        _first_optimistic_adam,
        {**ADAM, **HOPES, "strength": Span(1.0, 1.0, 1.0)},
    ),
    "adadelta": Case(
        "adadelta",
        renamed(optax.adadelta, {"decay": "rho"}),
        {
            "learning_rate": Span(1.0, 0.1, 1.0),
            "decay": Span(0.9, 0.5, 0.99),
            "eps": Span(1e-6, 1e-8, 1e-4),
            "weight_decay": Span(0.0, 0.0, 0.1),
        },
    ),
    "sign_sgd": Case("sign_sgd", renamed(optax.sign_sgd), {"learning_rate": RATE}),
    "signum": Case("signum", renamed(optax.signum), {"learning_rate": RATE, "beta": BETA1}),
    "lion": Case(
        "lion",
        renamed(optax.lion),
        {"learning_rate": RATE, "beta1": BETA1, "beta2": BETA2, "weight_decay": DECAY},
    ),
    "rprop": Case(
        "rprop",
        None,
        {
            "learning_rate": RATE,
            "shrink": Span(0.5, 0.3, 0.9),
            "grow": Span(1.2, 1.05, 1.5),
            "min_step": Span(1e-6, 1e-8, 1e-4),
            "max_step": Span(50.0, 0.1, 50.0),
        },
    ),
    "lamb": Case("lamb", renamed(optax.lamb), {**ADAM, "weight_decay": Span(0.0, 0.0, 0.1)}),
    "lars": Case("lars", renamed(optax.lars, TRUST), LARS),
    "lars, nesterov": Case(
        "lars", renamed(optax.lars, TRUST, nesterov=True), LARS, {"nesterov": True}
    ),
    "fromage": Case(
        "fromage",
        renamed(optax.fromage),
        {"learning_rate": RATE, "min_norm": Span(1e-6, 1e-8, 1e-2)},
    ),
    "novograd": Case(
        "novograd",
        renamed(optax.novograd),
        {**ADAM, "beta2": Span(0.25, 0.1, 0.99), "weight_decay": Span(0.0, 0.0, 0.1)},
    ),
    "adafactor": Case(
        "adafactor",
        renamed(optax.adafactor, FACTOR),
        FACTORS,
        rtol=1e-5,
        reason="optax takes t to the decay's power in float32",
    ),
    "adafactor, factored, momentum, decay": Case(
        "adafactor",
        renamed(
            optax.adafactor, FACTOR, min_dim_size_to_factor=2, multiply_by_parameter_scale=False
        ),
        {**FACTORS, "momentum": MOMENTUM, "weight_decay": DECAY},
        {"min_dim": 2, "relative_step": False},
        rtol=1e-5,
        reason="optax takes t to the decay's power in float32",
    ),
    "sm3": Case(
        "sm3",
        renamed(optax.sm3),
        {"learning_rate": RATE, "momentum": MOMENTUM},
        problems=NO_NUMBERS,
    ),
    "ademamix": Case(
        "ademamix",
        renamed(contrib.ademamix),
        {
            **ADAM,
            "beta3": Span(0.9999, 0.99, 0.9999),
            "alpha": Span(5.0, 0.0, 10.0),
            "weight_decay": Span(0.0, 0.0, 0.1),
        },
    ),
    "simplified_ademamix": Case(
        "simplified_ademamix",
        renamed(contrib.simplified_ademamix),
        {
            "learning_rate": Span(1e-3, 1e-4, 1e-2),
            "beta1": Span(0.99, 0.5, 0.99),
            "beta2": Span(0.95, 0.9, 0.999),
            "alpha": Span(0.0, 0.0, 10.0),
        },
    ),
    "asgd": Case("asgd", None, {"learning_rate": RATE, "decay_rate": Span(1e-4, 0.0, 0.1)}),
    "ftrl": Case(
        "ftrl",
        None,
        {
            "learning_rate": RATE,
            "l1": Span(0.0, 0.0, 0.1),
            "l2": Span(0.0, 0.0, 0.1),
            "power": Span(0.5, 0.3, 0.7),
            "beta": Span(0.0, 0.0, 1.0),
            "initial_accumulator": Span(0.1, 0.01, 1.0),
        },
    ),
    "madgrad": Case(
        "madgrad",
        renamed(contrib.madgrad),
        {
            "learning_rate": RATE,
            "momentum": MOMENTUM,
            "eps": Span(1e-6, 1e-8, 1e-4),
            "weight_decay": Span(0.0, 0.0, 0.1),
        },
        rtol=1e-6,
        reason="optax takes the root of t in float32",
    ),
    "muon": Case(
        "muon",
        renamed(contrib.muon, {"beta1": "adam_b1", "beta2": "adam_b2"}),
        {"learning_rate": RATE, "beta": BETA1, "beta1": BETA1, "beta2": BETA2, "eps": EPS},
        rtol=1e-5,
        reason="optax keeps Newton-Schulz's coefficients in float32",
    ),
    "muon, plain momentum": Case(
        "muon",
        renamed(contrib.muon, {"beta1": "adam_b1", "beta2": "adam_b2"}, nesterov=False),
        {"learning_rate": RATE, "beta": BETA1, "beta1": BETA1, "beta2": BETA2, "eps": EPS},
        {"nesterov": False},
        rtol=1e-5,
        reason="optax keeps Newton-Schulz's coefficients in float32",
    ),
    "galore": Case(
        "galore",
        renamed(contrib.galore, rank=2, update_proj_gap=7),
        {"learning_rate": RATE, "weight_decay": Span(0.0, 0.0, 0.1)},
        {"rank": 2, "refresh": 7},
        rtol=1e-3,
        reason="optax takes singular vectors in float32, so all of it is compared there",
        dtype="float32",
    ),
    "shampoo": Case(
        "shampoo",
        None,
        {"learning_rate": RATE, "eps": Span(1e-4, 1e-4, 1e-2), "power": Span(1.0, 0.5, 2.0)},
    ),
    "soap": Case("soap", None, {**ADAM, "beta1": BETA1, "beta2": Span(0.95, 0.9, 0.99)}),
    "sophia": Case(
        "sophia",
        renamed(contrib.sophia, {"clip": "clip_threshold"}),
        {
            **ADAM,
            "beta1": Span(0.965, 0.5, 0.99),
            "beta2": Span(0.99, 0.9, 0.999),
            "gamma": Span(0.01, 0.01, 1.0),
            "clip": Span(1.0, 0.1, 1.0),
            "weight_decay": DECAY,
        },
        {"key": KEY},
        problems=("quadratic",),
    ),
    "noisy_sgd": Case(
        "noisy_sgd",
        None,
        {"learning_rate": RATE, "eta": Span(0.01, 0.0, 0.1), "gamma": Span(0.55, 0.0, 1.0)},
        {"key": KEY},
    ),
    "dadapt_adamw": Case("dadapt_adamw", _betas(contrib.dadapt_adamw), FREE),
    "prodigy": Case("prodigy", _betas(contrib.prodigy), {**FREE, "growth": Span(1.0, 0.5, 2.0)}),
    "prodigy, safeguarded": Case(
        "prodigy",
        _betas(contrib.prodigy, safeguard_warmup=True),
        {**FREE, "beta3": Span(0.99, 0.9, 0.999)},
        {"safeguard_warmup": True},
    ),
    "dog": Case(
        "dog",
        lambda initial_distance, **rest: contrib.dog(
            init_step=("heuristic", initial_distance), **rest
        ),
        {
            "learning_rate": Span(1.0, 0.1, 2.0),
            "initial_distance": Span(1e-6, 1e-6, 1e-2),
            "eps": EPS,
            "weight_decay": Span(0.0, 0.0, 0.1),
        },
    ),
    "dowg": Case(
        "dowg",
        lambda initial_distance, **rest: contrib.dowg(
            init_estim_sq_dist=initial_distance**2, **rest
        ),
        {
            "learning_rate": Span(1.0, 0.1, 2.0),
            "initial_distance": Span(1e-2, 1e-4, 1e-1),
            "eps": Span(1e-4, 1e-6, 1e-3),
        },
    ),
    "cocob": Case(
        "cocob",
        renamed(contrib.cocob),
        {
            "learning_rate": Span(1.0, 0.1, 2.0),
            "alpha": Span(100.0, 10.0, 200.0),
            "eps": EPS,
            "weight_decay": Span(0.0, 0.0, 0.1),
        },
        rtol=1e-8,
        reason="the step is a small difference of weights",
    ),
    "polyak_sgd": Case("polyak_sgd", renamed(optax.polyak_sgd, POLYAK), POLYAKS),
    "polyak_sgd, positive": Case(
        "polyak_sgd",
        renamed(optax.polyak_sgd, POLYAK, variant="sps+"),
        {**POLYAKS, "lower_bound": Span(0.5, 0.1, 1.0)},
        {"positive": True},
    ),
    "momo": Case("momo", renamed(contrib.momo), MOMO),
    "momo, adapted bound": Case(
        "momo", renamed(contrib.momo, adapt_lower_bound=True), MOMO, {"adapt_bound": True}
    ),
    "momo_adam": Case("momo_adam", renamed(contrib.momo_adam), MOMO_ADAM),
    "momo_adam, adapted bound": Case(
        "momo_adam",
        renamed(contrib.momo_adam, adapt_lower_bound=True),
        MOMO_ADAM,
        {"adapt_bound": True},
    ),
    "schedule_free_sgd": Case(
        "schedule_free_sgd",
        renamed(contrib.schedule_free_sgd, {"weight_power": "weight_lr_power"}),
        {"learning_rate": RATE, "beta1": AVERAGE, "weight_power": Span(2.0, 0.0, 2.0)},
        rtol=1e-8,
        reason="the step is a small difference of weights",
    ),
    "schedule_free_adamw": Case(
        "schedule_free_adamw",
        renamed(contrib.schedule_free_adamw),
        {**ADAM, "beta1": AVERAGE, "weight_decay": Span(0.0, 0.0, 0.1)},
        rtol=1e-8,
        reason="the step is a small difference of weights",
    ),
    "lbfgs": Case(
        "lbfgs",
        renamed(optax.lbfgs),
        {"learning_rate": Span(1.0, 0.5, 1.0)},
        rtol=1e-5,
        reason="near the minimum the accepted step hangs on the last bits of the loss",
    ),
    "lbfgs, no search": Case(
        "lbfgs",
        renamed(optax.lbfgs, linesearch=None, memory_size=4, scale_init_precond=False),
        {"learning_rate": Span(0.1, 0.05, 0.1)},
        {"line_search": False, "memory": 4, "scale_start": False},
        rtol=1e-6,
        reason="1 / <s, y> of nearly equal gradients",
    ),
}


# A variant of an optimizer (its row has another name) is compared on two of the problems.
CASES = {
    row: case if row == case.name else replace(case, problems=("rosenbrock", "network"))
    for row, case in CASES.items()
}


class Problem(NamedTuple):
    """A loss and the weights it starts from, in numpy so that the dtype is chosen later."""

    loss: Callable[[Any], Any]
    start: Any


def _normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


CURVATURES = 10.0 ** np.linspace(-4, 0, 10)
INPUTS, LABELS = _normal(0, 12, 4), np.eye(3)[np.arange(12) % 3]


def _quadratic(w: Any) -> Any:
    """Ten curvatures from 1e-4 to 1."""
    return 0.5 * jnp.sum(jnp.asarray(CURVATURES, w.dtype) * w**2)


def _rosenbrock(w: Any) -> Any:
    """log(1 + Rosenbrock): the same curved valley, with gradients that no step can blow up."""
    return jnp.log1p((1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2)


def _network(w: Any) -> Any:
    """A 4-5-3 network's cross-entropy on twelve examples."""
    logits = jnp.tanh(jnp.asarray(INPUTS, w[0].dtype) @ w[0]) @ w[1]
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * jnp.asarray(LABELS, logits.dtype), -1))


def _mixed(w: Any) -> Any:
    """A number and an array of rank 3, pulled to 1/2 by a log cosh."""
    terms = [jnp.sum(jnp.log(jnp.cosh(x - 0.5))) * k for k, x in enumerate(jax.tree.leaves(w), 1)]
    return sum(terms[1:], start=terms[0])


PROBLEMS = {
    "quadratic": Problem(_quadratic, 1.0 + np.abs(_normal(1, 10))),
    "rosenbrock": Problem(_rosenbrock, np.array([-1.2, 1.0])),
    "network": Problem(
        _network,
        [0.5 * _normal(2, 4, 5), 0.5 * _normal(4, 5, 3)],
    ),
    "mixed": Problem(
        _mixed,
        {
            "a": np.array(1.3),
            "b": _normal(6, 2, 1, 3),
        },
    ),
}


def begin(problem: Problem, dtype: Any) -> Any:
    return jax.tree.map(lambda w: jnp.asarray(w, dtype), problem.start)


def told(name: str, loss: Callable[[Any], Any], value: Any, g: Any) -> dict[str, Any]:
    """What the optimizer asks for beside gradient and weights."""
    known = {"value": value, "grad": g, "value_fn": loss, "obj_fn": loss}
    return {word: known[word] for word in NEEDS.get(name, ()) if word in known}


def lock_step(name: str, ours: Any, theirs: Any, problem: Problem, weights: Any, steps: int) -> Any:
    """Both optimizers' updates, step by step, on the path that the reference takes.

    Both see the same weights and gradients and keep their own state, so equal updates at every step
    mean equal paths, and the problem cannot amplify a rounding error into a different path.
    """
    ours, theirs = optax.with_extra_args_support(ours), optax.with_extra_args_support(theirs)

    def step(carry, _):
        w, a, b = carry
        value, g = jax.value_and_grad(problem.loss)(w)
        seen = told(name, problem.loss, value, g)
        u, a = ours.update(g, a, w, **seen)
        with lenient():
            v, b = theirs.update(g, b, w, **seen)
            w = optax.apply_updates(w, v)
        return (w, a, b), (u, v)

    with lenient():
        start = theirs.init(weights)
    return jax.lax.scan(step, (weights, ours.init(weights), start), length=steps)[1]


@contextlib.contextmanager
def lenient():
    """optax mixes dtypes and ranks when its hyperparameters are traced."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
