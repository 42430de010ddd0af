"""Models: pure functions of one run and the knobs they read."""

from nnlab.models.convnet import ConvNet, convnet
from nnlab.models.flax import FlaxModel, from_flax
from nnlab.models.loss import LossModel, from_loss
from nnlab.models.mlp import MLP, mlp
from nnlab.models.model import Model, Network, Problem, Settings
from nnlab.models.quadratic import quadratic
from nnlab.models.signals import LayerStatistics, Signal, layer_statistics, signals

__all__ = [
    "MLP",
    "ConvNet",
    "FlaxModel",
    "LayerStatistics",
    "LossModel",
    "Model",
    "Network",
    "Problem",
    "Settings",
    "Signal",
    "convnet",
    "from_flax",
    "from_loss",
    "layer_statistics",
    "mlp",
    "quadratic",
    "signals",
]
