"""Learning rates as functions of the step: schedule(count) -> rate, count 0 at the first step.

Every number may be traced, and none decides a branch, so a sweep varies them freely.  `steps`, and
every other length, counts optimizer steps; a phase of 0 steps is over at once, and what something
is divided by is above 0.  Rates are in jax's
default float.  First come the rate (`value` or `peak`) and the length of the whole, which a sweep
gives by itself, then what a person chooses.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import jax.numpy as jnp

from nnlab.errors import UsageError
from nnlab.types import Array, Flag, Int, Number, Scalar

Count = int | Int[Array, ""] | Number
"""A length or a moment in steps."""
Schedule = Callable[[Any], Scalar]


def _floats(*numbers: Any) -> list[Array]:
    return [jnp.asarray(x, float) for x in numbers]


def _positive(name: str, steps: Count) -> Count:
    """A length that something is divided by; UsageError for a Python number of 0 or less."""
    if isinstance(steps, int | float) and steps <= 0:
        raise UsageError(f"{name} is {steps:g}; it needs a length above 0; try 10")
    return steps


def _ratio(t: Array, steps: Array) -> Array:
    """How often a length has passed: t / steps, 0 at t = 0 however short the steps."""
    return t / jnp.maximum(steps, jnp.finfo(steps.dtype).tiny)


def _share(t: Array, begin: Array, steps: Array) -> Array:
    """How much of a phase is over, from 0 to 1."""
    running = jnp.clip((t - begin) / jnp.where(steps > 0, steps, 1), 0, 1)
    return jnp.where(steps > 0, running, jnp.where(t >= begin, 1.0, 0.0))


def _falling_cosine(share: Array) -> Array:
    return 0.5 * (1 + jnp.cos(jnp.pi * share))


def constant(value: Number) -> Schedule:
    """The same rate at every step."""
    return lambda _: jnp.asarray(value, float)


def polynomial(
    value: Number, steps: Count, end: Number = 0.0, power: Number = 1.0, begin: Count = 0
) -> Schedule:
    """From value to end: (value - end) (1 - s)^power + end, s the share of `steps` gone."""

    def schedule(count):
        t, a, b, n, p, first = _floats(count, value, end, steps, power, begin)
        left = (1 - _share(t, first, n)) ** p
        return a * left + b * (1 - left)

    return schedule


def linear(value: Number, steps: Count, end: Number = 0.0, begin: Count = 0) -> Schedule:
    """In a straight line from value to end."""
    return polynomial(value, steps, end, 1.0, begin)


def warmup_constant(peak: Number, warmup: Count = 1, start: Number = 0.0) -> Schedule:
    """In a straight line from start up to the peak in `warmup` steps, and stays there."""
    return linear(start, warmup, peak)


def exponential(
    value: Number,
    steps: Count,
    factor: Number = 0.1,
    begin: Count = 0,
    staircase: Flag = False,
    end: Number | None = None,
) -> Schedule:
    """A geometric curve, value factor^((t - begin) / steps), in stairs if asked, never past end."""
    steps = _positive("steps", steps)

    def schedule(count):
        t, a, n, f, first = _floats(count, value, steps, factor, begin)
        p = _ratio(jnp.maximum(t - first, 0), n)
        rate = a * f ** jnp.where(staircase, jnp.floor(p), p)
        if end is None:
            return rate
        (bound,) = _floats(end)
        within = jnp.where(f < 1, jnp.maximum(rate, bound), jnp.minimum(rate, bound))
        return jnp.where(f == 1, rate, within)

    return schedule


def step(value: Number, factor: Number = 0.1, every: Count = 10) -> Schedule:
    """Multiplies the rate by factor every `every` steps: value factor^floor(t / every)."""
    return exponential(value, _positive("every", every), factor, staircase=True)


def cosine(value: Number, steps: Count, end: Number = 0.0, power: Number = 1.0) -> Schedule:
    """Half a cosine from value to end: (value - end) ((1 + cos(pi s)) / 2)^power + end.

    The end is reached at t = steps, as in optax (torch: at steps - 1).
    Source: Loshchilov and Hutter, ICLR (2017), eq. 5.
    """

    def schedule(count):
        t, a, b, n, p, zero = _floats(count, value, end, steps, power, 0)
        left = _falling_cosine(_share(t, zero, n)) ** p
        return a * left + b * (1 - left)

    return schedule


def inverse_time(value: Number, half: Count = 1) -> Schedule:
    """Falls like 1/t, value / (1 + t / half): half the rate after `half` steps.

    Source: Robbins and Monro, Ann. Math. Stat. 22 (1951).
    """
    half = _positive("half", half)

    def schedule(count):
        t, a, n = _floats(count, value, half)
        return a / (1 + _ratio(t, n))

    return schedule


def inverse_sqrt(value: Number, warmup: Count = 1) -> Schedule:
    """Up in a line to value at t = warmup, then value sqrt(warmup / t).

    Source: Vaswani et al., NeurIPS (2017), section 5.3.
    """
    warmup = _positive("warmup", warmup)

    def schedule(count):
        t, a, n = _floats(count, value, warmup)
        late = jnp.sqrt(n / jnp.maximum(t, jnp.maximum(n, 1)))
        return a * jnp.where(t < n, t / jnp.maximum(n, 1), late)

    return schedule


def piecewise_constant(
    value: Number, boundaries: Sequence[Count], scales: Sequence[Number]
) -> Schedule:
    """Multiplies the rate by scales[i] from step boundaries[i] on."""

    def schedule(count):
        t, rate = _floats(count, value)
        for boundary, scale in zip(boundaries, scales, strict=True):
            b, s = _floats(boundary, scale)
            rate = rate * jnp.where(t >= b, s, 1)
        return rate

    return schedule


def piecewise_interpolate(
    value: Number,
    boundaries: Sequence[Count],
    scales: Sequence[Number],
    cosine: Flag = False,
) -> Schedule:
    """Like piecewise_constant with straight lines (or half cosines) between the boundaries."""

    def schedule(count):
        t, rate, left = _floats(count, value, 0)
        level = rate
        for boundary, scale in zip(boundaries, scales, strict=True):
            right, s = _floats(boundary, scale)
            share = _share(t, left, right - left)
            share = jnp.where(cosine, 1 - _falling_cosine(share), share)
            past, next_level = t >= left, s * level
            rate = jnp.where(past, (1 - share) * level + share * next_level, rate)
            level, left = next_level, right
        return rate

    return schedule


@cache
def with_boundaries(piecewise: Callable[..., Schedule], count: int) -> Callable[..., Schedule]:
    """A piecewise schedule whose `count` boundaries and scales are arguments of their own.

    (value, at_1, scale_1, at_2, scale_2, ...), so that each may be a number of a sweep.
    """
    names = [(f"at_{i + 1}", f"scale_{i + 1}") for i in range(count)]

    def schedule(value: Number, **given: Any) -> Schedule:
        boundaries, scales = ([given.pop(pair[side]) for pair in names] for side in (0, 1))
        return piecewise(value, boundaries, scales, **given)

    old = inspect.signature(piecewise)
    own = [p for p in old.parameters.values() if p.name not in ("value", "boundaries", "scales")]
    new = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
        for pair in names
        for name, kind in zip(pair, (Count, Number), strict=True)
    ]
    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    # a name of its own: the numbers of a run are told apart by the names of its schedules
    schedule.__name__, schedule.__doc__ = f"{piecewise.__name__}_of_{count}", piecewise.__doc__
    vars(schedule)["__signature__"] = old.replace(
        parameters=[old.parameters["value"], *new, *own], return_annotation=Schedule
    )
    return schedule


def linear_onecycle(
    peak: Number,
    steps: Count,
    start: Number = 0.3,
    final: Number = 0.85,
    divisor: Number = 25.0,
    final_divisor: Number = 1e4,
) -> Schedule:
    """Up from peak / divisor, down again by `final`, then to a final_divisor-th, in straight lines.

    start and final are shares of `steps`, rounded down to a step.
    Source: Smith and Topin, arXiv:1708.07120.
    """
    n, a, b, d, f = _floats(steps, start, final, divisor, final_divisor)
    corners = [jnp.floor(a * n), jnp.floor(b * n), n]
    return piecewise_interpolate(jnp.asarray(peak, float) / d, corners, [d, 1 / d, 1 / f])


def cosine_onecycle(
    peak: Number,
    steps: Count,
    start: Number = 0.3,
    divisor: Number = 25.0,
    final_divisor: Number = 1e4,
) -> Schedule:
    """Up from peak / divisor to the peak, then down again, in half cosines.

    The end is peak / (divisor final_divisor).
    Source: Smith and Topin, arXiv:1708.07120.
    """
    n, a, d, f = _floats(steps, start, divisor, final_divisor)
    scales = [d, 1 / (d * f)]
    return piecewise_interpolate(
        jnp.asarray(peak, float) / d, [jnp.floor(a * n), n], scales, cosine=True
    )


def join(schedules: Sequence[Schedule], boundaries: Sequence[Count]) -> Schedule:
    """One schedule after another; each counts from its own boundary."""

    def schedule(count):
        (t,) = _floats(count)
        rate = schedules[0](t)
        for boundary, following in zip(boundaries, schedules[1:], strict=True):
            (b,) = _floats(boundary)
            rate = jnp.where(t < b, rate, following(t - b))
        return rate

    return schedule


def warmup_cosine(
    peak: Number,
    steps: Count,
    warmup: Count = 1,
    start: Number = 0.0,
    end: Number = 0.0,
    power: Number = 1.0,
) -> Schedule:
    """A straight line up to the peak in `warmup` steps, then half a cosine to end at `steps`."""
    n, first = _floats(steps, warmup)
    rise, fall = warmup_constant(peak, warmup, start), cosine(peak, n - first, end, power)
    return join([rise, fall], [warmup])


def warmup_stable_decay(
    peak: Number,
    steps: Count,
    warmup: Count = 1,
    decay: Number = 0.2,
    start: Number = 0.0,
    end: Number = 0.0,
    power: Number = 1.0,
) -> Schedule:
    """A line up to the peak, which stays; in the last share `decay` of `steps` down to the end.

    There (peak - end) (1 - s^power) + end: a straight line, with power 0.5 the paper's 1 - sqrt.
    Source: Haegele et al., NeurIPS (2024), eq. 1 and 2.
    """
    rise = warmup_constant(peak, warmup, start)

    def schedule(count):
        t, n, d, p, a, b = _floats(count, steps, decay, power, peak, end)
        gone = _share(t, (1 - d) * n, d * n) ** p
        return jnp.where(t < (1 - d) * n, rise(t), a * (1 - gone) + b * gone)

    return schedule


def warmup_exponential(
    peak: Number,
    steps: Count,
    factor: Number = 0.1,
    warmup: Count = 1,
    start: Number = 0.0,
    begin: Count = 0,
    staircase: Flag = False,
    end: Number | None = None,
) -> Schedule:
    """A straight line up to the peak in `warmup` steps, then `exponential` from there."""
    fall = exponential(peak, steps, factor, begin, staircase, end)
    return join([warmup_constant(peak, warmup, start), fall], [warmup])


def warm_restarts(
    value: Number, steps: Count, cycles: int = 3, growth: Number = 1.0, end: Number = 0.0
) -> Schedule:
    """Falls in half cosines, each `growth` times as long as the one before, all in `steps` steps.

    Source: Loshchilov and Hutter, ICLR (2017), eq. 5 and T_mult.
    """
    n, g = _floats(steps, growth)
    lengths = jnp.stack([g**i for i in range(cycles)])
    lengths = n * lengths / jnp.sum(lengths)
    starts = [jnp.sum(lengths[:i]) for i in range(1, cycles)]
    return join([cosine(value, length, end) for length in lengths], starts)


def sgdr(cycles: Sequence[Mapping[str, Any]]) -> Schedule:
    """Warm restarts: one `warmup_cosine(**cycle)` after another, each lasting its own `steps`.

    Source: Loshchilov and Hutter, ICLR (2017).
    """
    ends = [cycle["steps"] for cycle in cycles[:-1]]
    boundaries = [sum(ends[: k + 1]) for k in range(len(ends))]
    return join([warmup_cosine(**cycle) for cycle in cycles], boundaries)


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    f.__name__: f
    for f in (
        constant, cosine, cosine_onecycle, exponential, inverse_sqrt, inverse_time, linear,
        linear_onecycle, piecewise_constant, piecewise_interpolate, polynomial, step, warm_restarts,
        warmup_constant, warmup_cosine, warmup_exponential, warmup_stable_decay,
    )
}  # fmt: skip
"""The schedules that numbers alone describe, by name; `join` and `sgdr` put others together."""
