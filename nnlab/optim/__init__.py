"""Optimizers as optax gradient transformations whose every number may vary from run to run."""

from collections.abc import Callable
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

OPTIMIZERS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        acprop, adabelief, adadelta, adafactor, adagrad, adam, adamax, adamaxw, adamw, adan,
        ademamix, adopt, amsgrad, asgd, cocob, dadapt_adamw, dog, dowg, fromage, ftrl, galore, lamb,
        lars, lbfgs, lion, madgrad, momentum, momo, momo_adam, muon, nadam, nadamw, nesterov,
        noisy_sgd, novograd, optimistic_adam, optimistic_gradient_descent, polyak_sgd, prodigy,
        radam, rmsprop, rprop, schedule_free_adamw, schedule_free_sgd, sgd, shampoo, sign_sgd,
        signum, simplified_ademamix, sm3, soap, sophia, yogi,
    )
}  # fmt: skip
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

__all__ = ["NEEDS", "OPTIMIZERS", "OPTIMIZERS_SEE", "decoupled_weight_decay", "l2"]
