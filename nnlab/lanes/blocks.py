"""A chunk of many segments, or of a large one, trains block by block, inside its one program.

A segment has a lane at least, so a chunk that mixes 48 optimizers has 48 lanes, often more than the
caches hold. Neighbouring segments share a block, about as large as the caches like, and a block is
trained to its end before the next begins; a segment of many lanes is several blocks. Blocks know
nothing of each other.

Blocks that differ in nothing but their lanes are one compiled block, as are those that differ in
their elementwise activation alone, which is told which one to compute (`nnlab.nn.choice`): 12
optimizers x 6 activations compile in 5 s instead of 11 and run 0.97 times as fast.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nnlab import trees
from nnlab.lanes.lift import Layout
from nnlab.lanes.planner import pieces
from nnlab.nn.choice import Choice
from nnlab.train.loop import Record
from nnlab.train.task import Numbers, Task
from nnlab.types import Array, PyTree


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
    """The fewest blocks of about equal size and about `most` lanes, segments whole, in order.

    Tasks that are kin and have as many lanes for each rule are cut alike, each for itself, so that
    one compiled block can train all of them.
    """
    kinds = [
        (task.kin.make, row) if task.kin is not None else None
        for task, row in zip(layout.tasks, layout.counts, strict=True)
    ]
    parts: list[list[tuple[tuple[int, int], int]]] = []
    alone = True
    for a, (kind, row) in enumerate(zip(kinds, layout.counts, strict=True)):
        before, alone = alone, kind is None or kinds.count(kind) == 1
        if not (parts and before and alone):
            parts.append([])
        parts[-1] += [((a, o), count) for o, count in enumerate(row) if count]
    found = (block(layout, members) for part in parts for members in evenly(part, most))
    return [part for whole in found for part in in_pieces(whole, most)]


def in_pieces(whole: Block, most: int) -> list[Block]:
    """A block as it is, or if it is one segment of many lanes, in equal parts of about `most`."""
    number = pieces(whole.layout.lanes, most)
    if number == 1 or len(whole.tasks) * len(whole.rules) > 1:
        return [whole]
    size = whole.layout.lanes // number
    (task,), (rule,) = whole.tasks, whole.rules

    def part(span: Span, i: int) -> tuple[Span]:
        begin = span.begin + i * size
        return (Span(span.number, begin, begin + size),)

    layout = whole.layout._replace(counts=((size,),))
    return [Block(layout, part(task, i), part(rule, i)) for i in range(number)]


def evenly(
    segments: Sequence[tuple[tuple[int, int], int]], most: int
) -> list[dict[tuple[int, int], int]]:
    """Neighbouring segments, ((task, rule), lanes), in the fewest parts of about `most` lanes."""
    lanes = sum(count for _, count in segments)
    number = max(1, round(lanes / most))
    parts: list[dict[tuple[int, int], int]] = [{} for _ in range(number)]
    before = 0
    for segment, count in segments:
        middle = (before + count / 2) / lanes
        parts[int(middle * number)][segment] = count
        before += count
    return [part for part in parts if part]


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
    """The chunk's record: train(layout, start, for_tasks, for_rules) of every block, joined.

    Blocks that differ in their lanes, or their task's function, alone run through one compiled
    block in turn.
    """
    given = [
        (
            tuple(span.of(start) for span in tasks),
            tuple(span.of(for_tasks) for span in tasks),
            tuple(span.of(for_rules) for span in rules),
        )
        for _, tasks, rules in blocks
    ]
    records: dict[int, Record] = {}
    parts = lru_cache(parts_of)  # the same for all blocks of a kin, so that jax traces them once
    for members in alike([b.layout for b in blocks], given):
        layouts = [blocks[i].layout for i in members]
        found = in_turn(train, parts, layouts, [given[i] for i in members])
        records |= zip(members, found, strict=True)
    return joined([records[i] for i in range(len(blocks))])


def alike(layouts: Sequence[Layout], given: Sequence[PyTree]) -> list[list[int]]:
    """The numbers of the blocks, those together that one compiled block can train."""
    kinds: dict[Any, list[int]] = {}
    for i, (layout, arguments) in enumerate(zip(layouts, given, strict=True)):
        kin = layout.tasks[0].kin if len(layout.tasks) == 1 else None
        leaves, structure = jax.tree.flatten(arguments)
        shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        tasks = tuple(map(id, layout.tasks)) if kin is None else kin.make
        rules = tuple(map(id, layout.rules))
        kinds.setdefault((tasks, rules, layout.counts, structure, shapes), []).append(i)
    return list(kinds.values())


def in_turn(
    train: Callable[[Layout, Any, Any, Any], Record],
    parts: Callable[..., dict[str, Callable]],
    layouts: Sequence[Layout],
    given: Sequence[PyTree],
) -> list[Record]:
    """The records of blocks that are alike, trained one after the other by one compiled block."""
    if len(layouts) == 1:
        return [train(layouts[0], *given[0])]
    kin = [kin for layout in layouts for kin in [layout.tasks[0].kin] if kin is not None]
    own = [function for _, function in kin]
    functions = tuple(dict.fromkeys(own))
    which = [functions.index(function) for function in own] or [0] * len(layouts)

    def one(arguments: tuple[Array, PyTree]) -> Record:
        index, rest = arguments
        if len(functions) < 2:
            return train(layouts[0], *rest)
        told: Any = {k: partial(f, index) for k, f in parts(kin[0].make, functions).items()}
        task = Task(**told)
        return train(layouts[0]._replace(tasks=(task,)), *rest)

    stacked = trees.map(lambda *leaves: jnp.stack(leaves), *given)
    found = jax.lax.map(one, (jnp.array(which), stacked))
    return [trees.map(lambda a, at=i: a[at], found) for i in range(len(layouts))]


def parts_of(make: Callable[..., Task], functions: tuple[Callable, ...]) -> dict[str, Callable]:
    """The parts of a task, told by their first argument which of its functions to compute."""

    def part(name: str) -> Callable[..., Any]:
        def of(index: Array, *rest: Any) -> Any:
            task = make(lambda numbers: Choice(functions, index, numbers))
            return getattr(task, name)(*rest)

        return jax.jit(of)

    return {name: part(name) for name in Task._fields if name != "kin"}


def joined(records: Sequence[Record]) -> Record:
    """Records of neighbouring lanes as one; the lanes are where `Record` says."""
    if len(records) == 1:
        return records[0]

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
