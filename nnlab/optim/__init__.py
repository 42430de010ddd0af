"""Optimizers as optax gradient transformations whose every number may vary from run to run."""

from collections.abc import Callable
from itertools import chain
from typing import Any

from nnlab.optim.adam import adam, adamw, amsgrad, nadam, nadamw
from nnlab.optim.adam_variants import acprop, adabelief, adamax, adamaxw, adan, adopt, radam, yogi
from nnlab.optim.adaptive import adadelta, adagrad, rmsprop
from nnlab.optim.averaging import ademamix, asgd, simplified_ademamix
from nnlab.optim.core import Sees
from nnlab.optim.dual import ftrl, madgrad
from nnlab.optim.factored import adafactor, sm3
from nnlab.optim.galore import galore
from nnlab.optim.layerwise import fromage, lamb, lars, novograd
from nnlab.optim.lbfgs import lbfgs
from nnlab.optim.muon import muon
from nnlab.optim.optimistic import optimistic_adam, optimistic_gradient_descent
from nnlab.optim.parameter_free import cocob, dadapt_adamw, dog, dowg, prodigy
from nnlab.optim.polyak import momo, momo_adam, polyak_sgd
from nnlab.optim.private import noisy_sgd
from nnlab.optim.schedule_free import schedule_free_adamw, schedule_free_sgd
from nnlab.optim.sgd import momentum, nesterov, sgd
from nnlab.optim.shampoo import shampoo, soap
from nnlab.optim.sign import lion, rprop, sign_sgd, signum
from nnlab.optim.sophia import sophia
from nnlab.optim.transforms import decoupled_weight_decay, l2

FAMILIES: dict[str, tuple[Callable[..., Any], ...]] = {
    "plain, heavy, Polyak": (sgd, momentum, nesterov, noisy_sgd, polyak_sgd, momo, momo_adam),
    "averaged, optimistic": (
        asgd, ademamix, simplified_ademamix, schedule_free_adamw, schedule_free_sgd,
        optimistic_adam, optimistic_gradient_descent,
    ),
    "a rate per weight": (adagrad, adadelta, rmsprop, ftrl, madgrad, adafactor, sm3),
    "signs and layers": (sign_sgd, signum, rprop, lion, fromage, lars, novograd),
    "Adam": (adam, adamw, amsgrad, nadam, nadamw, radam, lamb),
    "Adam's relatives": (acprop, adabelief, adamax, adamaxw, adan, adopt, yogi),
    "parameter-free": (cocob, dadapt_adamw, dog, dowg, prodigy),
    "curvature, matrices": (lbfgs, galore, muon, shampoo, soap, sophia),
}  # fmt: skip
"""Every optimizer by kinship, at most seven to a family, so that a figure can tell them apart."""

OPTIMIZERS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in sorted(chain(*FAMILIES.values()), key=lambda f: f.__name__)
}
"""Every optimizer by name; the first sentence of its docstring says what it does."""

OPTIMIZERS_SEE: dict[Callable[..., Any], Sees] = (
    dict.fromkeys(OPTIMIZERS.values(), Sees.NUMBERS)
    | dict.fromkeys((adafactor, fromage, lamb, lars, novograd, sm3), Sees.ARRAYS)
    | dict.fromkeys((galore, muon, noisy_sgd, shampoo, soap, sophia), Sees.AXES)
)
"""What each of them tells apart in a tree of weights."""

NEEDS: dict[str, tuple[str, ...]] = {
    "lbfgs": ("value", "grad", "value_fn"),
    "momo": ("value",),
    "momo_adam": ("value",),
    "noisy_sgd": ("key",),
    "polyak_sgd": ("value",),
    "sophia": ("key", "obj_fn"),
}
"""What an optimizer asks for beside gradients and weights: key when made, the rest in update."""

__all__ = ["FAMILIES", "NEEDS", "OPTIMIZERS", "OPTIMIZERS_SEE", "decoupled_weight_decay", "l2"]
