"""A chunk of many segments trains in blocks the caches like, and nobody can tell."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import blobs
from hypothesis import given, settings
from hypothesis import strategies as st

import nnlab
from nnlab.lanes.blocks import cut
from nnlab.lanes.devices import devices
from nnlab.lanes.lift import Layout
from nnlab.lanes.planner import parts_of_seeds, pieces
from nnlab.lanes.program import Program
from nnlab.sweeps.arrays import program_data
from nnlab.sweeps.starts import Starts
from nnlab.train.task import Kin, Task, unasked

COUNTS = st.integers(1, 4).flatmap(
    lambda rules: st.lists(
        st.lists(st.integers(0, 5), min_size=rules, max_size=rules), min_size=1, max_size=4
    )
)


@settings(max_examples=100, deadline=None)
@given(COUNTS.filter(lambda rows: sum(map(sum, rows)) > 0), st.integers(1, 20))
def test_every_lane_is_in_one_block_in_order_with_its_own_task_and_rule(counts, most):
    tasks, rules = range(len(counts)), range(len(counts[0]))
    strangers = tuple(Task(unasked, unasked) for _ in tasks)
    blocks = cut(Layout(strangers, tuple(rules), tuple(map(tuple, counts))), most)  # type: ignore[arg-type]
    assert sum(block.layout.lanes for block in blocks) == sum(map(sum, counts))
    assert len(blocks) < 2 + 3 / 2 * sum(map(sum, counts)) / most
    of_tasks = [(a, o, i) for a, o in product(tasks, rules) for i in range(counts[a][o])]
    of_rules = {o: [lane for lane in of_tasks if lane[1] == o] for o in rules}
    by_task = {a: [lane for lane in of_tasks if lane[0] == a] for a in tasks}
    seen = []
    for block in blocks:
        for row, span in zip(block.layout.counts, block.tasks, strict=True):
            lanes = by_task[span.number][span.begin : span.end]
            sizes = {block.layout.rules[p]: n for p, n in enumerate(row) if n}
            assert [o for _, o, _ in lanes] == [o for o, n in sizes.items() for _ in range(n)]
            seen += lanes
        for p, span in enumerate(block.rules):
            lanes = of_rules[span.number][span.begin : span.end]
            assert len(lanes) == sum(row[p] for row in block.layout.counts)
            assert {a for a, _, _ in lanes} <= {s.number for s in block.tasks}
    assert seen == of_tasks


def test_a_program_of_several_blocks_trains_as_one_of_one_block():
    axes = {
        "activation": ["relu", "maxout"],
        "optimizer": ["sgd", "muon"],
        "learning_rate": [0.1, 0.01],
        "seed": range(2),
    }
    sweep = nnlab.Sweep(nnlab.models.mlp([8]), blobs(), axes, epochs=2, batch_size=20)
    whole = sweep.run(progress=False, lanes=64)
    (group,) = sweep.groups(lanes=2)
    assert group.shape.lanes == 2 * group.together
    cut_up = sweep.run(progress=False, lanes=2)
    for metric in ("train_loss", "val_loss", "test_loss"):
        np.testing.assert_allclose(cut_up[metric].values, whole[metric].values, rtol=2e-4)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple),
    st.integers(2, 4),
    st.integers(1, 12),
)
def test_tasks_that_are_kin_are_cut_alike_each_for_itself(row, number, most):
    def make(function):
        return Task(unasked, unasked, kin=Kin(make, function))

    tasks = (*(make(lambda i=i: i) for i in range(number)), Task(unasked, unasked))
    rules = tuple(range(len(row)))
    layout = Layout(tasks, rules, (row,) * len(tasks))  # type: ignore[arg-type]
    blocks = cut(layout, most)
    assert all(len(block.layout.tasks) == 1 for block in blocks)
    assert [s.number for block in blocks for s in block.tasks] == sorted(
        list(range(len(tasks))) * (len(blocks) // len(tasks))
    )
    shapes = [[b.layout.counts for b in blocks if b.tasks[0].number == a] for a in range(number)]
    assert all(shape == shapes[0] for shape in shapes)
    assert sum(block.layout.lanes for block in blocks) == layout.lanes
    strangers = layout._replace(tasks=tuple(task._replace(kin=None) for task in tasks))
    assert len(cut(strangers, layout.lanes)) == 1, "where lanes need no blocks, none are made"


KIN = (
    {"activation": ["relu", "tanh", "silu"]},
    {"activation": ["maxout", "glu", "sparsemax"], "batch_norm": True},
    {"activation": ["leaky_relu(0.1)", "elu(0.3)", "gelu"], "dropout": 0.2, "weight_decay": 0.1},
)


@pytest.mark.parametrize("knobs", KIN)
def test_activations_that_share_a_compiled_block_train_as_each_alone(knobs):
    shared = {
        "optimizer": ["sgd", "momentum"],
        "learning_rate": [0.1, 0.03],
        "seed": range(2),
    } | {k: [v] for k, v in knobs.items() if k != "activation"}

    def run(activations):
        axes = shared | {"activation": activations}
        return nnlab.Sweep(
            nnlab.models.mlp([9, 7]), blobs(), axes, epochs=2, batch_size=20, record=["layers"]
        ).run(progress=False)

    first, *_, last = activations = knobs["activation"]
    together = run(activations)
    for activation in (first, last):  # each alone is a program of its own
        alone = run([activation])
        for name in ("train_loss", "val_loss", "test_accuracy", "layer_std"):
            ours, theirs = (
                (result.recorded if name == "layer_std" else result.dataset)[name]
                for result in (together, alone)
            )
            np.testing.assert_allclose(
                ours.sel(activation=activation).values.squeeze(),
                theirs.values.squeeze(),
                rtol=1e-3,
                atol=1e-4,
                err_msg=f"{activation} {name}",
            )


def test_one_more_activation_compiles_no_further_network():
    def products(activations):
        axes = {"activation": activations, "optimizer": ["sgd", "adam"]}
        sweep = nnlab.Sweep(nnlab.models.mlp([9, 7]), blobs(), axes, epochs=1, batch_size=20)
        (group,) = sweep.groups()
        data = program_data(sweep.data)
        program = Program(group.plan, group.layout(sweep.data), data, devices(), group.together)
        program.trace(group.outline(Starts(sweep.data, group.batch_norm)))
        return program._lowered.as_text().count("dot_general")

    assert products(["relu"]) > 5
    assert products(["relu", "tanh", "elu"]) == products(["relu"])
    assert products(["relu", "elu(0.5)", "leaky_relu(0.1)"]) == products(["relu"]), "own numbers"
    assert products(["relu", "maxout"]) > products(["relu"]), "maxout has a network of its own"


def test_tasks_that_take_turns_get_a_block_s_lanes_each():
    axes = {"learning_rate": nnlab.log_space(1e-3, 1e-1, 64)}

    def lanes_of_a_task(activations):
        made = nnlab.Sweep(nnlab.models.mlp([9]), blobs(), axes | {"activation": activations})
        (group,) = made.groups()
        assert {len(row) for row in group.shape.counts} == {1}
        return group.shape.counts[0][0], group.shape.lanes

    alone, _ = lanes_of_a_task(["relu"])
    each, together = lanes_of_a_task(["relu", "tanh", "elu"])
    assert each == alone
    assert together == 3 * alone
    (group,) = nnlab.Sweep(
        nnlab.models.mlp([9]), blobs(), axes | {"activation": ["relu", "tanh", "elu"]}
    ).groups(lanes=12)
    assert group.shape.lanes == 12, "the user's word is kept"


def test_an_activation_without_forward_mode_mixes_with_others():
    @jax.custom_vjp
    def straight_through(x):
        return jnp.sign(x)

    straight_through.defvjp(lambda x: (jnp.sign(x), None), lambda _, g: (g,))
    mine = {"straight through": straight_through}

    def losses(activations):
        axes = {"activation": activations, "learning_rate": [0.1]}
        made = nnlab.Sweep(nnlab.models.mlp([9]), blobs(), axes, epochs=2)
        found = made.run(progress=False).dataset["train_loss"]
        return found.sel(activation="straight through").values.squeeze()

    np.testing.assert_allclose(losses(["relu", mine, "tanh"]), losses([mine]), rtol=1e-4)


def test_only_elementwise_activations_take_turns():
    axes = {"activation": ["relu", "softmax", "leaky_relu(0.2)", "maxout"]}
    sweep = nnlab.Sweep(nnlab.models.mlp([9, 7]), blobs(), axes)
    (group,) = sweep.groups()
    kin = {
        name: task.kin is not None
        for name, task in zip(axes["activation"], group.layout(sweep.data).tasks, strict=True)
    }
    assert kin == {"relu": True, "softmax": False, "leaky_relu(0.2)": True, "maxout": False}


@pytest.mark.parametrize(
    ("lanes", "most", "parts"),
    [
        (16, 4, 4),
        (32, 4, 8),
        (6, 4, 2),
        (10, 4, 2),
        (7, 4, 1),
        (9, 4, 3),
        (16, 5, 4),
        (34, 32, 1),
        (3, 4, 1),
    ],
)
def test_a_segment_of_many_lanes_is_cut_into_equal_parts(lanes, most, parts):
    blocks = cut(Layout((Task(unasked, unasked),), (0,), ((lanes,),)), most)  # type: ignore[arg-type]
    size = lanes // parts
    spans = [(i * size, (i + 1) * size) for i in range(parts)]
    assert [(b.tasks[0].begin, b.tasks[0].end) for b in blocks] == spans
    assert [(b.rules[0].begin, b.rules[0].end) for b in blocks] == spans
    assert {b.layout.counts for b in blocks} == {((size,),)}


def chunk_by(sweep, group, together):
    """How many products a program has that trains so many lanes at a time, and a chunk's record."""
    starts = Starts(sweep.data, group.batch_norm)
    data = program_data(sweep.data)
    program = Program(group.plan, group.layout(sweep.data), data, devices()[:1], together)
    program.trace(group.outline(starts))
    products = program._lowered.as_text().count("dot_general")
    return products, program(program.place([group.chunk(0, 0, starts)]))


@pytest.mark.parametrize("activations", [["relu"], ["relu", "tanh"]])
def test_a_segment_in_parts_is_compiled_once_and_trains_as_a_whole(activations):
    axes = {"activation": activations, "learning_rate": np.arange(1, 13) / 100}
    axes |= {"init": ["he"], "draw": [0, 1], "seed": [3]}
    sweep = nnlab.Sweep(
        nnlab.models.mlp([9, 7]), blobs(), axes, epochs=2, batch_size=20, record=["layers"]
    )
    (group,) = sweep.groups(lanes=12 * len(activations))

    (some, whole), (as_many, parts) = (chunk_by(sweep, group, n) for n in (None, 4))
    assert as_many == some
    assert group.shape.counts == ((12,),) * len(activations)
    for ours, theirs in zip(jax.tree.leaves(parts), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_the_lanes_of_one_segment_train_in_turn_as_do_seeds():
    model, axes = nnlab.models.mlp([100] * 5), {"learning_rate": nnlab.log_space(1e-4, 1e-2, 64)}
    (many,) = nnlab.Sweep(model, None, axes).groups()
    assert many.shape.lanes > many.together * 3 // 2
    parts = pieces(many.shape.lanes, many.together)
    assert many.together / 2 <= many.shape.lanes / parts <= many.together * 3 / 2
    (seeds,) = nnlab.Sweep(model, None, {"seed": range(64)}).groups()
    assert seeds.shape.seeds == many.shape.lanes
    assert parts_of_seeds(seeds.shape.seeds, 1, seeds.together) == parts


@pytest.mark.parametrize(
    ("seeds", "lanes", "target", "parts"),
    [(32, 1, 4, 8), (32, 2, 4, 16), (32, 3, 4, 32), (6, 9, 4, 6), (7, 1, 4, 1), (8, 1, 32, 1)],
)
def test_seeds_are_cut_into_parts_of_about_as_many_lanes_as_the_target(seeds, lanes, target, parts):
    assert parts_of_seeds(seeds, lanes, target) == parts


def test_parts_of_seeds_train_as_seeds_side_by_side_and_compile_once():
    axes = {"optimizer": ["sgd", "adam"], "seed": range(12)}
    sweep = nnlab.Sweep(
        nnlab.models.mlp([9]), blobs(), axes, batch_norm=True, dropout=0.3, epochs=2,
        batch_size=20, record=["test_outputs"],
    )  # fmt: skip
    (group,) = sweep.groups(lanes=12)
    assert (group.shape.seeds, group.shape.lanes) == (6, 12)

    at_once, whole = chunk_by(sweep, group, 12)
    for together in (4, 2):
        products, parts = chunk_by(sweep, group, together)
        assert products == at_once
        for ours, theirs in zip(jax.tree.leaves(parts), jax.tree.leaves(whole), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
