"""Convolution with steps as convolution without: pixels that meet the same taps become channels.

With steps of s, tap i meets pixels i, i + s, i + 2 s, ... of the padded image alone. So images and
kernel are folded, s x s neighbours into s s times as many channels, and the folded convolution
moves by one. Its gradients multiply no zeros, where those of a convolution with steps spread the
maps' pixels s apart.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

Edges = tuple[int, int]


class Geometry(NamedTuple):
    """Everything of a convolution but its numbers."""

    size: tuple[int, ...]
    """Height and width of the images."""
    taps: tuple[int, ...]
    """Rows and columns of the kernel."""
    steps: tuple[int, ...]
    """Pixels from one window to the next, down and across."""
    pads: tuple[Edges, ...]
    """Zeros before and behind the images' height and width; fewer than none cut pixels off.

    The last windows end where the zeros behind do: the transposes place their windows by that.
    """

    @property
    def maps(self) -> tuple[int, ...]:
        """Height and width of the maps."""
        axes = zip(self.size, self.taps, self.steps, self.pads, strict=True)
        return tuple((n + sum(pads) - taps) // step + 1 for n, taps, step, pads in axes)


class Folding(NamedTuple):
    """How images and kernel of a convolution are folded: zeros at the ends of their two axes."""

    steps: tuple[int, ...]
    images: list[Edges]
    kernel: list[Edges]
    folded: Geometry
    """The convolution by steps of one."""


def folding(at: Geometry) -> Folding:
    """The folding of a convolution."""
    taps = tuple(-(-k // step) for k, step in zip(at.taps, at.steps, strict=True))
    size = tuple(n + k - 1 for n, k in zip(at.maps, taps, strict=True))
    axes = zip(size, at.size, at.steps, at.pads, strict=True)
    images = [(before, n * step - pixels - before) for n, pixels, step, (before, _) in axes]
    kernel = [(0, k * s - window) for k, s, window in zip(taps, at.steps, at.taps, strict=True)]
    return Folding(at.steps, images, kernel, Geometry(size, taps, (1, 1), ((0, 0), (0, 0))))


def fold(a: Array, first: int, edges: list[Edges], steps: tuple[int, ...]) -> Array:
    """The axes `first` and the next filled up and cut into steps, which the third takes in."""
    a = padded(a, first, edges)
    before, (high, wide, channels), behind = (
        a.shape[:first],
        a.shape[first : first + 3],
        a.shape[first + 3 :],
    )
    down, across = steps
    a = a.reshape(*before, high // down, down, wide // across, across, channels, *behind)
    a = jnp.swapaxes(a, first + 1, first + 2)
    return a.reshape(*before, high // down, wide // across, down * across * channels, *behind)


def unfold(a: Array, first: int, edges: list[Edges], steps: tuple[int, ...]) -> Array:
    """The inverse of `fold`, which is its transpose as well."""
    before, (high, wide, channels), behind = (
        a.shape[:first],
        a.shape[first : first + 3],
        a.shape[first + 3 :],
    )
    down, across = steps
    a = a.reshape(*before, high, wide, down, across, channels // (down * across), *behind)
    a = jnp.swapaxes(a, first + 1, first + 2)
    a = a.reshape(*before, high * down, wide * across, -1, *behind)
    return padded(a, first, [(-low, -high) for low, high in edges])


def padded(a: Array, first: int, edges: list[Edges]) -> Array:
    """Zeros at the ends of the axes `first` and the next; fewer than none cut off."""
    every: list[Any] = [(0, 0, 0)] * a.ndim
    every[first : first + 2] = [(*ends, 0) for ends in edges]
    return lax.pad(a, jnp.zeros((), a.dtype), every)
