"""flax.linen + optax, mixed by `lax.switch` in one vmapped program, as a user would write it.

Under vmap a switch computes every branch for every lane, and the optimizers' state is the union of
all of theirs.
"""

import time
from functools import partial
from typing import Any

import jax
import numpy as np
import optax

from benchmarks.inputs import Inputs
from benchmarks.peers import Prepared, cut, gather, homogeneous
from benchmarks.peers.flax_model import (
    ACTIVATIONS,
    OPTIMIZERS,
    Run,
    describe_device,
    lanes_of,
    network,
    on_device,
    stacked,
    train,
)
from benchmarks.workloads import Losses, Workload


def variants(work: Workload) -> tuple[int, ...]:
    """Lanes in a program, where there is something to mix."""
    return work.lanes if len(homogeneous(work)) > 1 else ()


def mixed(names: tuple[str, ...], choice: Any, rate: Any) -> optax.GradientTransformation:
    """The chosen optimizer; the state holds everybody's."""
    rules = [OPTIMIZERS[name](rate) for name in names]

    def branch(i: int):
        def run(gradients, states, params):
            updates, state = rules[i].update(gradients, states[i], params)
            return updates, (*states[:i], state, *states[i + 1 :])

        return run

    def init(params: Any) -> Any:
        return tuple(rule.init(params) for rule in rules)

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        branches = [branch(i) for i in range(len(rules))]
        return jax.lax.switch(choice, branches, updates, state, params)

    return optax.GradientTransformation(init, update)


def prepare(work: Workload, inputs: Inputs, variant: int) -> Prepared:
    """Compile one program for all pairs of activation and optimizer."""
    data, members = on_device(inputs), list(range(len(work.configs)))
    functions = [ACTIVATIONS[name] for name in work.activations]

    def one(activation: Any, optimizer: Any, run: Run, data: Any) -> Losses:
        def activate(x: jax.Array) -> jax.Array:
            return jax.lax.switch(activation, functions, x)

        return train(network(work, activate), partial(mixed, work.optimizers, optimizer), run, data)

    def batch(part: list[int], inputs: Inputs) -> tuple[np.ndarray, np.ndarray, Run]:
        chosen = [work.configs[i] for i in part]
        return (
            np.array([work.activations.index(config.activation) for config in chosen]),
            np.array([work.optimizers.index(config.optimizer) for config in chosen]),
            stacked(work, inputs, part),
        )

    parts = cut(members, variant)
    ready = [batch(part, inputs) for part in parts]
    began = time.perf_counter()
    lifted = jax.jit(jax.vmap(one, in_axes=(0, 0, lanes_of(work), None)))
    program = lifted.lower(*ready[0], data).compile()
    seconds = time.perf_counter() - began

    def run(batches: list[Any] = ready) -> Losses:
        return gather([program(*batch, data) for batch in batches], members)

    return Prepared(
        run, lambda: seconds, tuple(members), f"{variant}", describe_device(),
        retrain=lambda inputs: run([batch(part, inputs) for part in parts]),
    )  # fmt: skip
