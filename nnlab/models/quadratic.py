"""The noisy quadratic: the simplest picture of a loss near a minimum, and of its noise."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from nnlab.errors import UsageError
from nnlab.models.loss import LossModel, fingerprint, from_loss


def quadratic(hessian: Any, start: Any) -> LossModel:
    """loss(w, x) = mean_i (w - x_i)' Q (w - x_i) / 2, from w = start, for samples x [batch, n].

    `hessian` is Q [n, n], symmetric. The loss is computed as (w - m)'Q (w - m)/2 + mean_i s_i'Q s_i
    / 2 with m = mean_i x_i and s_i = x_i - m: nothing cancels near the minimum, and what does not
    depend on w is shared by all runs of a sweep. Raises UsageError for another shape.
    Source: Schaul, Zhang & LeCun, No more pesky learning rates (2013), section 3; the problem
    quadratic_deep of Schneider, Balles & Hennig, DeepOBS, arXiv:1903.05499.
    """
    q, w0 = np.asarray(hessian, np.float32), np.asarray(start, np.float32)
    if w0.ndim != 1 or q.shape != 2 * w0.shape or not np.allclose(q, q.T, rtol=1e-4, atol=1e-6):
        raise UsageError(
            f"quadratic needs a symmetric [n, n] and a start [n], got {q.shape} and {w0.shape}"
        )

    def loss(w: Any, x: Any) -> Any:
        samples = jnp.asarray(x)
        near = jnp.mean(samples, axis=0)
        rest = jnp.mean(samples - near[None, :], axis=0)  # what rounding took from the mean
        spread = samples - near[None, :] - rest[None, :]
        away = w - near - rest
        own = jnp.sum((spread @ q) * spread, axis=1)
        return away @ q @ away / 2 + jnp.mean(own) / 2

    return from_loss(loss, w0, name=f"quadratic {fingerprint(q)}")
