"""Models: pure functions of one run and the knobs they read."""

from nnlab.models.convnet import ConvNet, convnet
from nnlab.models.flax import FlaxModel, from_flax
from nnlab.models.loss import LossModel, from_loss
from nnlab.models.mlp import MLP, mlp
from nnlab.models.model import Model, Network, Problem, Settings

__all__ = [
    "MLP",
    "ConvNet",
    "FlaxModel",
    "LossModel",
    "Model",
    "Network",
    "Problem",
    "Settings",
    "convnet",
    "from_flax",
    "from_loss",
    "mlp",
]
