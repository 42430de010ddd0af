"""A chunk of many segments trains in blocks the caches like, and nobody can tell."""

from itertools import product

import numpy as np
from engine import blobs
from hypothesis import given, settings
from hypothesis import strategies as st

import nnlab
from nnlab.lanes.blocks import cut
from nnlab.lanes.lift import Layout

COUNTS = st.integers(1, 4).flatmap(
    lambda rules: st.lists(
        st.lists(st.integers(0, 5), min_size=rules, max_size=rules), min_size=1, max_size=4
    )
)


@settings(max_examples=100, deadline=None)
@given(COUNTS.filter(lambda rows: sum(map(sum, rows)) > 0), st.integers(1, 20))
def test_every_lane_is_in_one_block_in_order_with_its_own_task_and_rule(counts, most):
    tasks, rules = range(len(counts)), range(len(counts[0]))
    blocks = cut(Layout(tuple(tasks), tuple(rules), tuple(map(tuple, counts))), most)  # type: ignore[arg-type]
    assert sum(block.layout.lanes for block in blocks) == sum(map(sum, counts))
    assert len(blocks) <= max(1, round(sum(map(sum, counts)) / most))
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
