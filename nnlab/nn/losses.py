"""Every loss by name: functions (prediction, target, numbers) -> scalar of one example.

The caller batches; the numbers may be traced.
"""

from collections.abc import Callable

import jax

from nnlab.nn.losses_binary import (
    binary_cross_entropy,
    binary_focal,
    binary_hinge,
    binary_perceptron,
    binary_sparsemax,
    squared_hinge,
)
from nnlab.nn.losses_classes import (
    cross_entropy,
    focal,
    hinge,
    kl_divergence,
    perceptron,
    poly_cross_entropy,
    soft_cross_entropy,
    sparsemax_loss,
    sum_hinge,
)
from nnlab.nn.losses_ranking import pairwise_hinge, pairwise_logistic, ranking_softmax
from nnlab.nn.losses_regression import (
    absolute_error,
    cosine_distance,
    generalized_kl,
    half_squared_error,
    huber,
    log_cosh,
    quantile,
    squared_error,
)

_CLASSES = (
    cross_entropy, soft_cross_entropy, poly_cross_entropy, focal, hinge, sum_hinge, perceptron,
    sparsemax_loss, kl_divergence,
)  # fmt: skip
_BINARY = (
    binary_cross_entropy, binary_focal, binary_hinge, squared_hinge, binary_perceptron,
    binary_sparsemax,
)  # fmt: skip
_REGRESSION = (
    squared_error, half_squared_error, absolute_error, huber, log_cosh, quantile, generalized_kl,
    cosine_distance,
)  # fmt: skip
_RANKING = (ranking_softmax, pairwise_logistic, pairwise_hinge)

LOSSES: dict[str, Callable[..., jax.Array]] = {
    f.__name__: f for f in (*_CLASSES, *_BINARY, *_REGRESSION, *_RANKING)
}
NEVER_NEGATIVE = frozenset(LOSSES) - {"poly_cross_entropy"}
"""The names of those that are at least 0 for every example, whatever their numbers."""
