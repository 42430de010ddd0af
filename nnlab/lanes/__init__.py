"""Lifting: many runs in one program.

A run's place in a batched program is a lane; neighbouring lanes that share a categorical choice
are a segment; the lanes that one device trains in one go, some at a time, are a chunk; a chunk for
every device is a round.
"""

from nnlab.lanes.devices import prepare
from nnlab.lanes.lift import Layout, lift
from nnlab.lanes.planner import Shape, shape_chunks, target_lanes
from nnlab.lanes.program import Chunk, Program

__all__ = [
    "Chunk",
    "Layout",
    "Program",
    "Shape",
    "lift",
    "prepare",
    "shape_chunks",
    "target_lanes",
]
