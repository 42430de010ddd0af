"""Gradient descent, its momenta, optimism, and steps that take only a sign."""

import warnings
from typing import Any

import jax
import optax

from nnlab.parity.case import Case

HOPE = {"strength": "alpha", "optimism": "beta"}


def first_optimistic_adam(
    learning_rate: Any, optimism: Any, b1: Any, b2: Any, eps: Any, eps_root: Any
) -> Any:
    """The first version, which multiplies the optimism by the rate itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return optax.optimistic_adam(learning_rate, learning_rate * optimism, b1, b2, eps, eps_root)


def prompt_rprop(
    learning_rate: Any, eta_minus: Any, eta_plus: Any, min_step_size: Any, max_step_size: Any
) -> Any:
    """Rprop in optax without its delay: the step of this call, which it keeps for the next one."""
    late = optax.rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        _, state = late.update(updates, state, params)
        return jax.tree.map(lambda step: -step, state[0].prev_updates), state

    return optax.GradientTransformation(late.init, update)


def quiet_sgd(learning_rate: Any) -> Any:
    """Noisy SGD in optax without noise."""
    return optax.noisy_sgd(learning_rate, eta=0.0, key=jax.random.key(0))


CASES = (
    Case("sgd", optax.sgd),
    Case("momentum", optax.sgd),
    Case("momentum", optax.sgd, "nesterov", both={"nesterov": True}),
    Case("nesterov", optax.sgd, theirs={"nesterov": True}),
    Case("optimistic_gradient_descent", optax.optimistic_gradient_descent, names=HOPE),
    Case("optimistic_adam", optax.optimistic_adam_v2, names=HOPE),
    Case("optimistic_adam", first_optimistic_adam, "the first"),
    Case(
        "noisy_sgd",
        quiet_sgd,
        ours={"eta": 0.0},
        on=("quadratic", "rosenbrock"),
        reason="without noise, of which both make other draws of one law",
    ),
    Case("sign_sgd", optax.sign_sgd),
    Case("signum", optax.signum),
    Case("lion", optax.lion),
    Case(
        "rprop",
        prompt_rprop,
        names={
            "shrink": "eta_minus",
            "grow": "eta_plus",
            "min_step": "min_step_size",
            "max_step": "max_step_size",
        },
        reason="with the step that optax computes; it hands out the one of the call before",
    ),
)
