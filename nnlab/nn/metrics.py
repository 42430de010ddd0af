"""Metrics of one example; the caller averages over examples.

Any prediction that is not finite is as wrong as can be, so a diverged run scores no luck.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nnlab.errors import UsageError
from nnlab.types import Scalar

Logits = Float[Array, "classes"]
Label = Int[Array, ""]
Outputs = Float[Array, "outputs"]
Items = Float[Array, "items"]


def accuracy(logits: Logits, label: Label) -> Scalar:
    """1 where the first largest logit is the label's, else 0."""
    right = (jnp.argmax(logits) == label) & jnp.all(jnp.isfinite(logits))
    return right.astype(jnp.float32)


def top_k_accuracy(logits: Logits, label: Label, k: int = 5) -> Scalar:
    """1 where the label's logit is among the k largest, else 0; ties go to the lower class.

    0 for a label that no class has, as accuracy.  Raises UsageError unless 1 <= k <= classes.
    """
    if not 1 <= k <= logits.size:
        raise UsageError(f"top {k} of {logits.size} classes came; take k from 1 to {logits.size}")
    z = logits[label][None]
    classes = jnp.arange(logits.size)
    ahead = (logits > z) | ((logits == z) & (classes < label))
    right = (jnp.sum(ahead) < k) & jnp.any(classes == label) & jnp.all(jnp.isfinite(logits))
    return right.astype(jnp.float32)


def brier(logits: Logits, label: Label) -> Scalar:
    """Squared distance |softmax(z) - one_hot(y)|^2, from 0 to 2.  Source: Brier (1950)."""
    p = jax.nn.softmax(logits)
    distance = jnp.sum(jnp.square(p - (jnp.arange(logits.size) == label).astype(p.dtype)))
    return jnp.where(jnp.all(jnp.isfinite(logits)), distance, 2.0).astype(jnp.float32)


def binary_accuracy(logits: Outputs, targets: Outputs) -> Scalar:
    """The part of outputs whose logit is positive exactly where the target is 1."""
    right = ((logits > 0) == (targets > 0.5)) & jnp.isfinite(logits)
    return jnp.mean(right.astype(jnp.float32))


def reciprocal_rank(scores: Items, relevance: Items) -> Scalar:
    """1 / (the place of the first relevant item), places from 1; 0 with none.

    Equal scores share the worst of their places.
    """
    place = jnp.sum(scores[None, :] >= scores[:, None], axis=1).astype(jnp.float32)
    found = jnp.where(relevance > 0, 1 / jnp.maximum(place, 1), 0)
    return jnp.where(jnp.all(jnp.isfinite(scores)), jnp.max(found), 0).astype(jnp.float32)


def ndcg(scores: Items, relevance: Items) -> Scalar:
    """Discounted gain sum_r (2^relevance - 1) / log2(1 + r) over places r, relative to the best.

    Equal scores share their gains, which is the mean over all orders of them.  0 where nothing is
    relevant.  Sources: Järvelin & Kekäläinen (2002); Burges et al. (2005); McSherry & Najork (2008)
    for ties.
    """
    discount = 1 / jnp.log2(jnp.arange(2, scores.size + 2).astype(jnp.float32))
    gains = jnp.exp2(relevance.astype(jnp.float32)) - 1
    tied = scores[:, None] == scores[None, :]
    many = jnp.maximum(jnp.sum(tied, axis=1), 1).astype(gains.dtype)
    shared = jnp.sum(jnp.where(tied, gains[None, :], 0), axis=1) / many
    reached = jnp.sum(shared[jnp.argsort(-scores)] * discount)
    best = jnp.sum(-jnp.sort(-gains) * discount)
    valid = (best > 0) & jnp.all(jnp.isfinite(scores))
    return jnp.where(valid, reached / jnp.where(best > 0, best, 1), 0)


METRICS: dict[str, Callable[..., jax.Array]] = {
    f.__name__: f for f in (accuracy, top_k_accuracy, brier, binary_accuracy, reciprocal_rank, ndcg)
}
LARGER_IS_BETTER = frozenset(METRICS) - {"brier"}
"""The names of those between 0 and 1, the better the larger."""
