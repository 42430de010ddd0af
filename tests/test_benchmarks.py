"""Benchmarks run at toy size, so that none rots; nothing here asserts a speed."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # benchmarks are beside the package, not in it

from benchmarks.agreement import DisagreementError, check  # noqa: E402
from benchmarks.peers import nnlab_engine  # noqa: E402
from benchmarks.peers.flax_model import OPTIMIZERS  # noqa: E402
from benchmarks.tables import markdown  # noqa: E402
from benchmarks.workloads import WORKLOADS, Losses, inputs, toy  # noqa: E402
from nnlab.sweeps.choices import resolve  # noqa: E402

WORKS = {work.name: work for work in WORKLOADS}
TOY = replace(toy(WORKS["W2"]), rates=tuple(np.geomspace(1e-4, 1e-2, 4).tolist()))


def losses(final):
    """A record whose final training losses are these."""
    column = np.array(final, np.float32)[:, None]
    return Losses(column, column, column[:, 0])


FINAL = np.array([2.0, 1.5, 1.0, 0.5])


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The side-by-side benchmark's record and table, W2 and the demo at toy size."""
    folder = tmp_path_factory.mktemp("benchmarks")
    out = folder / "new" / "record.json"
    words = ["--quick", "--work", "W2,W5,demo", "--rounds", "2", "--out", str(out)]
    command = [sys.executable, "-m", "benchmarks.side_by_side", *words]
    hurry = {  # the processes share what they compile, and it need not be fast
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | hurry, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text()), done.stdout


def test_every_peer_trains_the_same_losses(quick):
    record, _ = quick
    for work in record["workloads"].values():
        for peer in work["peers"].values():
            assert peer["agreement"]["steady"] > 0
            assert peer["agreement"]["exceptions"] == 0
            assert peer["agreement"]["median"] < 1e-6


def test_the_record_holds_what_a_reader_needs(quick):
    record, _ = quick
    assert record["quick"]
    assert {"jax", "flax", "optax", "processor", "cores", "load before"} <= set(record["made with"])
    assert list(record["workloads"]) == ["W2", "W5", "demo"]
    for name in ("W2", "W5"):
        assert set(record["workloads"][name]["peers"]) >= {
            "nnlab", "flax+optax vmap", "flax+optax scan", "flax+optax jit step"
        }  # fmt: skip
    assert set(record["workloads"]["demo"]["peers"]) >= {"nnlab", "flax+optax vmap"}
    for work in record["workloads"].values():
        assert len(work["limit GFLOP/s"]["rounds"]) == record["rounds"] == 2
        for peer in work["peers"].values():
            rates, flops = peer["config-steps/s"]["rounds"], work["flops of a config-step"]
            assert peer["compile seconds"] > 0
            assert len(peer["cores busy"]["rounds"]) == 2
            assert len(rates) == 2
            np.testing.assert_allclose(peer["GFLOP/s"]["rounds"], np.array(rates) * flops / 1e9)
            ours = work["peers"]["nnlab"]["config-steps/s"]["rounds"]
            ratio = peer["nnlab is faster by"]["rounds"]
            np.testing.assert_allclose(ratio, np.divide(ours, rates))


def test_the_table_has_a_row_per_workload_and_peer(quick):
    record, table = quick
    assert table.strip() == markdown(record).strip()
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + sum(len(work["peers"]) for work in record["workloads"].values())
    assert len({row.count("|") for row in rows}) == 1


def test_the_timed_engine_returns_what_a_sweep_returns():
    results = nnlab_engine.make_sweep(TOY).run(progress=False).dataset
    found = nnlab_engine.prepare(TOY, None, None).run()
    for name, ours in zip(("train_loss", "val_loss", "test_loss"), found, strict=True):
        np.testing.assert_array_equal(results[name].values.reshape(ours.shape), ours)


def test_flops_count_every_product_of_a_training_step():
    work = toy(WORKS["W3"])
    x = jnp.zeros((work.batch, work.sizes[0]))
    weights = [jnp.zeros(shape) for shape in zip(work.sizes, work.sizes[1:], strict=False)]

    def loss(weights):
        h = x
        for w in weights:
            h = h @ w
        return jnp.sum(h**2)

    def flops(jaxpr):
        total = 0
        for e in jaxpr.eqns:
            if e.primitive.name == "dot_general":
                ((contracted, _), _) = e.params["dimension_numbers"]
                inner = np.prod([e.invars[0].aval.shape[i] for i in contracted])
                total += 2 * inner * e.outvars[0].aval.size
        return total

    assert flops(jax.make_jaxpr(jax.grad(loss))(weights).jaxpr) == work.flops


def test_flops_of_a_convnet_are_those_of_its_kernels_at_every_pixel():
    macs = 28**2 * 5 * 5 * 32, 14**2 * 5 * 5 * 32 * 64, 7 * 7 * 64 * 1024, 1024 * 10
    work = WORKS["W5"]
    assert work.flops == 128 * (6 * sum(macs) - 2 * macs[0])
    assert work.parameters == 3_274_634


def test_a_twin_differs_by_one_unit_in_the_last_place():
    plain, nudged = inputs(TOY), inputs(TOY, nudged=True)
    for a, b in zip(*(jax.tree.leaves(i.starts) for i in (plain, nudged)), strict=True):
        np.testing.assert_array_equal(np.nextafter(a, np.float32(np.inf)), b)
    np.testing.assert_array_equal(plain.train.x, nudged.train.x)
    np.testing.assert_array_equal(plain.rows, nudged.rows)


@pytest.mark.parametrize("name", WORKS["demo"].optimizers)
def test_the_peers_optimizers_are_nnlabs(name):
    choice = resolve("optimizer", name)
    pair = choice.function(learning_rate=0.1, **dict(choice.numbers)), OPTIMIZERS[name](0.1)
    params = jnp.ones(50)
    states = [rule.init(params) for rule in pair]
    for t in range(5):
        g = 10.0 ** jnp.linspace(-6, 2, 50) * jax.random.normal(jax.random.key(t), 50)
        with jax.numpy_dtype_promotion("standard"):  # optax's Adam promotes an integer
            (ours, a), (theirs, b) = (
                rule.update(g, s, params) for rule, s in zip(pair, states, strict=True)
            )
        states = [a, b]
        np.testing.assert_allclose(ours, theirs, rtol=2e-5)


def test_equal_losses_agree_and_a_hundredth_does_not():
    same = check(TOY, losses(FINAL), losses(FINAL), losses(FINAL), range(4))
    assert same == (4, 4, 0, 0.0, 0.0)
    near = check(TOY, losses(FINAL), losses(FINAL), losses(FINAL * 1.005), range(4))
    assert near.exceptions == 0
    assert near.largest == pytest.approx(0.005, rel=1e-3)
    with pytest.raises(DisagreementError, match="1 of 4 steady runs"):
        check(TOY, losses(FINAL), losses(FINAL), losses(FINAL * [1, 1, 1.02, 1]), range(4))


def test_a_run_that_diverges_for_one_peer_alone_is_a_disagreement():
    lost = FINAL.copy()
    lost[3] = np.nan
    assert check(TOY, losses(lost), losses(lost), losses(lost), range(4)).exceptions == 0
    with pytest.raises(DisagreementError):
        check(TOY, losses(FINAL), losses(FINAL), losses(lost), range(4))


def test_a_chaotic_run_is_counted_and_not_compared():
    twin = FINAL * [1, 1, 1, 1.1]
    found = check(TOY, losses(FINAL), losses(twin), losses(FINAL * [1, 1, 1, 2]), range(4))
    assert (found.configs, found.steady, found.exceptions) == (4, 3, 0)


def test_runs_that_part_before_they_both_diverge_are_chaotic():
    expected, twin, found = (losses([1.0, 1.0, 1.0, np.nan]) for _ in range(3))
    histories = [
        np.column_stack([[1, 1, 1, first], r.train])
        for first, r in ((2.0, expected), (2.1, twin), (2.2, found))
    ]
    expected, twin, found = (
        r._replace(train=h) for r, h in zip((expected, twin, found), histories, strict=True)
    )
    assert check(TOY, expected, twin, found, range(4)).steady == 3


def test_a_kind_of_run_without_a_steady_one_is_refused():
    with pytest.raises(DisagreementError, match="no steady run"):
        check(TOY, losses(FINAL), losses(FINAL * 1.1), losses(FINAL), range(4))


def test_peers_that_train_some_configs_are_compared_on_those():
    some = Losses(*(a[[1, 3]] for a in losses(FINAL)))
    assert check(TOY, losses(FINAL), losses(FINAL), some, (1, 3)).configs == 2
    with pytest.raises(DisagreementError):
        check(TOY, losses(FINAL), losses(FINAL), some, (0, 2))
