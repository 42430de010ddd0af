"""A group: the recipes that share one program, cut into chunks of one shape."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import numpy as np

from nnlab import trees
from nnlab.data.dataset import Dataset
from nnlab.errors import UsageError
from nnlab.lanes.devices import cache_bytes, memory
from nnlab.lanes.lift import Layout
from nnlab.lanes.planner import LEAST_LANES_CPU, Shape, shape_chunks, target_lanes, turns_for
from nnlab.lanes.program import Chunk, uncollected
from nnlab.sweeps.axes import DEFAULTS
from nnlab.sweeps.build import (
    Chosen,
    activation_of,
    build_rule,
    build_task,
    numbers_of_rules,
    numbers_of_tasks,
    schedules_of,
    sees,
    share_names,
    takes_turns,
)
from nnlab.sweeps.footprint import evaluation, footprint, remembered
from nnlab.sweeps.recipe import Branch, Recipe
from nnlab.sweeps.record import NOTHING, Recording
from nnlab.sweeps.rehearse import rehearse
from nnlab.sweeps.starts import Starts, start_of
from nnlab.train.loop import Plan
from nnlab.train.task import Kin, Task
from nnlab.types import Device, PyTree

PARTS = ("dropout", "batch_norm", "label_smoothing", "l2")
"""Numbers whose part is left out of a program when it is off in all of the program's runs."""


class Place(NamedTuple):
    """One of a chunk's lanes or seeds: which one it is, and whether it only fills up."""

    position: int
    copy: bool


@dataclass(frozen=True)
class Group:
    """Recipes of one program, sorted into segments."""

    recipes: tuple[Recipe, ...]
    ids: tuple[int, ...]
    """The recipes' numbers in the sweep."""
    segments: tuple[tuple[tuple[int, ...], ...], ...]
    """segments[task][rule]: positions in `recipes`."""
    for_tasks: tuple[dict[str, Any], ...]
    """Each recipe's numbers for its task: the same names throughout a segment."""
    for_rules: tuple[dict[str, Any], ...]
    schedules: tuple[tuple[Branch, ...], ...]
    """The kinds of schedules that the runs of each rule have."""
    seeds: tuple[int, ...]
    shape: Shape
    together: int
    """So many lanes train at a time, as far as segments allow."""
    parameter_bytes: int
    """One lane's."""
    training_bytes: int
    """What one lane takes besides while it trains, or is evaluated."""
    in_turn: bool = False
    """Whether tasks that differ in their elementwise activation alone take turns in a block."""
    recording: Recording = NOTHING

    @property
    def plan(self) -> Plan:
        return self.recording.plan(self.recipes[0].plan)

    @property
    def runs(self) -> int:
        return len(self.recipes) * len(self.seeds)

    @property
    def chunk_bytes(self) -> int:
        """What a chunk takes of its device at least: all its weights, and the training of some."""
        lanes = self.shape.lanes
        return lanes * self.parameter_bytes + min(lanes, self.together) * self.training_bytes

    @property
    def batch_norm(self) -> bool:
        return "batch_norm" in self.for_tasks[0]

    @property
    def always(self) -> frozenset[str]:
        """Flags that are on in all runs, so that a program need not choose."""
        on = all(numbers.get("batch_norm") is True for numbers in self.for_tasks)
        return frozenset({"batch_norm"}) if on else frozenset()

    def steps(self, data: Dataset) -> int:
        """Training steps of one run."""
        return self.plan.epochs * (len(data.train.y) // self.plan.batch_size)

    def layout(self, data: Dataset) -> Layout:
        """The program's static half: a task per row of segments, a rule per column."""
        per_epoch = len(data.train.y) // self.plan.batch_size
        some = [next(i for part in row for i in part) for row in self.segments]
        first = [next(i for row in self.segments for i in row[o]) for o in range(self.columns)]
        makers: dict[Branch, Callable[[Chosen], Task]] = {}

        def task(recipe: Recipe) -> Task:
            """A segment's task, of which tasks of another activation are kin."""
            activation = activation_of(recipe)
            make = makers.setdefault(recipe.loss, partial(self.make_task, recipe, data.classes))
            kin = Kin(make, activation) if self.in_turn and takes_turns(recipe) else None
            return make(activation)._replace(kin=kin)

        return Layout(
            tasks=tuple(task(self.recipes[i]) for i in some),
            rules=tuple(
                build_rule(self.recipes[i], kinds, per_epoch)
                for i, kinds in zip(first, self.schedules, strict=True)
            ),
            counts=self.shape.counts,
        )

    def make_task(self, recipe: Recipe, classes: int, activation: Chosen) -> Task:
        """A recipe's task, with an activation in place of its own."""
        task = build_task(recipe, classes, self.always, activation, self.recording.metrics)
        return self.recording.task(task, recipe, activation)

    @property
    def columns(self) -> int:
        return len(self.segments[0])

    def chunks(self) -> Iterator[tuple[int, int]]:
        """(config chunk, seed chunk), seeds outermost: one seed's whole picture comes first."""
        for seed_chunk in range(self.shape.seed_chunks):
            for config_chunk in range(self.shape.config_chunks):
                yield config_chunk, seed_chunk

    def lanes_of(self, config_chunk: int) -> list[Place]:
        """The lanes of a chunk: positions in `recipes`, task by task and rule by rule."""
        lanes = []
        for row, sizes in zip(self.segments, self.shape.counts, strict=True):
            for members, size in zip(row, sizes, strict=True):
                lanes += cut(members, config_chunk, size)
        return lanes

    def seeds_of(self, seed_chunk: int) -> list[Place]:
        """The seeds of a chunk: positions in `seeds`."""
        return cut(range(len(self.seeds)), seed_chunk, self.shape.seeds)

    def chunk(self, config_chunk: int, seed_chunk: int, starts: Starts) -> Chunk:
        """The arrays with which one device trains a chunk."""
        seeds = [self.seeds[place.position] for place in self.seeds_of(seed_chunk)]

        def drawn(recipes: list[Recipe]) -> PyTree:
            found = [starts(recipe, seeds) for recipe in recipes]
            return trees.map(lambda *leaves: np.stack(leaves, axis=1), *found)

        return self._chunk(config_chunk, seeds, drawn)

    def outline(self, starts: Starts) -> Chunk:
        """A chunk of which no weight is drawn: shapes in their place, enough to trace a program."""
        seeds = [self.seeds[place.position] for place in self.seeds_of(0)]

        def shapes(recipes: list[Recipe]) -> PyTree:
            axes, one = (len(seeds), len(recipes)), starts.outline(recipes[0])
            return trees.map(lambda a: jax.ShapeDtypeStruct((*axes, *a.shape), a.dtype), one)

        return self._chunk(0, seeds, shapes)

    def _chunk(
        self, config_chunk: int, seeds: Sequence[int], start: Callable[[list[Recipe]], Any]
    ) -> Chunk:
        """A chunk with `start` of each task's distinct starts, a recipe for each."""
        by_task, by_rule = self._members(config_chunk)
        distinct = [list(dict.fromkeys(self._start[i] for i in lanes)) for lanes in by_task]
        which = [
            np.array([own.index(self._start[i]) for i in lanes], np.int32)
            for own, lanes in zip(distinct, by_task, strict=True)
        ]
        filled = [
            own + own[-1:] * (most - len(own))
            for own, most in zip(distinct, self._most_starts, strict=True)
        ]
        return Chunk(
            seeds=np.array(seeds, np.uint32),
            starts=tuple(start([self.recipes[i] for i in own]) for own in filled),
            which=tuple(which),
            for_tasks=tuple(table([self.for_tasks[i] for i in lanes]) for lanes in by_task),
            for_rules=tuple(table([self.for_rules[i] for i in lanes]) for lanes in by_rule),
        )

    @cached_property
    def _start(self) -> list[int]:
        """Each recipe's start, as the position of the first recipe that begins alike."""
        first: dict[Hashable, int] = {}
        return [first.setdefault(start_of(recipe), i) for i, recipe in enumerate(self.recipes)]

    @cached_property
    def _most_starts(self) -> list[int]:
        """How many distinct starts a chunk has at most, for each task."""
        chunks = [self._members(chunk)[0] for chunk in range(self.shape.config_chunks)]
        return [
            max(len({self._start[i] for i in lanes}) for lanes in of_task)
            for of_task in zip(*chunks, strict=True)
        ]

    def _members(self, config_chunk: int) -> tuple[list[list[int]], list[list[int]]]:
        """The lanes of a chunk, positions in `recipes`: those of each task, and of each rule."""
        by_task: list[list[int]] = []
        by_rule: list[list[int]] = [[] for _ in range(self.columns)]
        for row, sizes in zip(self.segments, self.shape.counts, strict=True):
            by_task.append([])
            for o, (members, size) in enumerate(zip(row, sizes, strict=True)):
                lanes = [place.position for place in cut(members, config_chunk, size)]
                by_task[-1] += lanes
                by_rule[o] += lanes
        return by_task, by_rule


def cut(members: Sequence[int], piece: int, size: int) -> list[Place]:
    """Members [piece * size, (piece + 1) * size), filled up with copies of the last member."""
    return [
        Place(members[min(i, len(members) - 1)], i >= len(members))
        for i in range(piece * size, (piece + 1) * size)
    ]


def table(rows: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Rows of numbers as columns: bool for flags, float32 for the rest."""
    flags = {name for name, value in rows[0].items() if isinstance(value, bool)}
    return {
        name: np.array([row[name] for row in rows], bool if name in flags else np.float32)
        for name in rows[0]
    }


@uncollected()
def make_groups(
    recipes: Sequence[Recipe],
    seeds: Sequence[int],
    data: Dataset,
    devices: Sequence[Device],
    lanes: int | None = None,
) -> list[Group]:
    """The groups of a sweep, in the order of its cells; `lanes` overrules the planner's choice.

    Raises UsageError for whatever in the recipes cannot work with this data.
    """
    together: dict[Any, list[int]] = {}
    for i, recipe in enumerate(recipes):
        together.setdefault((recipe.model, recipe.plan), []).append(i)
    return [
        make_group([recipes[i] for i in ids], ids, seeds, data, devices, lanes)
        for ids in together.values()
    ]


def make_group(
    recipes: Sequence[Recipe],
    ids: Sequence[int],
    seeds: Sequence[int],
    data: Dataset,
    devices: Sequence[Device],
    lanes: int | None,
) -> Group:
    """One group: segments by activation and optimizer, parts nobody uses left out, chunks cut."""
    plan = recipes[0].plan
    if plan.batch_size > len(data.train.y):
        raise UsageError(
            f"batch_size {plan.batch_size} is larger than the {len(data.train.y)} training "
            f"examples of {data.name}; choose one of {len(data.train.y)} or less"
        )
    if plan.precision != DEFAULTS["precision"] and devices[0].platform == "cpu":
        raise UsageError(
            f"precision {plan.precision} changes nothing on a CPU, whose products are float32; "
            "leave it out, or train on an accelerator"
        )
    tasks = list(dict.fromkeys(r.task for r in recipes))
    rules = sorted(dict.fromkeys(r.rule for r in recipes), key=sees)
    members: list[list[list[int]]] = [[[] for _ in rules] for _ in tasks]
    for i, recipe in enumerate(recipes):
        members[tasks.index(recipe.task)][rules.index(recipe.rule)].append(i)
    segments = tuple(tuple(map(tuple, row)) for row in members)
    unused = [
        part
        for part in PARTS
        if not any(dict(r.for_task + r.for_rule).get(part, 0) for r in recipes)
    ]
    in_turn = devices[0].platform == "cpu"  # an accelerator wants all lanes at once
    lanes_of_tasks = [[i for part in row for i in part] for row in segments]
    lanes_of_rules = [[i for row in segments for i in row[o]] for o in range(len(rules))]
    turning = [takes_turns(recipes[own[0]]) for own in lanes_of_tasks]
    by_task = numbers_of_tasks(recipes, lanes_of_tasks, unused)
    if in_turn:
        kin = [i for own, turn in zip(lanes_of_tasks, turning, strict=True) if turn for i in own]
        by_task |= share_names({i: by_task[i] for i in kin})
    by_rule = numbers_of_rules(recipes, lanes_of_rules, unused)
    for_tasks, for_rules = ([found[i] for i in range(len(recipes))] for found in (by_task, by_rule))
    schedules = [schedules_of(recipes[i] for i in own) for own in lanes_of_rules]
    kinds = {i: schedules[o] for row in segments for o, part in enumerate(row) for i in part}
    rehearse(recipes, for_tasks, for_rules, [kinds[i] for i in range(len(recipes))], data)
    sized = [0, *(own[0] for own, turn in zip(lanes_of_tasks, turning, strict=True) if not turn)]
    shown = [(recipes[i], for_tasks[i], data) for i in dict.fromkeys(sized)]
    sizes = [footprint(*one) for one in shown]
    parameters, activations = map(max, zip(*sizes, strict=True))
    evaluated = 0 if in_turn else max(evaluation(*one) for one in shown)
    largest, numbers, _ = shown[sizes.index(max(sizes))]
    params, _ = Starts(data, "batch_norm" in numbers).outline(largest)
    rule = remembered(recipes, lanes_of_rules, schedules, for_rules, params)
    target = lanes or target_lanes(
        parameters, activations, memory(devices), cache_bytes(devices), rule, evaluated
    )
    counts = [[len(part) for part in row] for row in segments]
    alike = most_alike([(tasks[a][1], *row) for a, row in enumerate(counts) if turning[a]])
    wide, together, turns = target, target, None
    if in_turn and lanes is None:
        wide, together = target * alike, max(target, LEAST_LANES_CPU)
        if target >= LEAST_LANES_CPU:
            steps = plan.epochs * (len(data.train.y) // plan.batch_size)
            turns = turns_for(wide, steps, plan.batch_size, parameters, activations)
    shape = shape_chunks(counts, len(seeds), wide, len(devices), lanes is not None, turns)
    if not in_turn:
        together = shape.lanes
    group = Group(
        tuple(recipes), tuple(ids), segments, tuple(for_tasks), tuple(for_rules),
        tuple(schedules), tuple(seeds), shape, together, parameters,
        parameters + rule + max(activations, evaluated), in_turn,
    )  # fmt: skip
    refuse_too_large(group, memory(devices))
    return group


def most_alike(kinds: Sequence[Any]) -> int:
    """How many of the things are of the commonest kind; 1 where there are none."""
    return max(Counter(kinds).values(), default=1)


def refuse_too_large(group: Group, memory: int, instead: str | None = None) -> None:
    """Raise UsageError, which says what to do `instead`, if a device cannot hold a chunk."""
    lanes, needed = group.shape.lanes, group.chunk_bytes
    if needed > memory:
        less = "fewer lanes" if lanes > 1 else "a smaller network"
        raise UsageError(
            f"{lanes} lanes of {group.parameter_bytes / 2**20:,.1f} MiB need "
            f"{needed / 2**30:,.1f} GiB to train, a device has {memory / 2**30:,.1f}; "
            f"{instead or f'try {less}'}"
        )
