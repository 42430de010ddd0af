"""What the torch peers share: the model, the optimizers, the data where a program reads them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.inputs import Inputs
from benchmarks.workloads import Config, Workload

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": partial(torch.optim.SGD, fused=True),
    "momentum": partial(torch.optim.SGD, momentum=0.9, fused=True),
    "nesterov": partial(torch.optim.SGD, momentum=0.9, nesterov=True, fused=True),
    "adagrad(initial_accumulator=0.1, eps_in_root=true)": partial(
        torch.optim.Adagrad, initial_accumulator_value=0.1, eps=1e-7
    ),
    "rmsprop": partial(torch.optim.RMSprop, alpha=0.9),
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, weight_decay=1e-4, fused=True),
    "adamax": torch.optim.Adamax,
}
"""Those of the workloads' optimizers that torch has with the same formula.

Its AMSGrad, NAdam and RAdam are others, and it has no AdaBelief. Adagrad's eps is outside the root:
beside sums of .1 and more that is less than rounding.
"""
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": functional.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
    "elu": functional.elu, "silu": functional.silu,
    "gelu_tanh": partial(functional.gelu, approximate="tanh"),
}  # fmt: skip


class Network(nn.Module):
    """5x5 convolutions with 2x2 pools, if any, then linear layers; an activation between them."""

    def __init__(self, work: Workload, activation: str):
        super().__init__()
        channels = (1, *work.channels)
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 5, padding="same")
            for a, b in zip(channels, work.channels, strict=False)
        )
        *hidden, last = zip(work.sizes, work.sizes[1:], strict=False)
        normed = work.batch_norm
        self.hidden = nn.ModuleList(nn.Linear(a, b, bias=not normed) for a, b in hidden)
        self.norms = nn.ModuleList(nn.BatchNorm1d(b) for _, b in hidden if normed)
        self.last = nn.Linear(*last)
        self.activation, self.dropout = ACTIVATIONS[activation], work.dropout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv in self.convs:
            x = functional.max_pool2d(self.activation(conv(x)), 2, ceil_mode=True)
        x = x.flatten(1)
        for i, layer in enumerate(self.hidden):
            x = layer(x)
            if self.norms:
                x = self.norms[i](x)
            x = self.activation(x)
            if self.dropout:
                x = functional.dropout(x, self.dropout, self.training)
        return self.last(x)


def build(work: Workload, inputs: Inputs, config: Config) -> Network:
    """The network with the shared initial weights."""
    model, channels = Network(work, config.activation), work.channels
    dense = list(inputs.start(config).layers)
    pairs: list[tuple[Any, np.ndarray, np.ndarray]] = []
    for conv, (w, b) in zip(model.convs, inputs.convs(config), strict=True):
        pairs.append((conv, w.transpose(3, 2, 0, 1), b))
    if channels:  # torch's images come channels first, and so do their numbers in a row
        w, b = dense[0]
        side = round((len(w) / channels[-1]) ** 0.5)
        w = w.reshape(side, side, channels[-1], -1).transpose(2, 0, 1, 3).reshape(w.shape)
        dense[0] = (w, b)
    for layer, (w, b) in zip([*model.hidden, model.last], dense, strict=True):
        pairs.append((layer, w.T, b))
    for norm, (scale, shift) in zip(model.norms, inputs.norms(config), strict=True):
        pairs.append((norm, scale, shift))
    with torch.no_grad():
        for layer, w, b in pairs:
            layer.weight.copy_(torch.tensor(w))
            if layer.bias is not None:
                layer.bias.copy_(torch.tensor(b))
    return model.to(DEVICE)


def on_device(inputs: Inputs) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Training, validation and test examples and labels; images channels first."""

    def move(split: Any) -> tuple[torch.Tensor, torch.Tensor]:
        x = np.moveaxis(split.x, -1, 1) if split.x.ndim == 4 else split.x
        x, y = torch.tensor(np.ascontiguousarray(x)), torch.tensor(split.y, dtype=torch.int64)
        return x.to(DEVICE), y.to(DEVICE)

    return [move(split) for split in (inputs.train, inputs.valid, inputs.test)]


def describe_device() -> str:
    if DEVICE.type == "cuda":
        return f"1 x {torch.cuda.get_device_name()} (cuda)"
    return f"{torch.get_num_threads()} threads (cpu)"
