"""How many lanes train together, and how a group's runs are cut into equal chunks.

A chunk holds some configs and some seeds, all configs with all its seeds. Every chunk of a group
has the same number of lanes of each (task, rule), so that one compiled program trains all of them;
the last chunk is filled up with copies of its own runs, which are thrown away.
"""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from nnlab.errors import UsageError

CACHE_BYTES = 12 * 2**20
"""What the lanes of one CPU device should fit in: parameters, gradients and two moments.

Measured on two cores with 0.5-1 MiB of second-level cache each and 16 MiB of third-level cache per
core: throughput is flat from 4 to 16 lanes of 47,000 parameters and falls slowly beyond.
"""
COPIES = 4
MOST_LANES = {"cpu": 64}
MOST_LANES_ACCELERATOR = 4096


class Shape(NamedTuple):
    """The shape of every chunk of a group."""

    counts: tuple[tuple[int, ...], ...]
    """counts[task][rule]: configs of each segment in a chunk."""
    config_chunks: int
    seeds: int
    """Seeds trained together; 1 unless there are fewer configs than lanes."""
    seed_chunks: int

    @property
    def lanes(self) -> int:
        """Runs in a chunk, copies included."""
        return sum(map(sum, self.counts)) * self.seeds

    @property
    def chunks(self) -> int:
        return self.config_chunks * self.seed_chunks


def target_lanes(parameter_bytes: int, activation_bytes: int, platform: str, memory: int) -> int:
    """Lanes per device: cache-sized on a CPU, half the memory on an accelerator.

    `parameter_bytes` and `activation_bytes` are one lane's; `memory` is the device's, in bytes.
    """
    if platform == "cpu":
        lanes = CACHE_BYTES // (COPIES * parameter_bytes)
        return int(min(max(lanes, 4), MOST_LANES["cpu"]))
    lane = 2 * COPIES * parameter_bytes + 3 * activation_bytes
    return int(min(max(memory // 2 // lane, 1), MOST_LANES_ACCELERATOR))


def shape_chunks(
    configs: Sequence[Sequence[int]], seeds: int, target: int, devices: int, exact: bool = False
) -> Shape:
    """Cut `configs[task][rule]` configs x `seeds` seeds into chunks of about `target` lanes.

    Among chunks of half to one and a half times the target, the cut that trains the fewest lanes
    in all, copies and idle devices included; ties go to the larger chunk. With `exact`, no chunk
    exceeds the target: the user's word is kept where a segment per lane allows it.
    """
    if target < 1:
        raise UsageError(f"lanes must be 1 or more, got {target}; leave it out to let nnlab choose")
    total = sum(map(sum, configs))
    limit = target if exact else target * 3 // 2

    def cut(pieces: int) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(ceil(n / pieces) for n in row) for row in configs)

    def shape(pieces: int) -> Shape:
        counts = cut(pieces)
        together = max(1, min(seeds, limit // sum(map(sum, counts)))) if pieces == 1 else 1
        together = ceil(seeds / ceil(seeds / together))
        return Shape(counts, pieces, together, ceil(seeds / together))

    def cost(candidate: Shape) -> tuple[int, int]:
        rounds = ceil(candidate.chunks / devices)
        return rounds * devices * candidate.lanes, rounds

    most = max(max(row) for row in configs)
    fewest = min(ceil(total / limit), most)  # more pieces than that would hold nothing but copies
    candidates = [shape(pieces) for pieces in range(fewest, most + 1)]
    fitting = [c for c in candidates if target // 2 <= c.lanes <= limit]
    below = [c for c in candidates if c.lanes <= limit]
    return min(fitting or below[:1] or candidates[-1:], key=cost)
