"""What is known of the surfaces on which optimizers are drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nnlab.studies.surfaces import SURFACES

EACH = pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)


def curvatures(surface, place) -> np.ndarray:
    """The eigenvalues of the Hessian at a place."""
    return np.linalg.eigvalsh(jax.hessian(surface.loss)(jnp.array(place)))


@EACH
def test_the_gradient_vanishes_at_the_minima_and_saddles(surface):
    for place in (*surface.minima, *surface.saddles):
        np.testing.assert_allclose(jax.grad(surface.loss)(jnp.array(place)), 0, atol=2e-6)


@EACH
def test_the_minima_have_the_least_loss_and_curve_upwards(surface):
    for place in surface.minima:
        assert float(surface.loss(jnp.array(place))) == pytest.approx(surface.least, abs=1e-6)
        assert curvatures(surface, place).min() > 0


@EACH
def test_saddles_curve_both_ways(surface):
    for place in surface.saddles:
        low, high = curvatures(surface, place)
        assert low < 0 < high


@EACH
def test_nothing_in_the_frame_lies_below_the_minima(surface):
    (left, right), (bottom, top) = surface.frame
    x, y = np.meshgrid(np.linspace(left, right, 101), np.linspace(bottom, top, 101))
    losses = jax.vmap(surface.loss)(jnp.stack([x.ravel(), y.ravel()], 1))
    assert float(losses.min()) >= surface.least - 1e-6
    for a, b in (surface.start, *surface.minima):
        assert left < a < right
        assert bottom < b < top
