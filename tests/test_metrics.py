"""Metrics that a sweep is asked for: what they are, which is better, and choosing by them."""

import jax.numpy as jnp
import numpy as np
import pytest
from engine import blobs
from scipy.special import softmax

import nnlab
from nnlab import UsageError
from nnlab.report.style import on_log_scale
from nnlab.sweeps.metrics import is_share, larger_is_better, read_metrics

AXES = {"learning_rate": [0.001, 0.05], "optimizer": ["sgd", "adam"], "seed": [0, 1]}
SMALL = {"epochs": 2, "batch_size": 20}


def margin(outputs, label):
    """How far the right output is above the mean."""
    return outputs[label] - jnp.mean(outputs)


ASKED = ["brier", "top_k_accuracy:2", "ndcg", {"margin_score": margin}]
NAMES = ("brier", "top_k_accuracy(2)", "ndcg", "margin_score")


def sweep(metrics=ASKED, axes=AXES, **more) -> nnlab.Sweep:
    return nnlab.Sweep(nnlab.models.mlp([4]), blobs(), axes, metrics=metrics, **SMALL, **more)


@pytest.fixture(scope="module")
def results() -> nnlab.Results:
    return sweep(record=["test_outputs", "train_accuracy"]).run(progress=False)


def test_metrics_are_means_over_the_examples_of_each_set(results):
    z, y = results.recorded["test_outputs"].values.astype(float), blobs().test.y
    right = np.take_along_axis(z, np.broadcast_to(y[:, None], (*z.shape[:-1], 1)), -1)[..., 0]
    hot = np.eye(z.shape[-1])[y]
    place = (z >= right[..., None]).sum(-1)
    known = {
        "brier": ((softmax(z, -1) - hot) ** 2).sum(-1),
        "top_k_accuracy(2)": place <= 2,
        "ndcg": 1 / np.log2(1 + place),
        "margin_score": right - z.mean(-1),
    }
    for name, each in known.items():
        np.testing.assert_allclose(results[f"test_{name}"], each.mean(-1), rtol=1e-4, atol=1e-6)


def test_they_are_measured_after_every_epoch_and_of_the_training_set_where_that_is_asked(results):
    for name in NAMES:
        for part in ("train", "val"):
            assert results[f"{part}_{name}"].dims[-2:] == ("seed", "epoch")
            assert np.isfinite(results[f"{part}_{name}"]).all()


def test_a_sweep_says_beforehand_what_it_will_measure(results):
    whole = {name for name in results.metrics if not name.startswith("test_")}
    assert set(sweep(record="train_accuracy").metrics) == whole
    assert sweep(()).metrics == ("train_loss", "val_loss", "val_accuracy")
    problem = nnlab.models.from_loss(lambda w, _: jnp.sum(w * w), np.ones(2), {"norm": jnp.sum})
    assert nnlab.Sweep(problem).metrics == ("train_loss", "val_loss", "norm")


def test_a_run_measures_the_same_alone_as_in_a_chunk(results):
    alone = sweep().run(progress=False, lanes=1)
    for name in NAMES:
        a, b = alone[f"val_{name}"], results[f"val_{name}"]
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6)


def test_which_is_better_is_read_from_the_name():
    larger = ("val_accuracy", "test_top_k_accuracy(2)", "val_ndcg", "train_reciprocal_rank")
    assert all(larger_is_better(name) and is_share(name) for name in larger)
    assert larger_is_better("val_margin_score")
    assert not is_share("val_margin_score")
    for name in ("val_loss", "test_brier", "accuracy_gap", "val_squared_error", "val_mine"):
        assert not larger_is_better(name)
    assert on_log_scale("val_brier")
    assert not on_log_scale("val_ndcg")
    assert not on_log_scale("val_margin_score")


def test_results_choose_by_the_metric_they_are_judged_by(results, tmp_path):
    assert results.headline == "val_accuracy"
    judged = results.judged_by("val_margin_score")
    assert judged.judged_by(None).headline == "val_margin_score"
    best, by_brier = judged.best(), results.judged_by("val_brier").best()
    mean = results.mean("val_margin_score")["mean"]
    assert float(best["val_margin_score"]) == float(mean.max())
    assert float(by_brier["val_brier"]) == float(results.mean("val_brier")["mean"].min())
    again = nnlab.Results.open(judged.sel(optimizer=["adam"]).save(tmp_path / "r.nc"))
    assert again.headline == "val_margin_score"
    answer = nnlab.report.headline(judged)
    assert "Validation margin score" in answer
    assert "; test margin score" in answer


def test_a_metric_that_is_not_finite_is_as_bad_as_can_be():
    metrics = {"broken_score": lambda z, y: jnp.log(-1.0 - z[y] * z[y]), "rest": margin}
    found = sweep(metrics, {"seed": [0, 1]}).run(progress=False)
    assert (found.values("val_broken_score") == -np.inf).all()
    worst = found.with_data(found.dataset.assign(val_rest=found["val_rest"] * np.nan))
    assert (worst.values("val_rest") == np.inf).all()


def test_nobody_chooses_by_test_data(results):
    with pytest.raises(UsageError, match=r"test_brier is for the end.*try val_brier"):
        results.judged_by("test_brier")
    with pytest.raises(
        UsageError, match="unknown metric 'val_brierr'; did you mean 'val_brier'"
    ) as e:
        results.judged_by("val_brierr")
    assert "test_" not in str(e.value)
    with pytest.raises(UsageError, match="unknown metric '3'"):
        results.judged_by(3)
    with pytest.raises(UsageError, match="test_brier is for the end"):
        nnlab.search({"learning_rate": (1e-3, 1)}, data=blobs(), metrics="brier", by="test_brier")
    with pytest.raises(UsageError, match="unknown metric 'val_brier'"):
        nnlab.search({"learning_rate": (1e-3, 1)}, data=blobs(), by="val_brier")


def test_a_search_is_judged_by_the_metric_it_is_given():
    found = nnlab.search(
        {"learning_rate": (1e-4, 1e-1)}, nnlab.models.mlp([4]), blobs(), trials=4, stages=2,
        final_seeds=1, metrics={"margin": margin}, by="val_margin", progress=False, **SMALL,
    )  # fmt: skip
    values = [trial.value for trial in found.trials]
    assert found.metric == "val_margin"
    assert values == sorted(values)  # a name without accuracy or score is to be small
    assert found.final(progress=False).headline == "val_margin"


REFUSED = {
    "accuracy": "accuracy is measured anyway",
    "briar": "unknown metric 'briar'; did you mean 'brier'",
    "brier(2)": "'2' does not fit; brier takes no arguments",
    "top_k_accuracy(0.5)": "k needs a whole number",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_is_no_metric_is_refused(name):
    with pytest.raises(UsageError) as error:
        read_metrics(name)
    assert REFUSED[name] in str(error.value)


def test_labels_are_names_and_stand_once():
    with pytest.raises(UsageError, match="metric brier is given twice"):
        read_metrics(["brier", {"brier": margin}])
    with pytest.raises(UsageError, match="needs a name of letters"):
        read_metrics({"my own": margin})
    with pytest.raises(UsageError, match="needs a name of letters"):
        read_metrics(lambda z, y: z[y])
    with pytest.raises(UsageError, match="loss is measured anyway"):
        read_metrics({"loss": margin})
    with pytest.raises(UsageError, match="takes a name, a function"):
        read_metrics(3)
    assert read_metrics(()) == ()


def test_what_a_metric_does_wrong_is_said_before_anything_is_written(tmp_path):
    out = tmp_path / "runs"
    wrong = {
        r"metric mine returns float32 of shape \(3,\) for one example": {"mine": lambda z, y: z},
        r"metric mine does not work \(test_metrics.py, line \d+\)": {"mine": lambda z, y: z + y.no},
        "top 9 of 3 classes": "top_k_accuracy(9)",
    }
    for message, metrics in wrong.items():
        with pytest.raises(UsageError, match=message):
            sweep(metrics).run(out, progress=False)
    assert not out.exists()
    numbers = nnlab.data.from_arrays(np.eye(40, 3, dtype=np.float32), np.ones((40, 2), np.float32))
    with pytest.raises(UsageError, match=r"metric brier needs classes.*try ndcg"):
        nnlab.Sweep(nnlab.models.mlp([4]), numbers, metrics="brier").run(progress=False)
    problem = nnlab.models.from_loss(lambda w, _: jnp.sum(w * w), np.ones(2))
    with pytest.raises(UsageError, match="record and metrics are for networks"):
        nnlab.Sweep(problem, metrics="brier")


def test_targets_of_several_outputs_have_metrics_too():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)).astype(np.float32)
    y = (x[:, :3] > 0).astype(np.float32)
    found = nnlab.Sweep(
        nnlab.models.mlp([]), nnlab.data.from_arrays(x, y), {"seed": [0]}, epochs=20,
        learning_rate=0.1, loss="binary_cross_entropy", metrics=["binary_accuracy", "ndcg"],
    ).run(progress=False)  # fmt: skip
    assert float(found.values("test_binary_accuracy").squeeze()) > 0.9
    assert found.judged_by("val_ndcg").headline == "val_ndcg"


def test_a_directory_continues_with_the_same_metrics_only(tmp_path):
    out = tmp_path / "runs"
    begun = sweep(["brier", {"mine": margin}]).run(out, progress=False)
    again = sweep(["brier", {"mine": margin}]).run(out, progress=False)
    np.testing.assert_array_equal(begun["val_mine"], again["val_mine"])
    for other in ("brier", ["brier", {"mine": lambda z, y: z[y]}]):
        with pytest.raises(UsageError, match="holds another sweep"):
            sweep(other).run(out, progress=False)


def test_a_directory_remembers_the_metric_to_choose_by_until_another_is_given(tmp_path):
    out = tmp_path / "runs"
    begun = sweep().run(out, progress=False, by="val_brier")
    assert begun.headline == nnlab.load(out).headline == "val_brier"
    assert sweep().run(out, progress=False).headline == "val_brier"
    assert sweep().run(out, progress=False, by="val_ndcg").headline == "val_ndcg"
    assert nnlab.load(out).headline == "val_ndcg"
    assert nnlab.load(out).judged_by("val_loss").headline == "val_loss"
    with pytest.raises(UsageError, match="test_brier is for the end"):
        sweep().run(tmp_path / "no", progress=False, by="test_brier")
    assert not (tmp_path / "no").exists()


def test_the_stages_of_a_search_remember_the_metric_it_is_judged_by(tmp_path):
    found = nnlab.search(
        {"learning_rate": (1e-4, 1e-1)}, nnlab.models.mlp([4]), blobs(), trials=2, stages=2,
        final_seeds=1, metrics="brier", by="val_brier", out=tmp_path, progress=False, **SMALL,
    )  # fmt: skip
    found.final(progress=False)
    for part in ("stage1", "stage2", "final"):
        assert nnlab.load(tmp_path / part).headline == "val_brier"


def test_a_shell_asks_for_metrics_and_chooses_by_them(nnlab_, tmp_path):
    out = tmp_path / "runs"
    small = ["--hidden", "4", "--epochs", "1", "--limit", "100", "--seeds", "2", "--quiet"]
    asked = ["--learning-rate", "0.01,0.1", "--metrics", "brier,top_k_accuracy:3"]
    status, printed, _ = nnlab_("ablate", *small, *asked, "--by", "val_brier", "--out", out)
    assert status == 0
    assert "Validation brier" in printed
    assert nnlab.load(out).headline == "val_brier"
    by = "val_top_k_accuracy(3)"
    assert nnlab_("report", out, "--by", by, "--to", tmp_path / "page")[0] == 0
    assert "top k accuracy(3)" in (tmp_path / "page" / "index.html").read_text()
    status, _, errors = nnlab_("report", out, "--by", "test_brier")
    assert (status, errors.count("\n")) == (2, 1)
    status, _, errors = nnlab_("ablate", *small, "--by", "val_brier", "--out", tmp_path / "no")
    assert status == 2
    assert "unknown metric 'val_brier'" in errors
    assert not (tmp_path / "no").exists()
