"""How many inputs and outputs one weight array joins, for kernels of any rank."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from nnlab.errors import UsageError, unknown
from nnlab.types import Shape

Mode = Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]


class Axes(NamedTuple):
    """Which axes of a weight array count inputs, outputs and independent copies.

    The rest are the receptive field.  The default reads dense kernels [in, out] and convolution
    kernels [..., in, out]; Axes(-1, -2) reads [..., out, in].
    """

    inputs: int | tuple[int, ...] = -2
    outputs: int | tuple[int, ...] = -1
    batch: int | tuple[int, ...] = ()


KERNEL = Axes()


def fans(shape: Shape, axes: Axes = KERNEL) -> tuple[int, int]:
    """The pair (fan_in, fan_out): inputs x receptive field, outputs x receptive field.

    Raises UsageError for an axis that the shape lacks, or that is named twice.
    """
    inputs, outputs, batch = (_positions(shape, axis) for axis in axes)
    named = [*inputs, *outputs, *batch]
    if len(set(named)) < len(named):
        raise UsageError(f"axes of {tuple(shape)} were named twice, got {axes}; name each once")

    def size_without(*skipped: int) -> int:
        return math.prod(size for axis, size in enumerate(shape) if axis not in skipped)

    return size_without(*outputs, *batch), size_without(*inputs, *batch)


def fan(shape: Shape, mode: Mode | str = "fan_in", axes: Axes = KERNEL) -> float:
    """The number a variance is divided by: fan_in, fan_out, or a mean of them.

    1 where it would be less, as only an array without weights has it.
    """
    fan_in, fan_out = fans(shape, axes)
    choices = {
        "fan_in": float(fan_in),
        "fan_out": float(fan_out),
        "fan_avg": (fan_in + fan_out) / 2,
        "fan_geo_avg": math.sqrt(fan_in * fan_out),
    }
    if mode not in choices:
        raise unknown("fan mode", mode, choices)
    return max(1.0, choices[mode])


def _positions(shape: Shape, axis: int | Sequence[int]) -> list[int]:
    rank = len(shape)
    axes = [axis] if isinstance(axis, int) else list(axis)
    if not all(-rank <= a < rank for a in axes):
        raise UsageError(
            f"a weight of shape {tuple(shape)} has no axis {axis} to count fans by; "
            "kernels are [..., in, out]: give such a shape, or say Axes(inputs=…, outputs=…)"
        )
    return [a % rank for a in axes]
