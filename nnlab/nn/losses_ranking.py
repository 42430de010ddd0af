"""Losses of one list to be ranked: (scores[items], relevance[items], numbers) -> scalar."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nnlab.nn.losses_classes import soft_cross_entropy
from nnlab.types import Number, Scalar

Items = Float[Array, "items"]


def ranking_softmax(scores: Items, relevance: Items) -> Scalar:
    """Listwise cross-entropy: -sum_i relevance_i log softmax(scores)_i.

    An item of relevance 0 and score -inf, as a mask leaves it, costs nothing.
    Source: Cao et al. (2007), ListNet.
    """
    return soft_cross_entropy(scores, relevance)


def pairwise_logistic(scores: Items, relevance: Items) -> Scalar:
    """Mean of softplus(-(s_i - s_j)) over the pairs with relevance_i > relevance_j, or 0 without.

    Source: Burges et al. (2005), RankNet.
    """
    return _over_pairs(lambda lead: jax.nn.softplus(-lead), scores, relevance)


def pairwise_hinge(scores: Items, relevance: Items, margin: Number = 1.0) -> Scalar:
    """Mean of max(0, margin - (s_i - s_j)) over the same pairs.

    Source: Herbrich et al. (2000).
    """
    return _over_pairs(lambda lead: jax.nn.relu(margin - lead), scores, relevance)


def _over_pairs(cost: Callable[[Array], Array], scores: Items, relevance: Items) -> Scalar:
    lead = scores[:, None] - scores[None, :]
    ordered = relevance[:, None] > relevance[None, :]
    wide = scores.dtype if jnp.finfo(scores.dtype).bits >= 32 else jnp.float32
    count = jnp.maximum(jnp.sum(ordered), 1).astype(wide)  # may be more than float16 can hold
    lead = jnp.where(ordered, lead, 0)  # -inf minus -inf would be NaN in the gradient
    total = jnp.sum(jnp.where(ordered, cost(lead), 0), dtype=wide)
    return (total / count).astype(scores.dtype)
