"""Zoom line search: a step size with enough decrease and a flat enough slope (strong Wolfe).

Along phi(a) = loss(w + a d) the search first lets a grow until an interval is known to hold a good
step, then shrinks the interval by cubic, else quadratic interpolation, else bisection.
Source: Nocedal and Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6; the approximate
decrease near the floating-point limit: Hager and Zhang, SIAM J. Optim. 16 (2005), eq. 4.1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nnlab import trees
from nnlab.types import Bool, Flag, Int, Params, Scalar

DECREASE = 1e-4
"""Wanted: phi(a) <= phi(0) + DECREASE a phi'(0) ..."""
CURVATURE = 0.9
"""... and |phi'(a)| <= CURVATURE |phi'(0)|."""
APPROXIMATE = 1e-6
"""A rise of phi by this share of |phi(0)| is taken for rounding, where the slope shows descent."""
GROWTH = 2.0
SHORTEST = 1e-5
"""An interval this short ends the search at the best step that decreased enough."""


class Point(NamedTuple):
    """A place on the line: the step a, phi(a) and phi'(a)."""

    step: Scalar
    value: Scalar
    slope: Scalar


class Search(NamedTuple):
    """The newest point, the interval's ends, a third point for the cubic, the best safe point."""

    count: Int[Any, ""]
    last: Point
    low: Point
    high: Point
    third: Point
    safe: Point
    finite: Bool[Any, ""]
    found: Bool[Any, ""]
    done: Bool[Any, ""]
    failed: Bool[Any, ""]


def zoom(
    loss: Callable[[Params], Any],
    w: Params,
    direction: Params,
    value: Scalar,
    g: Params,
    tries: int | Int[Any, ""] = 20,
    guess: float | Scalar = 1.0,
) -> Scalar:
    """A step size a for w + a direction, from the loss at w and its gradient g.

    When no step satisfies both conditions in `tries` evaluations: the best one that decreased
    enough; without one, the last one tried, or 0 if the loss there is not finite.
    """
    dtype = trees.dot(g, direction).dtype

    def point(step: Any) -> Point:
        there = trees.map(lambda x, d: x + step * d, w, direction)
        value, slope = jax.value_and_grad(loss)(there)
        return Point(step, value.astype(dtype), trees.dot(slope, direction).astype(dtype))

    zero = jnp.zeros((), dtype)
    start = Point(zero, jnp.asarray(value, dtype), trees.dot(g, direction))
    no = jnp.asarray(False)
    begin = Search(jnp.zeros((), jnp.int32), *[start] * 5, finite=~no, found=no, done=no, failed=no)

    def body(s: Search) -> Search:
        s = jax.lax.cond(
            s.found,
            lambda: _shrink(s, start, point, tries),
            lambda: _grow(s, start, point, tries, jnp.asarray(guess, dtype)),
        )
        give_up = s.failed & ((s.safe.step > 0) | ~s.finite)
        return s._replace(last=_pick(give_up, s.safe, s.last))

    return jax.lax.while_loop(lambda s: ~(s.done | s.failed), body, begin).last.step


def _errors(p: Point, start: Point) -> tuple[Scalar, Scalar]:
    """How far a point misses the decrease and the curvature condition; NaN counts as infinite."""
    exact = p.value - start.value - DECREASE * p.step * start.slope
    rise = p.value - start.value - APPROXIMATE * jnp.abs(start.value)
    near = jnp.maximum(p.slope - (2 * DECREASE - 1) * start.slope, rise)
    bend = jnp.abs(p.slope) - CURVATURE * jnp.abs(start.slope)
    errors = [jnp.maximum(e, 0) for e in (jnp.minimum(near, exact), bend)]
    decrease, curvature = (jnp.where(jnp.isnan(e), jnp.inf, e) for e in errors)
    return decrease, curvature


def _grow(s: Search, start: Point, point: Any, tries: Any, guess: Scalar) -> Search:
    """Algorithm 3.5: try a larger step; stop when the last two enclose a good one."""
    first = s.count == 0
    new = point(jnp.where(first, guess, GROWTH * s.last.step))
    decrease, curvature = _errors(new, start)
    good = jnp.maximum(decrease, curvature) <= 0
    beyond = (decrease > 0) | ((new.value >= s.last.value) & ~first)
    turned = (new.slope >= 0) & ~beyond
    low, high = _pick(turned, new, s.last), _pick(turned, s.last, new)
    return Search(
        count=s.count + 1,
        last=new,
        low=low,
        high=high,
        third=low,
        safe=_pick(decrease <= 0, new, s.safe),
        finite=jnp.isfinite(decrease),
        found=beyond | turned | good,
        done=good,
        failed=(s.count + 1 >= tries) & ~good,
    )


def _shrink(s: Search, start: Point, point: Any, tries: Any) -> Search:
    """Algorithm 3.6: try a step inside the interval and keep the part that holds a good one."""
    low, high = s.low, s.high
    short = jnp.abs(high.step - low.step) <= SHORTEST
    new = point(_inside(low, high, s.third))
    decrease, curvature = _errors(new, start)
    good = jnp.maximum(decrease, curvature) <= 0
    safe = _pick((decrease <= 0) & (new.value < s.safe.value), new, s.safe)
    above = (decrease > 0) | (new.value >= low.value)
    uphill = (new.slope * (high.step - low.step) >= 0) & ~above
    return Search(
        count=s.count + 1,
        last=new,
        low=_pick(above, low, new),
        high=_pick(uphill, low, _pick(above, new, high)),
        third=_pick(above | uphill, high, low),
        safe=safe,
        finite=jnp.isfinite(decrease),
        found=s.found,
        done=good,
        failed=((s.count + 1 >= tries) | (short & (safe.step > 0))) & ~good,
    )


def _inside(low: Point, high: Point, third: Point) -> Scalar:
    """The cubic's minimum, else the parabola's, if well inside the interval; else the middle."""
    width = jnp.abs(high.step - low.step)
    left, right = jnp.minimum(high.step, low.step), jnp.maximum(high.step, low.step)

    def within(x: Scalar, margin: float) -> Any:
        return (x > left + margin * width) & (x < right - margin * width)

    cubic, parabola = _cubic_minimum(low, high, third), _parabola_minimum(low, high)
    middle = (low.step + high.step) / 2
    fallback = jnp.where(within(parabola, 0.1), parabola, middle)
    return jnp.where(within(cubic, 0.2), cubic, fallback)


def _cubic_minimum(a: Point, b: Point, c: Point) -> Scalar:
    """The minimum of the cubic through a (with its slope), b and c; NaN where there is none."""
    db, dc = b.step - a.step, c.step - a.step
    rb, rc = b.value - a.value - a.slope * db, c.value - a.value - a.slope * dc
    scale = (db * dc) ** 2 * (db - dc)
    cube = (dc**2 * rb - db**2 * rc) / scale
    square = (db**3 * rc - dc**3 * rb) / scale
    return a.step + (-square + jnp.sqrt(square**2 - 3 * cube * a.slope)) / (3 * cube)


def _parabola_minimum(a: Point, b: Point) -> Scalar:
    """The minimum of the parabola through a (with its slope) and b."""
    d = b.step - a.step
    square = (b.value - a.value - a.slope * d) / d**2
    return a.step - a.slope / (2 * square)


def _pick(condition: Flag, yes: Point, no: Point) -> Point:
    return trees.map(lambda a, b: jnp.where(condition, a, b), yes, no)
