"""Models: pure functions of one run and the knobs they read."""

from nnlab.models.convnet import ConvNet, convnet
from nnlab.models.flax import FlaxModel, from_flax
from nnlab.models.mlp import MLP, mlp
from nnlab.models.model import Model, Settings

__all__ = [
    "MLP",
    "ConvNet",
    "FlaxModel",
    "Model",
    "Settings",
    "convnet",
    "from_flax",
    "mlp",
]
