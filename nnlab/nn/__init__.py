"""Pure mathematics: initializers, activations, layers, losses and metrics."""

from nnlab.nn.activations import ACTIVATIONS
from nnlab.nn.initializers import INITIALIZERS
from nnlab.nn.losses import LOSSES
from nnlab.nn.metrics import METRICS

__all__ = ["ACTIVATIONS", "INITIALIZERS", "LOSSES", "METRICS"]
