"""Adam and the optimizers that change one line of it."""

from typing import Any

import jax.numpy as jnp
import optax
from optax import contrib

from nnlab import trees
from nnlab.parity.case import Case, Span

BELIEF = {
    "beta1": Span(0.5, 0.95),
    "eps": Span(1e-16, 1e-8),
    "eps_root": Span(1e-16, 1e-8),
}
DECAY = {"weight_decay": Span(0.0, 0.1, 0.01)}


def asynchronous_belief(
    learning_rate: Any, b1: Any, b2: Any, eps: Any, eps_root: Any, weight_decay: Any
) -> Any:
    """ACProp, made of optax's AdaBelief: the gradient over the v of the step before."""
    belief = optax.scale_by_belief(b1, b2, eps, eps_root)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        v = optax.tree.bias_correction(state.nu, b2, jnp.maximum(state.count, 1))
        v = trees.map(lambda v: jnp.where(state.count == 0, 1, v), v)
        u = trees.map(lambda g, v: g / (jnp.sqrt(v) + eps), updates, v)
        return u, belief.update(updates, state)[1]

    return optax.chain(
        optax.GradientTransformation(belief.init, update),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


CASES = (
    Case("adam", optax.adam),
    Case("adam", optax.adam, "nesterov", both={"nesterov": True}),
    Case("nadam", optax.nadam),
    Case("adamw", optax.adamw),
    Case("adamw", optax.adamw, "nesterov", both={"nesterov": True}),
    Case("nadamw", optax.nadamw),
    Case("amsgrad", optax.amsgrad),
    Case(
        "amsgrad",
        optax.amsgrad,
        "the paper's",
        ours={"bias_correction": False},
        theirs={"bias_correction_mu": False, "bias_correction_nu": False},
    ),
    Case("adamax", optax.adamax),
    Case("adamaxw", optax.adamaxw),
    Case("adabelief", optax.adabelief, spans=BELIEF),
    Case("adabelief", optax.adabelief, "nesterov", spans=BELIEF, both={"nesterov": True}),
    Case(
        "acprop",
        asynchronous_belief,
        spans=BELIEF | DECAY,
        unstable=("network",),
        reason="with optax's AdaBelief one step late, as in the paper; its acprop has an old mean",
    ),
    Case("yogi", optax.yogi, spans={"eps": Span(1e-4, 1e-2)}),
    Case("radam", optax.radam),
    Case("radam", optax.radam, "nesterov", both={"nesterov": True}),
    Case(
        "adan",
        optax.adan,
        spans={
            "beta1": Span(0.5, 0.99),
            "beta3": Span(0.9, 0.999),
            "eps_root": Span(1e-9, 1e-6),
            **DECAY,
        },
        both={"beta2": 0.92},
        ours={"extrapolation": 0.08},
        reason="optax extrapolates by 1 - beta2, the paper by beta2",
    ),
    Case("adopt", contrib.adopt, spans={"eps": Span(1e-6, 1e-3)}),
    Case(
        "adopt",
        contrib.adopt,
        "nesterov, unclipped",
        names={"clipping": "use_clipping"},
        spans={"eps": Span(1e-6, 1e-3)},
        both={"nesterov": True, "clipping": False},
    ),
    Case("ademamix", contrib.ademamix, spans={"beta3": Span(0.99, 0.9999), **DECAY}),
    Case(
        "simplified_ademamix",
        contrib.simplified_ademamix,
        spans={
            "learning_rate": Span(1e-4, 1e-2, 1e-3),
            "beta1": Span(0.5, 0.99),
            "beta2": Span(0.9, 0.999),
            **DECAY,
        },
    ),
)
