"""A chunk of many segments trains block by block, inside its one program.

A segment has a lane at least, so a chunk that mixes 48 optimizers has 48 lanes, often more than the
caches hold. Neighbouring segments share a block, about as large as the caches like, and a block is
trained to its end before the next begins. Blocks know nothing of each other.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from nnlab import trees
from nnlab.lanes.lift import Layout
from nnlab.train.loop import Record
from nnlab.train.task import Numbers
from nnlab.types import PyTree


class Span(NamedTuple):
    """Neighbouring lanes of a task or of a rule."""

    number: int
    """Which task or rule of the chunk."""
    begin: int
    end: int

    def of(self, parts: Sequence[PyTree]) -> PyTree:
        """These lanes of the parts' trees, leaves [lanes, ...]."""
        return trees.map(lambda a: a[self.begin : self.end], parts[self.number])


class Block(NamedTuple):
    """Segments that train together, and where their lanes are in the chunk."""

    layout: Layout
    tasks: tuple[Span, ...]
    rules: tuple[Span, ...]


def cut(layout: Layout, most: int) -> list[Block]:
    """The fewest blocks of about equal size and about `most` lanes, segments whole, in order."""
    number = max(1, round(layout.lanes / most))
    blocks: list[dict[tuple[int, int], int]] = [{} for _ in range(number)]
    before = 0
    for a, row in enumerate(layout.counts):
        for o, count in enumerate(row):
            if count:
                middle = (before + count / 2) / layout.lanes
                blocks[int(middle * number)][a, o] = count
                before += count
    return [block(layout, members) for members in blocks if members]


def block(layout: Layout, members: dict[tuple[int, int], int]) -> Block:
    """The layout of some neighbouring segments, {(task, rule): lanes}."""
    tasks = sorted({a for a, _ in members})
    rules = sorted({o for _, o in members})
    return Block(
        Layout(
            tuple(layout.tasks[a] for a in tasks),
            tuple(layout.rules[o] for o in rules),
            tuple(tuple(members.get((a, o), 0) for o in rules) for a in tasks),
        ),
        tuple(span(a, layout.counts[a], [o for b, o in members if b == a]) for a in tasks),
        tuple(
            span(o, [row[o] for row in layout.counts], [a for a, p in members if p == o])
            for o in rules
        ),
    )


def span(number: int, counts: Sequence[int], chosen: Sequence[int]) -> Span:
    """The lanes of the chosen, neighbouring segments among those of a task or rule."""
    first, last = min(chosen), max(chosen)
    return Span(number, sum(counts[:first]), sum(counts[: last + 1]))


def train_blocks(
    blocks: Sequence[Block],
    train: Callable[[Layout, Any, Any, Any], Record],
    start: Sequence[PyTree],
    for_tasks: Sequence[Numbers],
    for_rules: Sequence[Numbers],
) -> Record:
    """The chunk's record: train(layout, start, for_tasks, for_rules) of every block, joined."""
    if len(blocks) == 1:
        return train(blocks[0].layout, start, for_tasks, for_rules)
    records = [
        train(
            layout,
            tuple(span.of(start) for span in tasks),
            tuple(span.of(for_tasks) for span in tasks),
            tuple(span.of(for_rules) for span in rules),
        )
        for layout, tasks, rules in blocks
    ]
    return joined(records)


def joined(records: Sequence[Record]) -> Record:
    """Records of neighbouring lanes as one; the lanes are where `Record` says."""

    def join(parts: Sequence[PyTree], axis: int) -> Any:
        return trees.map(lambda *leaves: jnp.concatenate(leaves, axis=axis), *parts)

    return Record(
        train_loss=join([r.train_loss for r in records], -1),
        valid=join([r.valid for r in records], -1),
        test=join([r.test for r in records], -1),
        fit=join([r.fit for r in records], -1),
        watched=join([r.watched for r in records], -1),
        begun=join([r.begun for r in records], -1),
        observed=join([r.observed for r in records], 1),
        outputs=join([r.outputs for r in records], 0),
    )
