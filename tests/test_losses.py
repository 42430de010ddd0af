"""Losses and metrics: one table holds each against optax or its closed form."""

import functools
import inspect
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optax import losses as peer
from scipy.stats import poisson

from nnlab.errors import UsageError
from nnlab.nn import losses as ours
from nnlab.nn.activations import sparsemax
from nnlab.nn.losses import LOSSES, cross_entropy
from nnlab.nn.metrics import METRICS, accuracy, ndcg, reciprocal_rank, top_k_accuracy
from nnlab.types import Number

N, CLASSES = 50, 7
RNG = np.random.default_rng(5)
LOGITS = (3 * RNG.normal(size=(N, CLASSES))).astype(np.float32)
LABELS = RNG.integers(0, CLASSES, N).astype(np.int32)
BITS = RNG.integers(0, 2, (N, CLASSES)).astype(np.float32)
REALS = RNG.normal(size=(N, CLASSES)).astype(np.float32)
MIXTURES = RNG.dirichlet(np.ones(CLASSES), N).astype(np.float32) * (BITS[:, :1] > 0)
GRADES = RNG.integers(0, 4, (N, CLASSES)).astype(np.float32)
TARGETS = {"label": LABELS, "bits": BITS, "reals": REALS, "mixture": MIXTURES, "grades": GRADES}


class Case(NamedTuple):
    """A loss, what it is trained towards, its numbers, and the value another source gives."""

    target: str
    numbers: dict
    expected: Callable


def one_hot(y):
    return jax.nn.one_hot(y, CLASSES)


def softmax_focal(z, y, gamma):
    p = jnp.sum(jax.nn.softmax(z) * one_hot(y), -1)
    return -((1 - p) ** gamma) * jnp.log(p)


def rivals(z, y, margin):
    excess = jnp.maximum(z - jnp.sum(z * one_hot(y), -1, keepdims=True) + margin, 0)
    return jnp.sum(excess * (1 - one_hot(y)), -1)


def mean(values):
    return jnp.mean(values, axis=-1)


def pairs(cost, scores, grades):
    """The mean over ordered pairs, written as loops."""
    means = []
    for s, g in zip(scores, np.asarray(grades), strict=True):
        costs = [cost(s[i] - s[j]) for i, j in np.ndindex(CLASSES, CLASSES) if g[i] > g[j]]
        means.append(np.mean(costs))
    return np.array(means)


CASES = {
    "cross_entropy": Case("label", {}, peer.softmax_cross_entropy_with_integer_labels),
    "cross_entropy, smooth": Case(
        "label", {"smoothing": 0.1},
        lambda z, y: peer.softmax_cross_entropy(z, peer.smooth_labels(one_hot(y), 0.1)),
    ),
    "cross_entropy, all smooth": Case(
        "label", {"smoothing": 1.0},
        lambda z, y: peer.softmax_cross_entropy(z, peer.smooth_labels(one_hot(y), 1.0)),
    ),
    "soft_cross_entropy": Case("mixture", {}, peer.softmax_cross_entropy),
    "soft_cross_entropy, smooth": Case(
        "mixture", {"smoothing": 0.3},
        lambda z, t: peer.softmax_cross_entropy(z, peer.smooth_labels(t, 0.3)),
    ),
    "poly_cross_entropy": Case(
        "label", {"weight": 1.5},
        lambda z, y: peer.poly_loss_cross_entropy(z, one_hot(y), epsilon=1.5),
    ),
    "focal": Case("label", {"gamma": 1.5}, lambda z, y: softmax_focal(z, y, 1.5)),
    "hinge": Case("label", {}, peer.multiclass_hinge_loss),
    "hinge, wide": Case(
        "label", {"margin": 3.0}, lambda z, y: 3 * peer.multiclass_hinge_loss(z / 3, y)
    ),
    "sum_hinge": Case("label", {"margin": 2.0}, lambda z, y: rivals(z, y, 2.0)),
    "perceptron": Case("label", {}, peer.multiclass_perceptron_loss),
    "sparsemax_loss": Case("label", {}, peer.multiclass_sparsemax_loss),
    "kl_divergence": Case(
        "mixture", {}, lambda z, q: peer.kl_divergence(jax.nn.log_softmax(z), q)
    ),
    "binary_cross_entropy": Case(
        "bits", {}, lambda z, y: mean(peer.sigmoid_binary_cross_entropy(z, y))
    ),
    "binary_cross_entropy, smooth": Case(
        "bits", {"smoothing": 0.2},
        lambda z, y: mean(peer.sigmoid_binary_cross_entropy(z, 0.8 * y + 0.1)),
    ),
    "binary_focal": Case(
        "bits", {"gamma": 1.5, "alpha": 0.3},
        lambda z, y: mean(peer.sigmoid_focal_loss(z, y, alpha=0.3, gamma=1.5)),
    ),
    "binary_hinge": Case("bits", {}, lambda z, y: mean(peer.hinge_loss(z, 2 * y - 1))),
    "squared_hinge": Case(
        "bits", {"margin": 2.0}, lambda z, y: mean(jnp.maximum(0, 2 - z * (2 * y - 1)) ** 2)
    ),
    "binary_perceptron": Case("bits", {}, lambda z, y: mean(peer.perceptron_loss(z, 2 * y - 1))),
    "binary_sparsemax": Case(
        "bits", {}, lambda z, y: mean(peer.sparsemax_loss(z, y > 0))
    ),
    "squared_error": Case("reals", {}, lambda p, t: mean(peer.squared_error(p, t))),
    "half_squared_error": Case("reals", {}, lambda p, t: mean(peer.l2_loss(p, t))),
    "absolute_error": Case("reals", {}, lambda p, t: mean(jnp.abs(p - t))),
    "huber": Case("reals", {"delta": 0.7}, lambda p, t: mean(peer.huber_loss(p, t, delta=0.7))),
    "log_cosh": Case("reals", {}, lambda p, t: mean(peer.log_cosh(p, t))),
    "quantile": Case(
        "reals", {"level": 0.9}, lambda p, t: mean(jnp.where(t > p, 0.9, 0.1) * jnp.abs(t - p))
    ),
    "generalized_kl": Case(
        "grades", {}, lambda p, t: mean(jax.scipy.special.xlogy(t, t) - t * p - t + jnp.exp(p))
    ),
    "cosine_distance": Case("reals", {}, peer.cosine_distance),
    "ranking_softmax": Case(
        "grades", {}, lambda s, g: peer.ranking_softmax_loss(s, g, reduce_fn=None)
    ),
    "pairwise_logistic": Case(
        "grades", {}, lambda s, g: pairs(lambda d: np.log1p(np.exp(-d)), LOGITS, GRADES)
    ),
    "pairwise_hinge": Case(
        "grades", {"margin": 2.0}, lambda s, g: pairs(lambda d: max(0, 2 - d), LOGITS, GRADES)
    ),
}  # fmt: skip


def loss_of(name):
    return LOSSES[name.split(",")[0]]


@functools.cache
def computed():
    """Each case's values: ours with traced numbers, and the other source's, in one program."""

    def run(logits, targets, numbers):
        mine, theirs = {}, {}
        for name, case in CASES.items():
            loss = functools.partial(loss_of(name), **numbers[name])
            mine[name] = jax.vmap(loss)(logits, targets[case.target])
            theirs[name] = case.expected(logits, targets[case.target])
        return mine, theirs

    numbers = {name: jax.tree.map(jnp.float32, case.numbers) for name, case in CASES.items()}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return jax.jit(run)(jnp.asarray(LOGITS), jax.tree.map(jnp.asarray, TARGETS), numbers)


def test_the_table_of_cases_has_every_loss():
    assert {name.split(",")[0] for name in CASES} == set(LOSSES)


@pytest.mark.parametrize("name", CASES)
def test_equals_optax_or_the_closed_form(name):
    mine, theirs = computed()
    np.testing.assert_allclose(mine[name], theirs[name], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_every_number_of_a_loss_has_a_default_and_may_be_traced_strictly(name):
    case = CASES[name]
    parameters = list(inspect.signature(LOSSES[name]).parameters.values())[2:]
    assert all(isinstance(p.default, float) and p.annotation is Number for p in parameters)
    numbers = {p.name: jnp.float32(p.default) for p in parameters}
    target = jnp.asarray(TARGETS[case.target])[0]
    value = jax.eval_shape(
        functools.partial(LOSSES[name], **numbers), jnp.asarray(LOGITS)[0], target
    )
    assert (value.shape, value.dtype) == ((), jnp.float32)


REACH = {"generalized_kl": 80.0}  # its rate exp(prediction) ends where float32 does


@functools.cache
def far_out():
    """Value and gradient of every loss for predictions of ±1e4, for zeros, and on target."""
    ends = jnp.asarray(np.stack([np.roll([1.0, -1, 0, 0, 0, 0, 0], i) for i in range(CLASSES)]))

    def run(targets):
        found = {}
        for name in LOSSES:
            far = REACH.get(name, 1e4) * ends
            t = targets[CASES[name].target][:CLASSES]
            both = jax.vmap(jax.value_and_grad(LOSSES[name]))
            rows = [far, jnp.zeros_like(far), t if t.ndim > 1 else far]
            found[name] = both(jnp.concatenate(rows), jnp.concatenate([t] * 3))
        return found

    return jax.jit(run)(jax.tree.map(jnp.asarray, TARGETS))


@pytest.mark.parametrize("name", LOSSES)
def test_values_and_gradients_are_finite_far_out_at_zero_and_on_target(name):
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(far_out()[name]))


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_nowhere_negative(name):
    assert jnp.min(far_out()[name][0]) >= -1e-6
    assert jnp.min(computed()[0].get(name, jnp.zeros(()))) >= -1e-6


# --- cross-entropy, which the engine leans on ---


def test_gradient_of_cross_entropy_is_softmax_minus_target():
    z, y = jnp.asarray(LOGITS), jnp.asarray(LABELS)
    gradient = jax.jit(jax.vmap(jax.grad(cross_entropy), (0, 0, None)))(z, y, 0.2)
    target = 0.8 * one_hot(y) + 0.2 / CLASSES
    np.testing.assert_allclose(gradient, jax.nn.softmax(z) - target, atol=1e-6)


def test_derivative_in_the_smoothing_is_right_at_zero_too():
    z, label = jnp.array([1.0, -2.0, 0.5]), 1
    slope = jax.grad(cross_entropy, 2)(z, jnp.asarray(label), jnp.float32(0.0))
    np.testing.assert_allclose(slope, z[label] - jnp.mean(z), rtol=1e-5)


far_cross_entropy = jax.jit(jax.value_and_grad(cross_entropy))


@pytest.mark.parametrize("size", [1e4, 1e30, 3e38])
@pytest.mark.parametrize("label", [0, 1, 2])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_finite_for_every_finite_logit(size, label, smoothing):
    logits = jnp.array([size, -size, 0.0])
    value, gradient = far_cross_entropy(logits, jnp.asarray(label), smoothing)
    assert np.isfinite(value)
    assert value >= 0
    assert np.all(np.isfinite(gradient))


def test_cross_entropy_does_not_see_a_common_offset():
    logits = jnp.array([2.0, -1.0, 0.5])
    far, near = (cross_entropy(z, jnp.asarray(0)) for z in (logits + 4096.0, logits))
    np.testing.assert_allclose(far, near, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [-0.1, 1.1])
def test_a_smoothing_outside_zero_to_one_is_refused(smoothing):
    for loss, target in (
        (cross_entropy, jnp.asarray(0)),
        (ours.soft_cross_entropy, jnp.ones(3) / 3),
        (ours.binary_cross_entropy, jnp.ones(3)),
    ):
        with pytest.raises(UsageError, match="smoothing"):
            loss(jnp.zeros(3), target, smoothing)


def test_classes_masked_by_minus_infinity_cost_nothing_as_in_optax_s_safe_cross_entropy():
    z = jnp.where(jnp.arange(CLASSES) < 3, jnp.asarray(LOGITS), -jnp.inf)
    target = jnp.tile(jnp.array([[0.2, 0.5, 0.3] + [0.0] * (CLASSES - 3)]), (N, 1))
    value, gradient = jax.vmap(jax.value_and_grad(ours.soft_cross_entropy))(z, target)
    np.testing.assert_allclose(value, peer.safe_softmax_cross_entropy(z, target), rtol=1e-5)
    np.testing.assert_allclose(gradient, jax.nn.softmax(z) - target, atol=1e-6)


# --- what single losses are for ---


def test_gradient_of_the_sparsemax_loss_is_sparsemax_minus_target():
    z, y = jnp.asarray(LOGITS), jnp.asarray(LABELS)
    gradient = jax.jit(jax.vmap(jax.grad(ours.sparsemax_loss)))(z, y)
    p = jax.jit(sparsemax)(z)
    np.testing.assert_allclose(gradient, p - one_hot(y), atol=1e-5)


def test_generalized_kl_is_optax_s_for_positive_targets_and_half_the_poisson_deviance():
    z, counts = jnp.asarray(REALS), jnp.asarray(GRADES + 1)
    mine = jax.vmap(ours.generalized_kl)(z, counts)
    np.testing.assert_allclose(
        mine, peer.generalized_kl_divergence(z, counts) / CLASSES, rtol=1e-5, atol=1e-6
    )
    t, r = np.asarray(counts, np.float64), np.exp(REALS.astype(np.float64))
    deviance = 2 * (poisson.logpmf(t, t) - poisson.logpmf(t, r))
    np.testing.assert_allclose(mine, deviance.mean(1) / 2, rtol=1e-5)


def test_huber_has_slope_delta_at_its_corner_and_curvature_one_within():
    def slope(e, delta):
        return jax.grad(LOSSES["huber"])(jnp.asarray([e]), jnp.zeros(1), delta)[0]

    for e, delta, expected in ((1, 1, 1), (-1, 1, -1), (2, 1, 1), (3e38, 1, 1), (5, np.inf, 5)):
        assert slope(float(e), float(delta)) == expected
    curvature = jax.vmap(lambda e: jax.hessian(LOSSES["huber"])(e, jnp.zeros(1))[0, 0])
    np.testing.assert_array_equal(
        curvature(jnp.asarray([[0.0], [0.5], [1.0], [1.5]])), [1, 1, 1, 0]
    )


def test_the_quantile_loss_is_least_at_the_quantile():
    draws = np.sort(RNG.normal(size=1001)).astype(np.float32)
    guesses = np.linspace(-2, 2, 401, dtype=np.float32)
    d = draws[None, :] - guesses[:, None]
    costs = [
        ours.quantile(jnp.full(1001, g), jnp.asarray(draws), 0.9) for g in guesses[[310, 328, 345]]
    ]
    best = guesses[np.argmin(np.mean(np.maximum(0.9 * d, -0.1 * d), axis=1))]
    np.testing.assert_allclose(best, np.quantile(draws, 0.9), atol=0.02)
    np.testing.assert_allclose(
        costs, np.mean(np.maximum(0.9 * d, -0.1 * d), axis=1)[[310, 328, 345]], rtol=1e-5
    )


def test_one_ordered_pair_costs_what_its_lead_costs():
    scores, grades = jnp.array([3.0, -1.0]), jnp.array([0.0, 1.0])
    np.testing.assert_allclose(ours.pairwise_logistic(scores, grades), np.log1p(np.exp(4)), 1e-6)
    assert ours.pairwise_hinge(scores, grades) == 5.0


def test_a_list_without_an_order_costs_nothing():
    scores, flat = jnp.array([3.0, -1.0, 2.0]), jnp.ones(3)
    assert ours.pairwise_logistic(scores, flat) == 0.0
    assert ours.pairwise_hinge(scores, flat) == 0.0


# --- metrics ---


def test_accuracy_is_one_where_the_largest_logit_is_the_label_s():
    logits = jnp.array([[0.0, 2.0, 1.0], [5.0, 2.0, 1.0], [5.0, 2.0, 9.0]])
    labels = jnp.array([1, 1, 2])
    np.testing.assert_array_equal(jax.vmap(accuracy)(logits, labels), [1.0, 0.0, 1.0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_example_with_a_logit_that_is_not_finite_counts_as_wrong(bad):
    for place in range(3):
        logits = jnp.zeros(3).at[place].set(bad)
        for metric in (accuracy, functools.partial(top_k_accuracy, k=2)):
            assert sum(float(metric(logits, jnp.asarray(label))) for label in range(3)) == 0.0
        assert METRICS["brier"](logits, jnp.asarray(0)) == 2.0
        assert METRICS["binary_accuracy"](logits, jnp.zeros(3)) <= 2 / 3
        assert ndcg(logits, jnp.ones(3)) == 0.0
        assert reciprocal_rank(logits, jnp.ones(3)) == 0.0


def test_top_k_counts_the_label_among_the_k_largest():
    logits, labels = jnp.asarray(LOGITS), jnp.asarray(LABELS)
    order = np.argsort(-LOGITS, axis=1, kind="stable")
    for k in (1, 3, CLASSES):
        expected = [float(y in row[:k]) for y, row in zip(LABELS, order, strict=True)]
        mine = jax.vmap(functools.partial(top_k_accuracy, k=k))(logits, labels)
        np.testing.assert_array_equal(mine, expected)


def test_top_one_is_accuracy_even_among_equal_logits():
    logits = jnp.asarray(RNG.integers(0, 2, (N, CLASSES)).astype(np.float32))
    top = jax.vmap(functools.partial(top_k_accuracy, k=1))(logits, jnp.asarray(LABELS))
    np.testing.assert_array_equal(top, jax.vmap(accuracy)(logits, jnp.asarray(LABELS)))


@pytest.mark.parametrize("k", [0, 4])
def test_top_k_wants_k_between_one_and_the_number_of_classes(k):
    with pytest.raises(UsageError, match="from 1 to 3"):
        top_k_accuracy(jnp.zeros(3), jnp.asarray(0), k=k)


def test_brier_is_the_squared_distance_to_the_truth():
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    expected = np.sum((p - np.eye(CLASSES)[LABELS]) ** 2, axis=1)
    mine = jax.vmap(METRICS["brier"])(jnp.asarray(LOGITS), jnp.asarray(LABELS))
    np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-6)


def test_binary_accuracy_is_the_part_of_right_signs():
    value = METRICS["binary_accuracy"](
        jnp.array([1.0, -2.0, 3.0, -4.0]), jnp.array([1.0, 0.0, 0.0, 0.0])
    )
    assert value == 0.75


def test_ranking_metrics_reward_the_relevant_at_the_top():
    scores, grades = jnp.array([3.0, 1.0, 2.0, 0.0]), jnp.array([0.0, 2.0, 1.0, 0.0])
    discount = 1 / np.log2(np.arange(2, 6))
    expected = (1 * discount[1] + 3 * discount[2]) / (3 * discount[0] + 1 * discount[1])
    np.testing.assert_allclose(ndcg(scores, grades), expected, rtol=1e-6)
    np.testing.assert_allclose(ndcg(grades, grades), 1.0, rtol=1e-6)
    assert ndcg(scores, jnp.zeros(4)) == 0.0
    assert reciprocal_rank(scores, grades) == 0.5
    assert reciprocal_rank(scores, jnp.zeros(4)) == 0.0
