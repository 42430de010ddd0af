"""Rates found on the way: from the distance travelled, from the loss, or by averaging weights."""

from typing import Any

import optax
from optax import contrib

from nnlab import trees
from nnlab.parity.case import Case, Span

RATE = Span(0.1, 2.0)
DECAY = Span(0.0, 0.1, 0.01)
BETA = Span(0.5, 0.95)
FREE = {"initial_distance": "estim_lr0", "growth": "estim_lr_coef"}
POLYAK = {"lower_bound": "f_min"}
MOMO = {"adapt_bound": "adapt_lower_bound"}
CAP = Span(0.01, 1.0)


def dadapt_adamw(
    learning_rate: Any, b1: Any, b2: Any, eps: Any, estim_lr0: Any, weight_decay: Any
) -> Any:
    """The same with its pair of betas apart."""
    return contrib.dadapt_adamw(learning_rate, (b1, b2), eps, estim_lr0, weight_decay)


def prodigy(
    learning_rate: Any,
    b1: Any,
    b2: Any,
    eps: Any,
    estim_lr0: Any,
    estim_lr_coef: Any,
    weight_decay: Any,
    b3: Any = None,
    safeguard_warmup: bool = False,
) -> Any:
    """The same with its pair of betas apart."""
    return contrib.prodigy(
        learning_rate,
        (b1, b2),
        beta3=b3,
        eps=eps,
        estim_lr0=estim_lr0,
        estim_lr_coef=estim_lr_coef,
        weight_decay=weight_decay,
        safeguard_warmup=safeguard_warmup,
    )


def dog(learning_rate: Any, initial_distance: Any, eps: Any, weight_decay: Any) -> Any:
    """The same with the relative first distance of the paper."""
    return contrib.dog(learning_rate, ("heuristic", initial_distance), eps, weight_decay)


def dowg(learning_rate: Any, initial_distance: Any, eps: Any, weight_decay: Any) -> Any:
    """The same with a first distance in place of its square."""
    return contrib.dowg(learning_rate, initial_distance**2, eps, weight_decay)


def proximal(inner: Any, decay: Any) -> Any:
    """MoMo in optax with the paper's decay: what it takes off, it takes off the step as well."""
    share = decay / (1 + decay)

    def update(updates: Any, state: Any, params: Any = None, **more: Any) -> tuple[Any, Any]:
        u, state = inner.update(updates, state, params, **more)
        u = trees.map(lambda u, w: (u + share * w) / (1 + decay) - share * w, u, params)
        return u, state

    return optax.GradientTransformationExtraArgs(inner.init, update)


def momo(
    learning_rate: Any,
    beta: Any,
    lower_bound: Any,
    weight_decay: Any,
    adapt_lower_bound: bool = False,
) -> Any:
    """The same with the decay of the paper."""
    inner = contrib.momo(learning_rate, beta, lower_bound, weight_decay, adapt_lower_bound)
    return proximal(inner, learning_rate * weight_decay)


def momo_adam(
    learning_rate: Any,
    b1: Any,
    b2: Any,
    eps: Any,
    lower_bound: Any,
    weight_decay: Any,
    adapt_lower_bound: bool = False,
) -> Any:
    """The same with the decay of the paper."""
    inner = contrib.momo_adam(
        learning_rate, b1, b2, eps, lower_bound, weight_decay, adapt_lower_bound
    )
    return proximal(inner, learning_rate * weight_decay)


CASES = (
    Case(
        "dadapt_adamw",
        dadapt_adamw,
        names=FREE,
        spans={"learning_rate": RATE},
        unstable=("rosenbrock", "network"),
    ),
    Case("prodigy", prodigy, names=FREE, spans={"learning_rate": RATE}, unstable=("rosenbrock",)),
    Case(
        "prodigy",
        prodigy,
        "safeguarded",
        names=FREE,
        spans={"learning_rate": RATE, "beta3": Span(0.9, 0.999, 0.99)},
        both={"safeguard_warmup": True},
        unstable=("rosenbrock",),
    ),
    Case("dog", dog, spans={"learning_rate": RATE, "weight_decay": DECAY}),
    Case(
        "dowg",
        dowg,
        spans={
            "learning_rate": RATE,
            "initial_distance": Span(1e-4, 1e-1),
            "eps": Span(1e-6, 1e-3),
            "weight_decay": DECAY,
        },
    ),
    Case(
        "cocob",
        contrib.cocob,
        spans={"alpha": Span(10.0, 200.0), "weight_decay": DECAY},
        both={"learning_rate": 1.0},
        reason="at the rate of 1, which cancels in optax",
    ),
    Case(
        "polyak_sgd",
        optax.polyak_sgd,
        names=POLYAK,
        spans={"eps": Span(0.0, 1e-2)},
        ours={"learning_rate": 1.0},
    ),
    Case(
        "polyak_sgd",
        optax.polyak_sgd,
        "positive",
        names=POLYAK,
        spans={"eps": Span(0.0, 1e-2), "lower_bound": Span(0.1, 1.0, 0.5)},
        ours={"learning_rate": 1.0, "positive": True},
        theirs={"variant": "sps+"},
    ),
    Case(
        "momo",
        momo,
        spans={"learning_rate": CAP},
        reason="with the paper's decay, where optax does not divide the step",
    ),
    Case(
        "momo",
        momo,
        "adapted bound",
        names=MOMO,
        spans={"learning_rate": CAP},
        both={"adapt_bound": True},
    ),
    Case(
        "momo_adam",
        momo_adam,
        reason="with the paper's decay, where optax does not divide the step",
    ),
    Case("momo_adam", momo_adam, "adapted bound", names=MOMO, both={"adapt_bound": True}),
    Case(
        "schedule_free_sgd",
        contrib.schedule_free_sgd,
        names={"weight_power": "weight_lr_power"},
        spans={"learning_rate": Span(1e-3, 0.1, 0.01), "beta1": BETA, "weight_decay": DECAY},
    ),
    Case(
        "schedule_free_adamw",
        contrib.schedule_free_adamw,
        names={"weight_power": "weight_lr_power"},
        spans={"beta1": BETA, "weight_decay": DECAY},
    ),
)
