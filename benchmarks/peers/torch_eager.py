"""torch, one run at a time: a Python loop with a fused optimizer, all cores' threads.

The usual loop done well: the data are in memory, a batch is one indexing operation, gradients are
dropped rather than zeroed, and no loss is read before the end.
"""

import numpy as np
import torch
from torch.nn import functional

from benchmarks.inputs import Inputs
from benchmarks.peers import Prepared, gather, some
from benchmarks.peers.torch_model import DEVICE, OPTIMIZERS, build, describe_device, on_device
from benchmarks.workloads import Losses, Workload


def variants(work: Workload) -> tuple[None, ...]:
    """It mixes as it likes, one run after the other, where torch has an optimizer's formula."""
    return (None,) if trained(work) else ()


def trained(work: Workload) -> list[int]:
    """Some of the configs whose optimizer torch has."""
    known = [i for i, config in enumerate(work.configs) if config.optimizer in OPTIMIZERS]
    return some(work, known) if known else []


def prepare(work: Workload, inputs: Inputs, variant: None) -> Prepared:
    """Nothing compiles."""
    del variant
    members, (train, valid, test) = trained(work), on_device(inputs)
    orders = {s: torch.tensor(rows, device=DEVICE) for s, rows in inputs.rows.items()}

    def evaluate(model: torch.nn.Module, split: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        model.eval()
        with torch.inference_mode():
            return functional.cross_entropy(model(split[0]), split[1])

    def one(i: int) -> Losses:
        config = work.configs[i]
        torch.manual_seed(config.seed)
        model = build(work, inputs, config)
        optimizer = OPTIMIZERS[config.optimizer](model.parameters(), lr=config.rate)
        history, held_out = [], []
        for epoch in orders[config.seed]:
            losses = []
            model.train()
            for rows in epoch:
                loss = functional.cross_entropy(model(train[0][rows]), train[1][rows])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
            history.append(torch.stack(losses).mean())
            held_out.append(evaluate(model, valid))
        record = torch.stack(history), torch.stack(held_out), evaluate(model, test)
        return Losses(*(np.asarray(a.cpu())[None] for a in record))

    def run() -> Losses:
        return gather([one(i) for i in members], members)

    return Prepared(
        run, lambda: 0.0, tuple(members), "1", describe_device(), own_noise=bool(work.dropout)
    )
