"""Losses of one example with yes-or-no outputs, averaged over its outputs.

Each takes (logits[outputs], targets[outputs]) with targets 0 or 1; the margin losses read them as
the signs s = 2 y - 1.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nnlab.errors import UsageError
from nnlab.nn.activations_pieces import sparse_plus
from nnlab.types import Number, Scalar

Outputs = Float[Array, "outputs"]


def binary_cross_entropy(logits: Outputs, targets: Outputs, smoothing: Number = 0.0) -> Scalar:
    """Negative log-likelihood of independent bits: softplus(z) - q z, q = (1 - s) y + s / 2.

    Source: Bishop, PRML (2006), eq. 4.90.  Raises UsageError for a smoothing s outside 0 to 1.
    """
    if isinstance(smoothing, float | int) and not 0 <= smoothing <= 1:
        raise UsageError(f"a smoothing of {smoothing} came; it lies from 0 to 1: try 0.1")
    q = (1 - smoothing) * targets + smoothing / 2
    return jnp.mean(_bit_cost(logits, q))


def binary_focal(
    logits: Outputs, targets: Outputs, gamma: Number = 2.0, alpha: Number = 0.25
) -> Scalar:
    """Cross-entropy that fades for easy bits: -w (1 - p_y)^gamma log p_y.

    p_y is the probability of the right answer, and w = alpha for yes, 1 - alpha for no.
    Source: Lin et al. (2017), eq. 5.
    """
    log_miss = jax.nn.log_sigmoid(-_signs(targets) * logits)
    w = alpha * targets + (1 - alpha) * (1 - targets)
    return jnp.mean(w * jnp.exp(gamma * log_miss) * _bit_cost(logits, targets))


def binary_hinge(logits: Outputs, targets: Outputs, margin: Number = 1.0) -> Scalar:
    """Support vector loss: max(0, margin - s z).  Source: Cortes & Vapnik (1995)."""
    return jnp.mean(jax.nn.relu(margin - _signs(targets) * logits))


def squared_hinge(logits: Outputs, targets: Outputs, margin: Number = 1.0) -> Scalar:
    """Support vector loss with a smooth corner: max(0, margin - s z)^2.  Source: Tang (2013)."""
    return jnp.mean(jnp.square(jax.nn.relu(margin - _signs(targets) * logits)))


def binary_perceptron(logits: Outputs, targets: Outputs) -> Scalar:
    """Support vector loss with no margin: max(0, -s z).  Source: Rosenblatt (1958)."""
    return binary_hinge(logits, targets, 0.0)


def binary_sparsemax(logits: Outputs, targets: Outputs) -> Scalar:
    """Cross-entropy that reaches 0 at s z = 1: sparse_plus(-s z).

    Source: Martins & Astudillo (2016).
    """
    return jnp.mean(sparse_plus(-_signs(targets) * logits))


def _signs(targets: Outputs) -> Outputs:
    return 2 * targets - 1


def _bit_cost(logits: Outputs, q: Outputs) -> Outputs:
    """-q log sigmoid(z) - (1 - q) log sigmoid(-z)."""
    return -q * jax.nn.log_sigmoid(logits) - (1 - q) * jax.nn.log_sigmoid(-logits)
