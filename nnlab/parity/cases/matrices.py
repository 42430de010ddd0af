"""Norms per array, low rank, orthogonal steps, and curvature."""

import optax
from optax import contrib

from nnlab.parity.case import Case, Span

DECAY = {"weight_decay": Span(0.0, 0.1, 0.01)}
MUON = {"beta1": "adam_b1", "beta2": "adam_b2"}

CASES = (
    Case("lamb", optax.lamb, spans=DECAY),
    Case(
        "lars",
        optax.lars,
        names={"trust": "trust_coefficient"},
        reason="without decay, whose length optax adds in another way than the paper",
    ),
    Case(
        "lars",
        optax.lars,
        "nesterov",
        names={"trust": "trust_coefficient"},
        both={"nesterov": True},
    ),
    Case("fromage", optax.fromage, unstable=("network",)),
    Case("novograd", optax.novograd, spans={"beta2": Span(0.1, 0.99)}, unstable=("network",)),
    Case("muon", contrib.muon, names=MUON, unstable=("network",)),
    Case(
        "muon",
        contrib.muon,
        "plain momentum",
        names=MUON,
        both={"nesterov": False},
    ),
    Case("galore", None, spans=DECAY, both={"rank": 2}),
    Case("shampoo", None, spans={"eps": Span(1e-4, 1e-2)}),
    Case("soap", None, spans={"beta2": Span(0.9, 0.99)}),
    Case(
        "sophia",
        contrib.sophia,
        names={"clip": "clip_threshold"},
        spans={
            "beta1": Span(0.5, 0.99),
            "beta2": Span(0.9, 0.999),
            "clip": Span(0.1, 1.0),
            "gamma": Span(0.01, 1.0),
            "weight_decay": Span(0.0, 0.1, 1e-4),
        },
        ours={"refresh": 10},
        on=("quadratic", "mixed"),
        reason="where the Hessian is diagonal, so that the draws do not matter",
    ),
    Case(
        "lbfgs",
        optax.lbfgs,
        spans={"learning_rate": Span(0.5, 1.0)},
    ),
    Case(
        "lbfgs",
        optax.lbfgs,
        "no search",
        names={"line_search": "linesearch", "memory": "memory_size"},
        spans={"learning_rate": Span(0.05, 0.1, 0.1)},
        both={"memory": 4},
        ours={"line_search": False, "scale_start": False},
        theirs={"linesearch": None, "scale_init_precond": False},
        on=("quadratic", "mixed"),
        reason="where the loss is convex; optax keeps pairs of negative curvature",
    ),
)
