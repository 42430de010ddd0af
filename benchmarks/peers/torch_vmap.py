"""torch.func: `vmap(grad)` over stacked models, Adam as tensor arithmetic over all lanes.

All lanes of a seed read the same batches and share their dropout masks, as in nnlab; Adam works in
place, on whole tensors of lanes.
"""

from typing import Any

import numpy as np
import torch
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional

from benchmarks.inputs import Inputs
from benchmarks.peers import Prepared, cut, gather, homogeneous
from benchmarks.peers.torch_model import DEVICE, build, describe_device, on_device
from benchmarks.workloads import Losses, Workload

Tensors = dict[str, torch.Tensor]


class Adam:
    """Adam (Kingma & Ba, 2015) on leaves [lanes, ...] with a rate per lane."""

    def __init__(self, params: Tensors, rates: torch.Tensor):
        self.m, self.v = ({k: torch.zeros_like(w) for k, w in params.items()} for _ in range(2))
        self.rates, self.t = rates, 0

    def update(self, params: Tensors, gradients: Tensors) -> None:
        """One step, in place: w <- w - rate m_hat / (sqrt(v_hat) + eps)."""
        self.t += 1
        one, two = 1 - 0.9**self.t, 1 - 0.999**self.t
        for k, w in params.items():
            g, m, v = gradients[k], self.m[k], self.v[k]
            m.lerp_(g, 0.1)
            v.mul_(0.999).addcmul_(g, g, value=0.001)
            root = (v / two).sqrt_().add_(1e-8)
            rates = self.rates.view(-1, *[1] * (w.ndim - 1)) / one
            w.sub_(root.reciprocal_().mul_(m).mul_(rates))


def variants(work: Workload) -> tuple[int, ...]:
    """Lanes; it mixes nothing, and its Adam is written out."""
    return work.lanes if len(homogeneous(work)) == 1 and work.optimizers == ("adam",) else ()


def prepare(work: Workload, inputs: Inputs, variant: int) -> Prepared:
    """Nothing compiles."""
    members, (train, valid, test) = list(range(len(work.configs))), on_device(inputs)
    rows = {seed: torch.tensor(r, device=DEVICE) for seed, r in inputs.rows.items()}
    one_seed = len(work.seeds) == 1

    def of(part: list[int]) -> torch.Tensor:
        """The rows of each batch, [epochs, steps(, lanes), batch]."""
        seeds = [work.configs[i].seed for i in part]
        return rows[seeds[0]] if one_seed else torch.stack([rows[s] for s in seeds], dim=2)

    def lanes(part: list[int]) -> Losses:
        torch.manual_seed(work.configs[part[0]].seed)
        models = [build(work, inputs, work.configs[i]) for i in part]
        params, stats = stack_module_state(models)  # type: ignore[arg-type]
        params = {k: w.detach() for k, w in params.items()}
        rates = torch.tensor([work.configs[i].rate for i in part], device=DEVICE)
        adam, model = Adam(params, rates), models[0]

        def loss(params: Any, stats: Any, x: torch.Tensor, y: torch.Tensor) -> Any:
            # running statistics are updated in place, so they come back as they went
            return functional.cross_entropy(functional_call(model, (params, stats), (x,)), y), stats

        shared = None if one_seed else 0
        gradient = vmap(
            grad_and_value(loss, has_aux=True),
            in_dims=(0, 0, shared, shared), randomness="same" if one_seed else "different",
        )  # fmt: skip

        def evaluate(split: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            model.eval()
            with torch.no_grad():
                return vmap(loss, in_dims=(0, 0, None, None))(params, stats, *split)[0]

        history, held_out = [], []
        for epoch in of(part):
            losses = []
            model.train()
            for batch in epoch:
                gradients, (value, stats) = gradient(
                    params, stats, train[0][batch], train[1][batch]
                )
                adam.update(params, gradients)
                losses.append(value.detach())
            history.append(torch.stack(losses).mean(0))
            held_out.append(evaluate(valid))
        record = torch.stack(history, 1), torch.stack(held_out, 1), evaluate(test)
        return Losses(*(np.asarray(a.cpu()) for a in record))

    def run() -> Losses:
        return gather([lanes(part) for part in cut(members, variant)], members)

    return Prepared(
        run, lambda: 0.0, tuple(members), f"{variant}", describe_device(),
        own_noise=bool(work.dropout),
    )  # fmt: skip
