"""Losses of one example of several classes: (logits[classes], target, numbers) -> scalar.

The target is a label, an integer from 0, or the probabilities of the classes (soft_cross_entropy,
kl_divergence); z are the logits and p = softmax(z). What a label that no class has costs is left
open: `nnlab.data` checks labels, a loss inside a program cannot.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from nnlab.errors import UsageError
from nnlab.nn.activations_groups import sparsemax
from nnlab.types import Number, Scalar

Logits = Float[Array, "classes"]
Label = Int[Array, ""]
Chances = Float[Array, "classes"]


def cross_entropy(logits: Logits, label: Label, smoothing: Number = 0.0) -> Scalar:
    """Negative log-likelihood of a label in nats, finite for every finite logit.

    loss(z, y) = -sum_k q_k log p_k with q = (1 - s) one_hot(y) + s / classes; its gradient is
    p - q.  Sources: Bishop, PRML (2006), eq. 4.108; Szegedy et al. (2016), section 7, for the
    smoothing s.  Raises UsageError for a smoothing outside 0 to 1.
    """
    return soft_cross_entropy(logits, _hit(logits, label).astype(logits.dtype), smoothing)


def soft_cross_entropy(logits: Logits, target: Chances, smoothing: Number = 0.0) -> Scalar:
    """Cross-entropy towards probabilities t: -sum_k q_k log p_k with q = (1 - s) t + s / classes.

    For mixed or distilled targets; unsmoothed, a class with t = 0 and logit -inf costs nothing.
    Sources: Hinton, Vinyals & Dean (2015); Zhang et al. (2018), mixup.  Raises as cross_entropy.
    """
    if isinstance(smoothing, float | int) and not 0 <= smoothing <= 1:
        raise UsageError(f"label smoothing of {smoothing} came; it lies from 0 to 1: try 0.1")
    q = (1 - smoothing) * target + smoothing / logits.size
    return -jnp.sum(q * jnp.maximum(jax.nn.log_softmax(logits), _lowest(logits)))


def poly_cross_entropy(logits: Logits, label: Label, weight: Number = 2.0) -> Scalar:
    """Cross-entropy whose first Taylor term is changed: -log p_y + weight (1 - p_y).

    Source: Leng et al. (2022), PolyLoss.
    """
    p_y = _at(jax.nn.softmax(logits), label)
    return cross_entropy(logits, label) + weight * (1 - p_y)


def focal(logits: Logits, label: Label, gamma: Number = 2.0) -> Scalar:
    """Cross-entropy that fades for easy examples: -(1 - p_y)^gamma log p_y.

    Source: Lin et al. (2017), eq. 4, for any number of classes.
    """
    lowest = _lowest(logits)  # for a finite log(1 - p_y) where every other class is masked by -inf
    others = jnp.where(_hit(logits, label), lowest, jnp.maximum(logits, lowest))
    log_miss = jax.nn.logsumexp(others) - jax.nn.logsumexp(logits)  # log(1 - p_y), exact near 0
    return jnp.exp(gamma * jnp.maximum(log_miss, lowest)) * cross_entropy(logits, label)


def hinge(logits: Logits, label: Label, margin: Number = 1.0) -> Scalar:
    """Multiclass support vector loss: max_k (z_k + margin [k != y]) - z_y.

    Source: Crammer & Singer (2001).
    """
    return jnp.max(_raised(logits, label, margin)) - _at(logits, label)


def sum_hinge(logits: Logits, label: Label, margin: Number = 1.0) -> Scalar:
    """Support vector loss that counts every rival: sum_{k != y} max(0, z_k + margin - z_y).

    Source: Weston & Watkins (1999).
    """
    excess = jnp.maximum(_raised(logits, label, margin) - _at(logits, label), 0)
    return jnp.sum(jnp.where(_hit(logits, label), 0, excess))


def perceptron(logits: Logits, label: Label) -> Scalar:
    """The hinge loss with no margin: max_k z_k - z_y.  Source: Collins (2002)."""
    return jnp.max(logits) - _at(logits, label)


def sparsemax_loss(logits: Logits, label: Label) -> Scalar:
    """The loss whose gradient is sparsemax(z) - one_hot(y), zero once z_y leads by 1.

    loss = <p, z> - z_y + (1 - |p|^2) / 2 with p = sparsemax(z); a class of p = 0 adds nothing,
    whatever its logit.
    Source: Martins & Astudillo (2016).
    """
    p = sparsemax(logits)
    lead = jnp.sum(p * jnp.where(p > 0, logits - _at(logits, label)[None], 0))
    return lead + (1 - jnp.sum(jnp.square(p))) / 2


def kl_divergence(logits: Logits, target: Chances) -> Scalar:
    """Kullback-Leibler divergence of target probabilities q from p: sum_k q_k (log q_k - log p_k).

    Source: Kullback & Leibler (1951).
    """
    entropy = -jnp.sum(jax.scipy.special.xlogy(target, target))
    return soft_cross_entropy(logits, target) - entropy


def _hit(logits: Logits, label: Label) -> Bool[Array, "classes"]:
    return jnp.arange(logits.size) == label


def _lowest(logits: Logits) -> Any:
    """What stands for -inf: logits may be further apart than a float reaches."""
    return jnp.finfo(logits.dtype).min / 2


def _at(values: Logits, label: Label) -> Scalar:
    """values[label] as a masked sum, whose gradient needs no scatter."""
    return jnp.sum(jnp.where(_hit(values, label), values, 0))


def _raised(logits: Logits, label: Label, margin: Number) -> Logits:
    return jnp.where(_hit(logits, label), logits, logits + margin)
