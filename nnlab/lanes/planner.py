"""How many lanes train at a time, and how a group's runs are cut into equal chunks.

A chunk holds some configs and some seeds, all configs with all its seeds. Every chunk of a group
has the same number of lanes of each (task, rule), so that one compiled program trains all of them;
the last chunk is filled up with copies of its own runs, which are thrown away.
"""

from collections.abc import Iterator, Sequence
from math import ceil
from typing import NamedTuple

from nnlab.errors import UsageError

CACHE_SHARE = 3 / 4
"""What the lanes of one CPU device take of its caches: parameters, gradients and two moments.

Measured on two cores with 1 MiB of second-level cache each, beside strangers: 47,000 parameters
run 1.15 to 1.25 times as fast by 4 lanes as by 16, 90,000 1.03 times as fast by 4 as by 8, 7,500 a
tenth faster by 32 than by 64.
"""
COPIES = 4
STEP = 1 / 16
"""What a step costs however few lanes it has, as a share of what the target's lanes cost.

Measured on two cores: one lane of 90,000 parameters runs at 62 % of the speed of four.
"""
EXCESS = 1 / 8
"""How much dearer a lane becomes at twice the target; measured: 9 % there."""
LEAST_LANES_CPU = 4
"""Fewer leave much of a step to what every step costs; so do blocks of fewer (`lanes.blocks`)."""
MOST_LANES_CPU = 32
ACTIVATIONS_SHARE = 4
"""So many times a CPU device's cache the activations of its lanes may fill.

Measured: 2c2d by batches of 128 is fastest by 1 lane; with a quarter of its channels, or five
layers of 100 by batches of 2,000, by 2.
"""
MOST_LANES_ACCELERATOR = 4096
SHARE_OF_ROUND = 3
"""A round's lanes take one part in so many of an accelerator's memory.

Two rounds are in line (`lanes.rounds`); the rest is for the data, the records and what a compiler
needs beside.
"""
LEAST_TURNS, MOST_TURNS = 4, 16
"""The fewest times the target's lanes that a chunk of one segment holds, to train in turn; the most
that any chunk does.

Between two rounds a device stands idle for 2 to 10 ms, and one waits for the other: 2 to 8 % of a
short round. Of a long one, more is lost where it is broken off.
"""
ROUND = 2e11
"""Operations by which a round is long enough: a CPU device takes a few seconds for them."""
OPERATIONS_OF_A_BYTE = 50
"""What a step takes at least for each byte of its activations: a small convolution has more of them
than parameters."""
SEEDS_BYTES = 2**26
"""What the parameters of a chunk of several seeds may take: every seed has its own, which are drawn
while the chunk before trains."""


class Shape(NamedTuple):
    """The shape of every chunk of a group."""

    counts: tuple[tuple[int, ...], ...]
    """counts[task][rule]: configs of each segment in a chunk."""
    config_chunks: int
    seeds: int
    """Seeds of a chunk; 1 unless it has all configs."""
    seed_chunks: int

    @property
    def lanes(self) -> int:
        """Runs in a chunk, copies included."""
        return sum(map(sum, self.counts)) * self.seeds

    @property
    def chunks(self) -> int:
        return self.config_chunks * self.seed_chunks


def target_lanes(
    parameter_bytes: int,
    activation_bytes: int,
    memory: int,
    cache: int | None,
    rule_bytes: int | None = None,
    evaluation_bytes: int = 0,
) -> int:
    """Lanes per device: cache-sized on a CPU, a share of the memory on an accelerator (cache None).

    The bytes are one lane's: `activation_bytes` are what its backward pass needs of a batch,
    `rule_bytes` what its rule remembers (two moments, unless told), `evaluation_bytes` what an
    evaluation needs; `memory` and `cache` are the device's. Lanes of large activations are few, or
    one: others would only take memory.
    """
    if cache is not None:
        lanes = max(LEAST_LANES_CPU, CACHE_SHARE * cache // (COPIES * parameter_bytes))
        room = ceil(ACTIVATIONS_SHARE * cache / max(1, activation_bytes))
        return int(min(lanes, room, MOST_LANES_CPU))
    rule = 2 * parameter_bytes if rule_bytes is None else rule_bytes
    lane = 2 * (2 * parameter_bytes + rule) + max(3 * activation_bytes, evaluation_bytes)
    return int(min(max(memory // SHARE_OF_ROUND // lane, 1), MOST_LANES_ACCELERATOR))


class Turns(NamedTuple):
    """How many times the lanes that train at a time a chunk may hold; 1: no more than those."""

    lanes: int = 1
    """Of one segment."""
    seeds: int = 1
    """Of several seeds."""


def turns_for(
    lanes: int, steps: int, batch: int, parameter_bytes: int, activation_bytes: int
) -> Turns:
    """As many turns of so many lanes as make a round that is long enough.

    The bytes are one lane's, in float32; `steps` is how long it trains. A step takes 6 operations
    for every parameter and example, or as many as its activations tell.
    """
    step = max(6 * batch * parameter_bytes / 4, OPERATIONS_OF_A_BYTE * activation_bytes)
    wanted = round(min(max(ROUND / (lanes * steps * step), 1), MOST_TURNS))
    room = SEEDS_BYTES // (lanes * parameter_bytes)
    return Turns(max(wanted, LEAST_TURNS), max(1, min(wanted, room)))


def pieces(lanes: int, target: int) -> int:
    """Into how many equal parts to cut lanes or seeds: nearest to `target`, not much smaller."""
    most = max(1, lanes * 3 // (2 * target))
    whole = [n for n in range(1, most + 1) if lanes % n == 0]
    return min(whole, key=lambda n: abs(lanes // n - target))


def parts_of_seeds(seeds: int, lanes: int, target: int) -> int:
    """Into how many equal parts to cut seeds of so many lanes each, for `target` at a time."""
    return pieces(seeds, max(1, target // lanes))


def shape_chunks(
    configs: Sequence[Sequence[int]],
    seeds: int,
    target: int,
    devices: int,
    exact: bool = False,
    turns: Turns | None = None,
) -> Shape:
    """Cut `configs[task][rule]` configs x `seeds` seeds into chunks of up to about `target` lanes.

    Of all cuts the one whose rounds take the least time: a step costs its lanes, copies included,
    something for being a step, and more for each lane where they outgrow the target. Chunks have
    one and a half times the target at most, and with `turns` so many times that, the lanes of one
    segment or of several seeds. With `exact`, they have the target itself: the user's word is kept
    where a segment per lane allows it.
    """
    if target < 1:
        raise UsageError(f"lanes must be 1 or more, got {target}; leave it out to let nnlab choose")
    total, most = sum(map(sum, configs)), max(max(row) for row in configs)
    alone = sum(count > 0 for row in configs for count in row) == 1
    limit = target if exact else target * 3 // 2
    times = turns or Turns()
    of_a_seed = limit * (times.lanes if alone else 1)

    def cuts() -> Iterator[Shape]:
        fewest = min(ceil(total / of_a_seed), most)  # more than `most` would be copies alone
        useful = max(ceil(total / max(1, target // 4)), devices)
        for chunks in range(fewest, min(useful, most) + 1):
            counts = tuple(tuple(ceil(n / chunks) for n in row) for row in configs)
            room = limit * times.seeds // sum(map(sum, counts)) if chunks == 1 else 1
            for together in range(1, max(1, min(seeds, room)) + 1):
                yield Shape(counts, chunks, together, ceil(seeds / together))

    def parts(shape: Shape) -> int:
        """How many parts of a chunk train in turn."""
        lanes = shape.lanes // shape.seeds
        if turns is None:
            return 1
        if alone and lanes > target:
            return shape.seeds * pieces(lanes, target)
        return parts_of_seeds(shape.seeds, lanes, target)

    def cost(shape: Shape) -> tuple[float, int]:
        rounds, number = ceil(shape.chunks / devices), parts(shape)
        excess = max(0, shape.lanes // number - target) / target
        return rounds * (shape.lanes * (1 + EXCESS * excess) + STEP * target * number), rounds

    found = list(cuts())
    finest = found[-1].config_chunks
    fit = [s for s in found if s.lanes // s.seeds <= of_a_seed or s.config_chunks == finest]
    return min(fit, key=cost)
