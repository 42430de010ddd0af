"""One rate per weight: from sums and means of squares, whole or factored, or by dual averaging."""

import optax
from optax import contrib

from nnlab.parity.case import Case, Span

RMS = {"initial_accumulator": "initial_scale", "eps_in_root": "eps_in_sqrt"}
FACTOR = {
    "clip": "clipping_threshold",
    "decay_power": "decay_rate",
    "min_dim": "min_dim_size_to_factor",
    "relative_step": "multiply_by_parameter_scale",
    "weight_decay": "weight_decay_rate",
}
RATE = Span(1e-3, 0.1, 0.01)
HEAVY = Span(0.0, 0.95, 0.9)
DECAY = Span(0.0, 0.1, 0.01)

CASES = (
    Case(
        "adagrad",
        optax.adagrad,
        names={"initial_accumulator": "initial_accumulator_value"},
        ours={"eps_in_root": True},
    ),
    Case("rmsprop", optax.rmsprop, names=RMS, both={"eps_in_root": False}, unstable=("network",)),
    Case(
        "rmsprop",
        optax.rmsprop,
        "eps in the root, momentum",
        names=RMS,
        spans={"momentum": HEAVY},
        both={"eps_in_root": True},
        unstable=("network",),
    ),
    Case(
        "rmsprop",
        optax.rmsprop,
        "centered, nesterov",
        names=RMS,
        spans={
            "eps": Span(1e-4, 1e-2, 1e-4),
            "initial_accumulator": Span(0.1, 1.0, 0.1),
            "momentum": HEAVY,
        },
        both={"eps_in_root": True, "centered": True, "nesterov": True},
        unstable=("rosenbrock", "network"),
    ),
    Case(
        "rmsprop",
        optax.rmsprop,
        "corrected",
        names=RMS,
        both={"eps_in_root": True, "bias_correction": True},
        unstable=("network",),
    ),
    Case(
        "adadelta",
        optax.adadelta,
        names={"decay": "rho"},
        spans={"learning_rate": Span(0.1, 1.0), "eps": Span(1e-8, 1e-4), "weight_decay": DECAY},
    ),
    Case(
        "adafactor",
        optax.adafactor,
        names=FACTOR,
        spans={"learning_rate": RATE, "eps": Span(1e-30, 1e-6)},
        ours={"decay_offset": 0.0},
    ),
    Case(
        "adafactor",
        optax.adafactor,
        "factored, momentum, decay",
        names=FACTOR,
        spans={
            "learning_rate": RATE,
            "eps": Span(1e-30, 1e-6),
            "momentum": HEAVY,
            "weight_decay": Span(0.0, 0.1, 1e-3),
        },
        both={"min_dim": 2, "relative_step": False},
        ours={"decay_offset": 0.0},
        theirs={"dtype_momentum": None},
    ),
    Case(
        "sm3",
        optax.sm3,
        on=("quadratic", "rosenbrock", "network", "arrays"),
        reason="without a number of rank 0, which optax's cannot hold",
    ),
    Case("ftrl", None, spans={"initial_accumulator": Span(0.01, 1.0), "power": Span(0.3, 0.7)}),
    Case(
        "madgrad",
        contrib.madgrad,
        spans={"eps": Span(1e-8, 1e-4), "weight_decay": DECAY},
        rtol=1e-6,
        reason="optax takes the root of t in float32",
    ),
    Case("asgd", None),
)
