"""A problem given as a plain loss is a model for any sweep."""

from operator import itemgetter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import every_run, train_plainly

import nnlab
from nnlab.models import from_loss
from nnlab.report.page import write
from nnlab.studies.behaviour import behaviour, trajectory
from nnlab.studies.surfaces import SURFACES

PLACE = {"x": itemgetter(0), "y": itemgetter(1)}
LECTURE = {"sgd": 0.95, "momentum": 0.1, "adagrad": 1.5, "adam": 0.3}


def ellipse(w, _):
    return SURFACES["ellipse"].loss(w)


def bowl() -> nnlab.models.LossModel:
    return from_loss(ellipse, np.array(SURFACES["ellipse"].start), PLACE)


def cloud(n: int = 50) -> nnlab.data.Dataset:
    """Examples without targets."""
    x = np.random.default_rng(0).normal(1, 1, (n, 3)).astype(np.float32)
    return nnlab.data.from_arrays(x, validation=10, test=10, scaling="none", name="cloud")


def distance(w, x):
    """The mean square distance of a batch from w."""
    return jnp.mean(jnp.sum((w[None] - x) ** 2, 1))


def test_gradient_descent_on_the_ellipse_is_two_geometric_sequences():
    rates = [0.1, 0.5, 0.95]
    axes = {"optimizer": ["sgd"], "learning_rate": rates}
    results = nnlab.Sweep(bowl(), axes=axes, epochs=12, batch_size=1).run(progress=False)
    path = trajectory(results, "x", "y").isel(optimizer=0, seed=0).values
    t = np.arange(13)
    for rate, found in zip(rates, path, strict=True):
        expected = np.stack([-7 * (1 - rate / 10) ** t, 2 * (1 - 2 * rate) ** t], 1)
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-5)
    loss = results["val_loss"].isel(optimizer=0, seed=0).values
    np.testing.assert_allclose(loss, path[:, 1:, 0] ** 2 / 20 + path[:, 1:, 1] ** 2, rtol=1e-5)


def book(name: str, rate: float, updates: int) -> np.ndarray:
    """The lecture's own update rules in NumPy: the path on the ellipse."""
    w, m, v = np.array([-7.0, 2.0]), np.zeros(2), np.zeros(2)
    path = [w]
    for t in range(1, updates + 1):
        g = np.array([w[0] / 10, 2 * w[1]])
        if name == "sgd":
            w = w - rate * g
        if name == "momentum":
            m = 0.9 * m - rate * g
            w = w + m
        if name == "adagrad":
            v = v + g * g
            w = w - rate * g / (np.sqrt(v) + 1e-7)
        if name == "adam":
            m, v = m + 0.1 * (g - m), v + 0.001 * (g * g - v)
            w = w - rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)
        path.append(w)
    return np.array(path)


def test_the_lectures_four_optimizers_walk_its_four_paths_in_one_program():
    configs = [{"optimizer": o, "learning_rate": rate} for o, rate in LECTURE.items()]
    sweep = nnlab.Sweep(bowl(), axes={"config": configs}, epochs=30, batch_size=1)
    assert len(sweep.groups()) == 1
    path = trajectory(sweep.run(progress=False), "x", "y").isel(seed=0).values
    for found, (name, rate) in zip(path, LECTURE.items(), strict=True):
        np.testing.assert_allclose(found, book(name, rate, 30), rtol=1e-3, atol=1e-4, err_msg=name)


def test_a_problem_trains_in_any_chunk_as_it_does_alone_with_every_kind_of_optimizer():
    start = jax.nn.initializers.normal(2.0)
    sweep = nnlab.Sweep(
        from_loss(distance, lambda key: start(key, (3,)), {"size": jnp.linalg.norm}),
        cloud(),
        {
            "optimizer": ["lbfgs", "polyak_sgd", "schedule_free_adamw"],
            "schedule": ["constant", "cosine"],
            "learning_rate": [0.01, 0.1],
            "seed": [0, 1],
        },
        transform="clip_norm(5)",
        epochs=2,
        batch_size=10,
    )
    (group,) = sweep.groups(lanes=6)
    assert group.shape.chunks > 2
    runs = every_run(group, sweep)
    assert len(runs) == 3 * 2 * 2 * 2
    for position in (0, 5, 10):
        alone = train_plainly(sweep, group, position, seed=1)
        together = runs[group.ids[position], 1]
        close = {"rtol": 2e-4, "atol": 1e-5}
        np.testing.assert_allclose(together["train_loss"], alone.train_loss, **close)
        np.testing.assert_allclose(together["val_loss"], alone.valid["loss"], **close)
        np.testing.assert_allclose(together["size"], alone.watched["size"], **close)
        np.testing.assert_array_equal(together["start_size"], alone.begun["size"])


def test_a_start_that_is_drawn_belongs_to_the_seed():
    model = from_loss(distance, lambda key: jax.random.normal(key, (3,)), {"first": itemgetter(0)})
    axes = {"learning_rate": [0.1, 0.2], "seed": [0, 1, 2]}
    begun = nnlab.Sweep(model, cloud(), axes, epochs=1, batch_size=10).run(progress=False)
    first = begun["start_first"].values
    np.testing.assert_array_equal(first[0], first[1])
    assert len(set(first[0].tolist())) == 3


def test_a_linear_network_written_as_a_loss_of_pairs_trains_as_the_network_does():
    draw = np.random.default_rng(1)
    x = draw.normal(size=(90, 4)).astype(np.float32)
    data = nnlab.data.from_arrays(x, x @ np.ones((4, 2), np.float32) + 1, name="plane")

    def squares(w, batch):
        x, y = batch
        return jnp.mean(jnp.mean((x @ w["w"] + w["b"][None] - y) ** 2, 1))

    problem = from_loss(squares, {"w": np.zeros((4, 2)), "b": np.zeros(2)})
    axes = {"optimizer": ["momentum", "adam"], "weight_decay": [0.0, 0.1], "seed": [0, 1]}
    settings = {"epochs": 3, "batch_size": 10, "learning_rate": 0.05}
    ours = nnlab.Sweep(problem, data, axes, **settings).run(progress=False)
    network = nnlab.models.mlp([])
    theirs = nnlab.Sweep(network, data, axes, init="zeros", **settings).run(progress=False)
    for metric in ("train_loss", "val_loss", "test_loss"):
        np.testing.assert_allclose(ours[metric], theirs[metric], rtol=1e-5)


def test_a_replayed_order_drops_the_same_rows_in_every_epoch_and_a_fresh_one_does_not():
    """With the loss w . mean(x) an epoch moves w by the sum of the rows that it visits."""
    model = from_loss(lambda w, x: jnp.dot(w, x.mean(0)), np.zeros(3), {"first": itemgetter(0)})
    axes = {"reshuffle": [False, True], "seed": [0, 1]}
    sweep = nnlab.Sweep(
        model, cloud(47), axes, optimizer="sgd", learning_rate=1.0, epochs=4, batch_size=10
    )
    moves = np.diff(trajectory(sweep.run(progress=False), "first").values[..., 0], axis=-1)
    np.testing.assert_allclose(moves[0], moves[0][:, :1].repeat(4, 1), rtol=1e-5)
    assert (np.ptp(moves[1], axis=1) > 1e-3).all()
    np.testing.assert_allclose(moves[0, :, 0], moves[1, :, 0], rtol=1e-5)


def test_a_stopped_problem_resumes_bit_for_bit_and_a_start_elsewhere_is_another_sweep(tmp_path):
    axes = {"optimizer": ["sgd", "adam"], "learning_rate": [0.1, 0.2, 0.3]}

    def sweep(start) -> nnlab.Sweep:
        return nnlab.Sweep(from_loss(distance, start, PLACE), cloud(), axes, epochs=2, batch_size=9)

    whole = sweep(np.ones(3)).run(tmp_path / "a", lanes=2, progress=False)
    chunks = sorted((tmp_path / "a" / "chunks").iterdir())
    assert len(chunks) == 3
    chunks[1].unlink()
    again = sweep(np.ones(3)).run(tmp_path / "a", progress=False)
    for metric in whole.metrics:
        np.testing.assert_array_equal(whole[metric], again[metric])
    with pytest.raises(nnlab.UsageError, match="holds another sweep"):
        sweep(np.zeros(3)).run(tmp_path / "a")
    page = write(nnlab.load(tmp_path / "a"), tmp_path / "report")
    assert "distance" in page.read_text()


def vector(w, _):
    return w


WRONG = {
    "a number as loss": (lambda: from_loss(3, np.ones(2)), "needs a function (params, batch)"),
    "a word as start": (lambda: from_loss(ellipse, "here"), "needs arrays to start from, got str"),
    "a list as start": (lambda: from_loss(ellipse, [1.0, 2.0]), "got float; try np.array("),
    "an endless start": (lambda: from_loss(ellipse, np.array([np.inf, 0.0])), "not finite"),
    "an empty start": (lambda: from_loss(ellipse, {}), "without numbers"),
    "a taken name": (lambda: from_loss(ellipse, np.ones(1), {"val_x": abs}), "called 'val_x'"),
    "a number as measure": (lambda: from_loss(ellipse, np.ones(1), {"x": 3}), "measure x needs"),
    "a knob as measure": (
        lambda: nnlab.Sweep(from_loss(ellipse, np.ones(1), {"dropout": abs})), "rename the measure",
    ),
    "an axis it has not": (
        lambda: sweep(bowl(), axes={"activation": ["relu", "tanh"]}), "activation changes nothing",
    ),
    "a loss beside its own": (lambda: sweep(bowl(), loss="hinge"), "is its own loss"),
    "an unknown knob": (lambda: sweep(bowl(), hidden=[3]), "unknown knob 'hidden'"),
    "a loss of many numbers": (lambda: sweep(from_loss(vector, np.ones(2))), "it needs one float"),
    "a loss that fails": (lambda: sweep(from_loss(ellipse, np.ones(1))), "does not work"),
    "a measure of many": (
        lambda: sweep(from_loss(ellipse, np.ones(2), {"w": lambda w: w})), "measure w returns",
    ),
    "whole numbers": (
        lambda: sweep(from_loss(ellipse, lambda key: jnp.arange(2))), "need to be floats",
    ),
    "a network without targets": (
        lambda: nnlab.Sweep(nnlab.models.mlp([3]), cloud()), "has no targets",
    ),
    "a batch of nothing": (
        lambda: nnlab.Sweep(bowl(), batch_size=100).run(), "batch_size 100 is larger",
    ),
}  # fmt: skip


def sweep(model, axes=None, **knobs) -> None:
    nnlab.Sweep(model, axes=axes, epochs=1, batch_size=1, **knobs).run(progress=False)


@pytest.mark.parametrize(("ask", "word"), WRONG.values(), ids=WRONG)
def test_what_is_no_problem_is_refused_in_one_line(ask, word):
    with pytest.raises(nnlab.UsageError) as caught:
        ask()
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_trajectory_needs_measures():
    results = nnlab.Sweep(from_loss(ellipse, np.ones(2)), epochs=1, batch_size=1)
    with pytest.raises(nnlab.UsageError, match="needs measures"):
        trajectory(results.run(progress=False), "x")


def test_a_rate_beyond_two_over_the_curvature_diverges_and_at_it_oscillates():
    axes = {"optimizer": ["sgd"], "learning_rate": [0.001, 0.6, 1.0, 1.01]}
    model = from_loss(ellipse, np.array([-7.0, 2.0]), {**PLACE, "f": SURFACES["ellipse"].loss})
    results = nnlab.Sweep(model, axes=axes, epochs=150, batch_size=1).run(progress=False)
    path = trajectory(results, "x", "y")
    words = behaviour(trajectory(results, "f").isel(measure=0), path, 0.0)
    expected = ["crawls", "converges", "oscillates", "diverges"]
    assert words.sel(optimizer="sgd", seed=0).values.tolist() == expected


def test_the_noisy_quadratic_is_its_formula_and_ends_at_the_mean_of_its_samples():
    draw = np.random.default_rng(0)
    root = draw.normal(size=(3, 3)).astype(np.float32)
    q, x, w = root @ root.T + np.eye(3, dtype=np.float32), draw.normal(size=(40, 3)), np.ones(3)
    x = x.astype(np.float32)
    model = nnlab.models.quadratic(q, w)
    direct = np.mean([(w - a) @ q @ (w - a) / 2 for a in x])
    np.testing.assert_allclose(model.loss(jnp.ones(3), jnp.asarray(x)), direct, rtol=1e-5)
    gradient = jax.grad(lambda w: model.loss(w, jnp.asarray(x)))(jnp.asarray(x.mean(0)))
    np.testing.assert_allclose(gradient, 0, atol=1e-5)
    with pytest.raises(nnlab.UsageError, match="symmetric"):
        nnlab.models.quadratic(root, w)
