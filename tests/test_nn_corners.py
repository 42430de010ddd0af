"""Where numbers end and shapes do not fit: limits, masks, half precision, ties, odd geometries."""

import math
import re
from functools import partial

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from scipy.stats import kstest, truncnorm
from sklearn.metrics import ndcg_score

from nnlab.errors import UsageError
from nnlab.models import quadratic
from nnlab.nn import initializers, losses
from nnlab.nn.activations import relu, softplus, squareplus
from nnlab.nn.convolution import conv_general_dilated
from nnlab.nn.initializers import INITIALIZERS
from nnlab.nn.layers import batch_norm_eval, batch_norm_train, running_init
from nnlab.nn.metrics import accuracy, ndcg, reciprocal_rank, top_k_accuracy

KEY = jax.random.key(3)
RNG = np.random.default_rng(17)
quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape))


# --- convolutions whose last windows end before the padded border ---

UNALIGNED = {  # images, kernel, strides, padding
    "valid": ((3, 8, 8, 1), (3, 3, 1, 8), (2, 2), "VALID"),
    "pads": ((3, 8, 8, 3), (3, 3, 3, 4), (2, 2), ((1, 1), (1, 1))),
    "pads, many features": ((3, 8, 8, 1), (3, 3, 1, 9), (2, 2), ((1, 1), (1, 1))),
    "a point for each stride": ((3, 8, 7, 2), (1, 1, 2, 3), (2, 3), "VALID"),
    "same, stride beyond the kernel": ((3, 8, 9, 2), (1, 2, 2, 3), (3, 4), "SAME"),
    "one axis alone": ((3, 9, 8, 2), (3, 3, 2, 3), (2, 2), ((0, 0), (1, 1))),
    "unequal strides and pads": ((3, 10, 11, 2), (4, 3, 2, 3), (3, 5), ((2, 1), (0, 3))),
    "pads that cut": ((3, 11, 12, 2), (3, 2, 2, 3), (3, 3), ((-1, 1), (2, -2))),
}


@pytest.mark.parametrize("case", UNALIGNED.values(), ids=UNALIGNED)
def test_gradients_of_strided_convolutions_are_jaxs_wherever_their_last_windows_end(case):
    images, kernel, strides, padding = case
    with jax.enable_x64(True):
        x, k = normal(*images), normal(*kernel)

        def derivatives(form):
            def conv(x, k):
                return form(x, k, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))

            def loss(x, k):
                return jnp.sum(jnp.sin(conv(x, k)))

            gradient = jax.grad(loss, (0, 1))
            return conv(x, k), gradient(x, k), jax.jvp(gradient, (x, k), (x, k))[1]

        forms = conv_general_dilated, lax.conv_general_dilated
        both = (quick(partial(derivatives, form))() for form in forms)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-11), *both)


@pytest.mark.parametrize(
    ("features", "padding", "shape"),
    [(8, "VALID", (28, 28, 1)), (16, ((1, 1), (1, 1)), (32, 32, 3))],
    ids=["of digits", "of ResNet"],
)
def test_flax_layers_that_halve_images_have_their_gradients_by_our_form(features, padding, shape):
    x = normal(2, *shape).astype(jnp.float32)
    layer = flax.linen.Conv(features, (3, 3), strides=2, padding=padding)
    params = layer.init(KEY, x)

    def gradients(layer):
        return quick(jax.grad(lambda p, x: jnp.mean(layer.apply(p, x) ** 2), (0, 1)))(params, x)

    both = map(gradients, (layer.copy(conv_general_dilated=conv_general_dilated), layer))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), *both)


# --- the noisy quadratic near its minimum ---


def test_a_quadratic_far_from_the_origin_is_the_square_of_what_is_left():
    x = np.full((1, 2), 1000.1, np.float32)
    value = quadratic(np.eye(2), np.zeros(2)).loss(jnp.full(2, 1000.0), jnp.asarray(x))
    left = np.float64(x[0, 0]) - 1000  # 0.0999756, as float32 has 1000.1
    np.testing.assert_allclose(value, left**2, rtol=1e-6)


@pytest.mark.parametrize("offset", [0.0, 30.0, 1e4])
@pytest.mark.parametrize("away", [0.0, 1e-2, 1.0])
def test_a_quadratic_and_its_gradient_are_those_of_float64(offset, away):
    root = RNG.normal(size=(6, 6))
    q = (root @ root.T + np.eye(6)).astype(np.float32)
    x = (offset + 1e-2 * RNG.normal(size=(50, 6))).astype(np.float32)
    w = (x.astype(np.float64).mean(0) + away * RNG.normal(size=6)).astype(np.float32)
    model = quadratic(q, np.zeros(6))
    value, gradient = jax.value_and_grad(model.loss)(jnp.asarray(w), jnp.asarray(x))
    q, x, w = (a.astype(np.float64) for a in (q, x, w))
    expected = np.mean([(w - a) @ q @ (w - a) / 2 for a in x])
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    slope = q @ (w - x.mean(0))
    rounding = 1e-6 * np.abs(x - x.mean(0)).max()  # of a mean in float32, about itself
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=rounding * np.abs(q).sum(0).max())


def test_runs_of_a_quadratic_share_all_that_has_a_samples_size():
    lanes, batch, n = 7, 50, 6
    model = quadratic(np.eye(n), np.zeros(n))
    lifted = jax.vmap(jax.value_and_grad(model.loss), (0, None))
    program = jax.make_jaxpr(lifted)(jnp.zeros((lanes, n)), jnp.zeros((batch, n)))
    shapes = [v.aval.shape for e in program.jaxpr.eqns for v in e.outvars]
    assert not [shape for shape in shapes if lanes in shape and batch in shape]
    assert any(lanes in shape for shape in shapes)


# --- normals cut in the far tail ---

TAILS = [(5.5, 8.0), (4.5, math.inf), (4.2, 4.3), (-40.0, -30.0), (12.0, 12.001), (1e3, 2e3)]


@pytest.mark.parametrize(("low", "high"), TAILS)
def test_normals_cut_in_the_far_tail_have_the_conditional_distribution(low, high):
    z = np.asarray(initializers.trunc_normal(0.0, 1.0, low, high)(KEY, (20_000,)), np.float64)
    near, far = sorted((abs(low), abs(high)))
    t = np.abs(z)
    assert np.float32(near) <= t.min() <= t.max() <= np.float32(far)
    law = truncnorm(near, far) if near < 100 else None  # else exponential but for 1 / near^2
    distance = kstest(t, law.cdf if law else lambda t: -np.expm1(-near * (t - near)))
    apart = np.spacing(np.float32(near)) * near / 2  # numbers, relative to the tail's width
    assert distance.statistic < 1.95 / math.sqrt(z.size) + apart
    mean, spread = (law.mean(), law.std()) if law else (near + 1 / near, 1 / near)
    assert abs(t.mean() - mean) < 4 * spread / math.sqrt(z.size)


def test_both_tails_are_mirror_images_and_traced_bounds_draw_the_same():
    def draw(low, high):
        return initializers.truncated_normal(2.0, low, high, 1.0)(KEY, (3, 50))

    right = draw(5.0, 6.0)
    np.testing.assert_allclose(draw(-6.0, -5.0) - 1, 1 - right, rtol=1e-6)
    lows = jnp.array([5.0, -1.0, -6.0])
    lanes = jax.jit(jax.vmap(draw))(lows, jnp.array([6.0, 2.0, -5.0]))
    alone = (right, draw(-1.0, 2.0), draw(-6.0, -5.0))
    np.testing.assert_allclose(lanes, jnp.stack(alone), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("bounds", [(-2.0, 2.0), (-1.0, 3.0), (0.5, 9.0), (3.0, 4.5), (-5.0, -4.0)])
def test_cut_normals_that_jax_draws_well_are_jaxs_bit_for_bit(bounds):
    theirs = jax.random.truncated_normal(KEY, *bounds, (200, 300))
    cut, torchs = initializers.truncated_normal, initializers.trunc_normal
    for init in (cut(1.0, *bounds), torchs(0.0, 1.0, *bounds)):
        np.testing.assert_array_equal(init(KEY, (200, 300)), theirs)


def test_a_bound_at_infinity_is_never_drawn():
    """jax's u in [erf(3.5 / sqrt(2)), 1) rounds to 1 in 1 of 16,000 draws, whose z is the bound."""
    z = initializers.truncated_normal(1.0, 3.5, math.inf)(KEY, (200_000,))
    assert 5 < jnp.max(z) < 5.5


@pytest.mark.parametrize(("dtype", "low"), [(jnp.bfloat16, 2.5), (jnp.float16, 3.5)])
def test_tails_in_half_precision_are_those_of_float32_rounded(dtype, low):
    z = initializers.truncated_normal(1.0, low, 9.0)(KEY, (20_000,), dtype)
    assert z.dtype == dtype
    law = truncnorm(low, 9.0)
    bound = 4 * law.std() / math.sqrt(z.size) + float(jnp.finfo(dtype).eps)
    assert abs(np.asarray(z, np.float64).mean() - law.mean()) < bound


@pytest.mark.parametrize("lift", [float, jnp.float32])
@pytest.mark.parametrize(("mean", "expected"), [(0.5, 1.0), (1.5, 1.5), (7.0, 2.0)])
def test_a_cut_normal_of_no_width_is_the_number_nearest_to_its_mean(lift, mean, expected):
    def draw(std):
        return np.asarray(initializers.trunc_normal(mean, std, 1.0, 2.0)(KEY, (40,)))

    np.testing.assert_array_equal(draw(lift(0.0)), expected)
    np.testing.assert_allclose(draw(lift(1e-3)), expected, atol=6e-3)  # and it is the limit


@pytest.mark.parametrize("name", sorted(set(INITIALIZERS) - {"delta_orthogonal", "dirac"}))
def test_a_layer_without_inputs_or_outputs_has_weights_of_its_shape(name):
    for shape in ((0, 5), (5, 0)):
        assert INITIALIZERS[name]()(KEY, shape).shape == shape


# --- losses ---


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e15, 1e20, 1e30])
def test_cosine_distance_does_not_see_the_length_of_a_vector(scale):
    p, t = jnp.array([1.0, 2.0, -2.0]), jnp.array([2.0, -1.0, 1.0])
    value, gradient = jax.value_and_grad(losses.cosine_distance)(scale * p, t)
    cosine = -2 / math.sqrt(9 * 6)
    np.testing.assert_allclose(value, 1 - cosine, rtol=1e-6)
    slope = -(np.asarray(t) / math.sqrt(54) - cosine * np.asarray(p) / 9)
    np.testing.assert_allclose(gradient, slope / scale, rtol=1e-5)
    np.testing.assert_allclose(losses.cosine_distance(scale * p, p), 0, atol=3e-7)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_cosine_distance_is_1_from_the_zero_vector_and_0_from_itself_in_any_precision(dtype):
    zero, long = jnp.zeros(2, dtype), jnp.array([300.0, 0.0], dtype)
    for a, b, expected in ((zero, zero, 1), (zero, long, 1), (long, long, 0), (long, -long, 2)):
        value, gradient = jax.value_and_grad(losses.cosine_distance)(a, b)
        assert value.dtype == dtype
        assert value == expected
        assert np.all(np.isfinite(gradient))


def test_log_cosh_keeps_its_digits_near_zero_with_both_derivatives():
    e = np.concatenate([[0.0], np.logspace(-15, 2, 200)]).astype(np.float32)

    def single(e):
        return losses.log_cosh(e[None], jnp.zeros(1))

    wide = e.astype(np.float64)
    t, near = np.tanh(wide), np.log1p(2 * np.sinh(np.minimum(wide, 1) / 2) ** 2)
    expected = np.where(wide < 1, near, wide + np.log1p(np.exp(-2 * wide)) - math.log(2))
    for sign in (1, -1):
        x = jnp.asarray(sign * e)
        np.testing.assert_allclose(jax.vmap(single)(x), expected, rtol=2e-6)
        np.testing.assert_allclose(jax.vmap(jax.grad(single))(x), sign * t, rtol=1e-5)
        curved = jax.vmap(jax.grad(jax.grad(single)))(x)
        np.testing.assert_allclose(curved, 1 - t**2, rtol=1e-4, atol=1e-6)


MASKED = {
    "sparsemax_loss": (losses.sparsemax_loss, jnp.asarray(0)),
    "ranking_softmax": (losses.ranking_softmax, jnp.array([2.0, 1.0, 0.0])),
    "focal": (losses.focal, jnp.asarray(0)),
    "focal, gamma 0": (partial(losses.focal, gamma=0.0), jnp.asarray(0)),
}


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("logits", [[0.5, 0.2], [3.0, -1.0]])
def test_what_is_masked_by_minus_infinity_is_as_if_it_were_not_there(name, logits):
    loss, target = MASKED[name]
    full = jnp.array([*logits, -jnp.inf])
    value, gradient = jax.value_and_grad(loss)(full, target)
    without, slope = jax.value_and_grad(loss)(full[:2], target[:2] if target.ndim else target)
    np.testing.assert_allclose(value, without, rtol=1e-6)
    np.testing.assert_allclose(gradient, [*slope, 0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_with_every_rival_masked_nothing_is_left_to_learn(gamma):
    logits = jnp.array([-jnp.inf, 0.7, -jnp.inf])
    for loss in (partial(losses.focal, gamma=gamma), losses.sparsemax_loss):
        value, gradient = jax.value_and_grad(loss)(logits, jnp.asarray(1))
        assert value == 0
        np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("size", [1e4, 3e38])
def test_focal_at_gamma_0_is_cross_entropy_however_far_logits_lie_apart(size):
    logits = jnp.array([size, -size])
    for label in map(jnp.asarray, range(2)):
        both = partial(losses.focal, gamma=0.0), losses.cross_entropy
        found = (jax.value_and_grad(loss)(logits, label) for loss in both)
        jax.tree.map(np.testing.assert_array_equal, *found)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize("loss", [losses.pairwise_logistic, losses.pairwise_hinge])
def test_a_mean_over_more_pairs_than_float16_counts_is_that_of_float32(loss, dtype):
    scores = jnp.asarray(RNG.normal(size=500), dtype)
    grades = jnp.arange(500).astype(dtype)
    found = loss(scores, grades)
    assert found.dtype == dtype
    expected = loss(scores.astype(jnp.float32), grades.astype(jnp.float32))
    np.testing.assert_allclose(float(found), expected, rtol=2 * float(jnp.finfo(dtype).eps))


@pytest.mark.parametrize("level", [-0.1, 1.5, 90.0])
def test_a_level_outside_zero_to_one_is_refused(level):
    with pytest.raises(UsageError, match="0 to 1"):
        losses.quantile(jnp.ones(2), jnp.zeros(2), level)


# --- batch norm in half precision ---


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_batch_norm_of_half_precision_is_flaxs_with_statistics_in_float32(dtype):
    x = jnp.asarray(100 + 400 * RNG.normal(size=(256, 3)), dtype)
    scale, shift = jnp.array([1.0, 2.0, 0.5], dtype), jnp.array([0.0, 1.0, -1.0], dtype)
    module = flax.linen.BatchNorm(momentum=0.9, dtype=dtype, use_fast_variance=False)
    variables = {
        "params": {"scale": scale, "bias": shift},
        "batch_stats": {"mean": jnp.zeros(3), "var": jnp.ones(3)},
    }
    with jax.numpy_dtype_promotion("standard"):
        theirs, moved = module.apply(variables, x, use_running_average=False, mutable="batch_stats")
    y, running = batch_norm_train(x, scale, shift, running_init(3))
    assert y.dtype == theirs.dtype == dtype
    assert running.mean.dtype == running.var.dtype == jnp.float32
    eps = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(*(np.asarray(a, float) for a in (y, theirs)), rtol=eps, atol=eps)
    np.testing.assert_allclose(running.mean, moved["batch_stats"]["mean"], rtol=1e-5)
    np.testing.assert_allclose(running.var, moved["batch_stats"]["var"], rtol=1e-5)
    assert batch_norm_eval(x, scale, shift, running).dtype == dtype


def test_derivatives_of_batch_norm_in_float16_are_those_in_float32_rounded():
    x = jnp.asarray(100 + 400 * RNG.normal(size=(64, 3)), jnp.float16)
    scale, shift = jnp.array([1.0, 2.0, 0.5]), jnp.array([0.0, 1.0, -1.0])
    tangents = tuple(jnp.asarray(RNG.normal(size=a.shape)) for a in (x, scale, shift))

    def derivatives(dtype):
        def y(*of):
            return batch_norm_train(*of, running_init(3))[0]

        def loss(*of):
            return jnp.sum(jnp.sin(y(*of).astype(jnp.float32)))

        at = tuple(a.astype(dtype) for a in (x, scale, shift))
        along = tuple(t.astype(jnp.float16).astype(dtype) for t in tangents)
        return jax.jvp(y, at, along)[1], jax.grad(loss, (0, 1, 2))(*at)

    half, full = (quick(partial(derivatives, dtype))() for dtype in (jnp.float16, jnp.float32))
    for a, b in zip(*map(jax.tree.leaves, (half, full)), strict=True):
        assert a.dtype == jnp.float16
        size = float(jnp.max(jnp.abs(b)))
        np.testing.assert_allclose(np.asarray(a, float), b, rtol=4e-3, atol=4e-3 * size)


def test_batch_norm_of_float32_converts_nothing():
    x, scale = jnp.ones((8, 3)), jnp.ones(3)

    def norm(x, scale, shift):
        y, running = batch_norm_train(x, scale, shift, running_init(3))
        return jnp.sum(y) + jnp.sum(batch_norm_eval(x, scale, shift, running))

    def converted(dtype):
        at = (x.astype(dtype), scale.astype(dtype), scale.astype(dtype))
        programs = [str(jax.make_jaxpr(f)(*at)) for f in (norm, jax.grad(norm, (0, 1, 2)))]
        return [len(re.findall(r"\[8,3\] = convert_element_type", text)) for text in programs]

    assert converted(jnp.float32) == [0, 0]
    assert all(number > 0 for number in converted(jnp.float16))


# --- metrics ---


def test_ndcg_of_equal_scores_is_the_mean_over_their_orders_as_in_sklearn():
    for _ in range(20):
        scores, grades = RNG.integers(0, 4, 9).astype(np.float32), RNG.integers(0, 4, 9)
        expected = ndcg_score([2.0**grades - 1], [scores])
        found = ndcg(jnp.asarray(scores), jnp.asarray(grades, jnp.float32))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_no_metric_of_a_list_depends_on_how_the_list_is_sorted():
    grades = jnp.array([3.0, 2.0, 1.0, 0.0, 0.0])
    discount = 1 / np.log2(np.arange(2, 7))
    shared = 11 / 5 * discount.sum() / (np.array([7, 3, 1]) @ discount[:3])
    for scores in (jnp.zeros(5), jnp.array([1.0, 0.0, 1.0, 0.0, 1.0])):
        for metric in (ndcg, reciprocal_rank):
            orders = [np.roll(np.arange(5)[::step], i) for i in range(5) for step in (1, -1)]
            found = [float(metric(scores[order], grades[order])) for order in orders]
            np.testing.assert_allclose(found, found[0], rtol=1e-6)
    np.testing.assert_allclose(ndcg(jnp.zeros(5), grades), shared, rtol=1e-6)


@pytest.mark.parametrize("label", [-1, -3, 5, 100])
def test_a_label_that_no_class_has_is_never_among_the_largest(label):
    logits = jnp.array([0.0, 1.0, 5.0, 3.0, 4.0])
    for k in (1, 4, 5):
        assert top_k_accuracy(logits, jnp.asarray(label), k=k) == 0
    assert accuracy(logits, jnp.asarray(label)) == 0


# --- activations ---


def test_squareplus_of_b_0_is_relu_with_the_slope_of_its_limit():
    x = jnp.array([-1e4, -3.0, -1e-3, 0.0, 1e-3, 3.0, 1e4])
    value, slope = squareplus(x, 0.0), jax.vmap(jax.grad(squareplus), (0, None))(x, 0.0)
    np.testing.assert_allclose(value, relu(x), rtol=1e-6, atol=1e-18)
    np.testing.assert_allclose(slope, [0, 0, 0, 0.5, 1, 1, 1], atol=1e-7)
    assert jax.grad(squareplus)(0.0, jnp.float32(1e-12)) == 0.5  # as for every other b


@pytest.mark.parametrize(
    ("activation", "numbers"), [(softplus, {"beta": 0.0}), (squareplus, {"b": -1.0})]
)
def test_numbers_for_which_an_activation_has_no_value_are_refused(activation, numbers):
    with pytest.raises(UsageError, match=r"infinite|0 \(relu\) or more"):
        activation(jnp.ones(2), **numbers)


def test_huber_without_a_bound_is_half_the_squared_error():
    e = jnp.array([1.0, -3.0])
    value, slope = jax.value_and_grad(losses.huber)(e, jnp.zeros(2), jnp.inf)
    assert value == 2.5
    np.testing.assert_array_equal(slope, e / 2)


@pytest.mark.parametrize("loss", [losses.pairwise_logistic, losses.pairwise_hinge])
def test_items_that_are_masked_by_minus_infinity_leave_the_others_their_gradients(loss):
    slope = jax.grad(loss)(jnp.array([1.0, -jnp.inf, 0.3]), jnp.array([1.0, 0.0, 0.0]))
    assert np.isfinite(slope).all()
    assert slope[0] < 0 < slope[2]
