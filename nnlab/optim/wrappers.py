"""Transformations around an optimizer that change its gradient, its rhythm or its weights."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from nnlab import trees
from nnlab.optim.core import Constant, Rate, Steps, evaluated, whole, whole_steps
from nnlab.types import Array, Int, Params, PyTree, Scalar


def _where(condition: Any, yes: PyTree[Any], no: PyTree[Any]) -> PyTree[Any]:
    return trees.map(lambda a, b: jnp.where(condition, a, b), yes, no)


class Wealth(NamedTuple):
    """The base optimizer's state, the first weights; per decay reward, bound, variance, scale."""

    base: Any
    start: Params
    r: Array
    m: Array
    v: Array
    s: Array


def mechanize(
    optimizer: Any,
    weight_decay: Rate = 0.01,
    eps: Rate = 1e-8,
    initial_scale: Constant = 1e-6,
    decays: int = 6,
) -> Any:
    """Mechanic learns the scale of an optimizer's total step.

    w = w_0 + sum(s) (sum of its updates).
    Each of `decays` bettors, with memory 1 - 10^-k, bets on c = <g', (w_0 - w) / sum(s)>:
    r <- max(b r + s clip(c, -m, m), 0), m <- max(b m, |c| + eps), v <- b^2 v + c^2,
    s = (initial_scale m / decays + r) / (sqrt(v) + eps);
    g' = g + weight_decay sum(s) |g| / |w| w.  The clip, by the m of the step before, is
    no part of the paper but of optax, where r may fall below 0 and is read as max(r, 0).
    Source: Cutkosky, Defazio and Mehta, NeurIPS (2023), algorithm 1.
    """
    inner = optax.with_extra_args_support(optimizer)

    def begin(w):
        zero = jnp.zeros(decays, trees.norm(w).dtype)
        scale = jnp.full_like(zero, initial_scale)
        return Wealth(inner.init(w), w, r=zero, m=zero, v=zero, s=scale)

    def step(g, s, h):
        u, base = inner.update(g, s.base, h.w, **h.extra)
        total = jnp.sum(s.s)
        decay = h.weight_decay * total * trees.norm(g) / (trees.norm(h.w) + h.eps)
        pulled = trees.map(lambda g, w: g + decay * w, g, h.w)
        path = trees.map(lambda a, w: (a - w) / (total + h.eps), s.start, h.w)
        c = trees.dot(pulled, path)
        b = jnp.asarray([1 - 0.1**k for k in range(1, decays + 1)], c.dtype)
        r = jnp.maximum(b * s.r + jnp.clip(c, -s.m, s.m) * s.s, 0)
        m = jnp.maximum(b * s.m, jnp.abs(c) + h.eps)
        v = b**2 * s.v + c**2
        scale = (h.initial_scale / decays * m + r) / (jnp.sqrt(v) + h.eps)
        far = jnp.sum(scale)
        out = trees.map(lambda a, p, u, w: a - far * (p - u) - w, s.start, path, u, h.w)
        return out, Wealth(base, s.start, r, m, v, scale)

    return whole(begin, step, weight_decay=weight_decay, eps=eps, initial_scale=initial_scale)


class Climb(NamedTuple):
    """The optimizer's state, the weights before the climb and how many climbing steps were made."""

    base: Any
    home: Params
    climbed: Int[Array, ""]

    def evaluated(self, params: Params) -> Params:
        """The weights at home, which a climb leaves; or what the optimizer makes of them."""
        if self.home is not None:
            params = _where(self.climbed > 0, self.home, params)
        average = evaluated(self.base, params)
        return params if average is None else average


def sam(
    optimizer: Any,
    radius: Rate = 0.05,
    period: Steps = 2,
    opaque: bool = False,
) -> Any:
    """SAM descends with the gradient of the worst place nearby, w + radius g / |g|; w where g = 0.

    Transparent, `update` alternates: period - 1 calls climb, the next one returns home and steps.
    Opaque, one call does both and needs grad_fn=((weights, climb) -> gradient) in update.
    A sweep evaluates at home, never at the top of a climb, where half of the training losses are
    measured.  Equal to optax.contrib.sam with the adversary chain(normalize(), sgd(radius)).
    Source: Foret et al., ICLR (2021), algorithm 1.
    """
    inner = optax.with_extra_args_support(optimizer)
    period = whole_steps(period, 1, "period")

    def begin(w):
        return Climb(inner.init(w), None if opaque else w, jnp.zeros((), jnp.int32))

    def up(g, h):
        size = trees.norm(g)
        rate = jnp.where(size > 0, h.radius / jnp.where(size > 0, size, 1), 0)
        return trees.map(lambda g: rate * g, g)

    def loss(h):
        return {"value": h.extra["value"]} if "value" in h.extra else {}

    def transparent(g, s, h):
        home = _where(s.climbed == 0, h.w, s.home)
        arrived = s.climbed == period - 1
        u, base = inner.update(g, s.base, home, **loss(h))
        down = trees.map(lambda a, w, u: a - w + u, home, h.w, u)
        base = _where(arrived, base, s.base)
        climbed = ((s.climbed + 1) % period).astype(jnp.int32)
        return _where(arrived, down, up(g, h)), Climb(base, home, climbed)

    def direct(g, s, h):
        def climb(k, place):
            w, g = place
            w = trees.map(jnp.add, w, up(g, h))
            return w, h.grad_fn(w, k)

        _, g = jax.lax.fori_loop(0, period - 1, climb, (h.w, g))
        u, base = inner.update(g, s.base, h.w, **loss(h))
        return u, Climb(base, None, s.climbed)

    return whole(begin, direct if opaque else transparent, radius=radius)


class Slow(NamedTuple):
    """The optimizer's state, the slow weights and the steps since they moved."""

    base: Any
    slow: Params
    since: Int[Array, ""]

    def evaluated(self, params: Params) -> Params:
        """The slow weights."""
        return trees.map(lambda a, w: a.astype(w.dtype), self.slow, params)


def lookahead(optimizer: Any, period: Steps = 5, share: Rate = 0.5) -> Any:
    """Every `period` steps the weights fall back to slow <- slow + share (w - slow).

    The slow weights live in the state, so that the model holds plain weights; optax.lookahead
    carries both in the parameters.  A sweep evaluates the slow weights.
    Source: Zhang et al., NeurIPS (2019), algorithm 1.
    """
    inner = optax.with_extra_args_support(optimizer)
    period = whole_steps(period, 1, "period")

    def begin(w):
        return Slow(inner.init(w), w, jnp.zeros((), jnp.int32))

    def step(g, s, h):
        u, base = inner.update(g, s.base, h.w, **h.extra)
        meet = s.since == period - 1
        slow = trees.map(lambda a, w, u: a + h.share * (w + u - a), s.slow, h.w, u)
        slow = _where(meet, slow, s.slow)
        back = trees.map(jnp.subtract, slow, h.w)
        since = ((s.since + 1) % period).astype(jnp.int32)
        return _where(meet, back, u), Slow(base, slow, since)

    return whole(begin, step, share=share)


class Gathered(NamedTuple):
    """The optimizer's state, the mean of the gradients since its last step and their number."""

    base: Any
    mean: Params
    seen: Int[Array, ""]


def accumulate(optimizer: Any, every: Steps) -> Any:
    """Steps once per `every` calls, with the mean of their gradients; the other calls move nothing.

    Equal to optax.MultiSteps; `every` may be traced.
    """
    inner = optax.with_extra_args_support(optimizer)
    every = whole_steps(every, 1, "every")

    def begin(w):
        return Gathered(inner.init(w), trees.zeros_like(w), jnp.zeros((), jnp.int32))

    def step(g, s, h):
        n = (s.seen + 1).astype(trees.norm(g).dtype)
        mean = trees.map(lambda m, g: m + (g - m) / n, s.mean, g)
        u, base = inner.update(mean, s.base, vars(h).get("w"), **h.extra)
        due = s.seen == every - 1
        kept = trees.map(lambda m: jnp.where(due, 0, m), mean)
        seen = ((s.seen + 1) % every).astype(jnp.int32)
        return trees.map(lambda u: jnp.where(due, u, 0), u), Gathered(
            _where(due, base, s.base), kept, seen
        )

    return whole(begin, step)


class Health(NamedTuple):
    """The optimizer's state, and how many calls in a row had a gradient that is not finite."""

    base: Any
    bad: Int[Array, ""]


def apply_if_finite(optimizer: Any, patience: Steps = 5) -> Any:
    """Skips a call whose gradient is not finite, at most `patience` times in a row.

    The next such call passes, so that a run which cannot recover ends as one that diverged.
    Equal to optax.apply_if_finite, which leaves the number to the caller.
    """
    inner = optax.with_extra_args_support(optimizer)
    patience = whole_steps(patience)

    def begin(w):
        return Health(inner.init(w), jnp.zeros((), jnp.int32))

    def step(g, s, h):
        finite = jnp.all(jnp.asarray([jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(g)], bool))
        bad = jnp.where(finite, 0, s.bad + 1).astype(jnp.int32)
        u, base = inner.update(g, s.base, vars(h).get("w"), **h.extra)
        go = finite | (bad > patience)
        return trees.map(lambda u: jnp.where(go, u, 0), u), Health(_where(go, base, s.base), bad)

    return whole(begin, step)


class WeightMean(NamedTuple):
    """The sum, decaying, of the weights after each step, and of as many ones."""

    total: Params
    ones: Scalar

    def evaluated(self, params: Params) -> Params:
        """The mean weights, unbiased from step one; before it the weights themselves."""
        share = jnp.where(self.ones > 0, self.ones, 1)
        mean = trees.map(lambda x: x / share, self.total)
        return trees.map(
            lambda a, w: jnp.where(self.ones > 0, a, w.astype(a.dtype)).astype(w.dtype),
            mean,
            params,
        )


def average_weights(decay: Rate = 0.999) -> Any:
    """Keeps a running mean of the weights that the updates lead to, and passes the updates on.

    total <- decay total + (1 - decay)(w + u), read as total / (1 - decay^t); stands last in a
    chain.  A sweep evaluates at the mean; elsewhere `optim.core.evaluated` gives it.  Behind sam it
    would average the tops of climbs too: sam(chain(optimizer, average_weights())) does not.
    Source: Polyak and Juditsky (1992); the exponential form: Tarvainen and Valpola, NeurIPS (2017).
    """

    def step(u, s, h):
        total = trees.map(lambda a, w, u: h.decay * a + (1 - h.decay) * (w + u), s.total, h.w, u)
        return u, WeightMean(total, h.decay * s.ones + (1 - h.decay))

    def begin(w):
        return WeightMean(trees.zeros_like(w), jnp.zeros_like(trees.norm(w)))

    return whole(begin, step, decay=decay)


class Plateau(NamedTuple):
    """The factor reached, the best loss, the window's mean; calls, stale means and rest so far."""

    scale: Scalar
    best: Scalar
    mean: Scalar
    calls: Int[Array, ""]
    stale: Int[Array, ""]
    rest: Int[Array, ""]


def reduce_on_plateau(
    factor: Rate = 0.1,
    patience: Steps = 10,
    rtol: Rate = 1e-4,
    atol: Rate = 0.0,
    cooldown: Steps = 0,
    window: Steps = 1,
    min_scale: Rate = 0.0,
) -> Any:
    """Multiplies updates by a scale that shrinks by `factor` whenever the loss has stopped falling.

    The loss (value=loss in update) is averaged over `window` calls; a mean below (1 - rtol) best -
    atol is progress; after `patience` means without it the scale shrinks, not below min_scale, and
    `cooldown` means are not counted.  Equal to optax.contrib.reduce_on_plateau.
    """
    patience, cooldown = map(whole_steps, (patience, cooldown))
    window = whole_steps(window, 1, "window")

    def begin(w):
        one = jnp.ones_like(trees.norm(w))
        zero = jnp.zeros((), jnp.int32)
        return Plateau(one, jnp.full_like(one, jnp.inf), 0 * one, zero, zero, zero)

    def step(g, s, h):
        calls = s.calls + 1
        n = calls.astype(s.mean.dtype)
        mean = ((n - 1) * s.mean + h.value) / n
        better = mean < (1 - h.rtol) * s.best - h.atol
        stale = jnp.where(better, 0, s.stale + 1)
        resting, tired = s.rest > 0, ~better & (stale >= patience)
        due = calls == window
        smaller = jnp.maximum(jnp.where(tired, s.scale * h.factor, s.scale), h.min_scale)
        rest = jnp.where(resting, s.rest - 1, jnp.where(tired, cooldown, 0))
        new = Plateau(
            scale=jnp.where(resting, s.scale, smaller),
            best=jnp.where(better, mean, s.best),
            mean=jnp.zeros_like(mean),
            calls=jnp.zeros_like(calls),
            stale=jnp.where(resting | tired, 0, stale).astype(jnp.int32),
            rest=rest.astype(jnp.int32),
        )
        now = _where(due, new, s._replace(mean=mean, calls=calls))
        return trees.map(lambda g: now.scale * g, g), now

    return whole(begin, step, factor=factor, rtol=rtol, atol=atol, min_scale=min_scale)


def by_name(choose: Callable[[str], bool]) -> Callable[[Params], PyTree[bool]]:
    """A mask from parameters' names: choose("layers/0/bias") says whether that array takes part."""

    def mask(params: Params) -> PyTree[bool]:
        def name(path: Any) -> str:
            return jax.tree_util.keystr(path, simple=True, separator="/")

        return jax.tree_util.tree_map_with_path(lambda path, _: choose(name(path)), params)

    return mask
