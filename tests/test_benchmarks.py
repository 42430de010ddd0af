"""Benchmarks run at toy size, so that none rots; nothing here asserts a speed."""

import json
import sys
from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # benchmarks are beside the package, not in it

from benchmarks import all_optimizers, flat_cost, floors, prediction, recording, startup  # noqa: E402
from benchmarks.agreement import SAME_LAW, DisagreementError, check  # noqa: E402
from benchmarks.inputs import inputs  # noqa: E402
from benchmarks.interleave import measure  # noqa: E402
from benchmarks.peers.flax_model import OPTIMIZERS  # noqa: E402
from benchmarks.peers.nnlab_engine import make_sweep  # noqa: E402
from benchmarks.side_by_side import LIMIT, PEERS  # noqa: E402
from benchmarks.tables import markdown  # noqa: E402
from benchmarks.workers import Bench, MissingError, Worker  # noqa: E402
from benchmarks.workloads import TWELVE, WORKLOADS, toy  # noqa: E402
from nnlab.sweeps.choices import resolve  # noqa: E402

WORKS = {work.name: work for work in WORKLOADS}
TOY = replace(toy(WORKS["W2"]), rates=tuple(np.geomspace(1e-4, 1e-2, 4).tolist()))
ROUNDS = 2


@pytest.fixture(autouse=True, scope="module")
def _as_users_have_it():
    """The other libraries mix dtypes and ranks; what is compiled here need not be fast."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module")
def torch():
    """Skips a test where it is missing."""
    return pytest.importorskip("torch", reason="torch is an optional peer: pip install torch")


TORCH = ("torch eager", "torch.func vmap") if find_spec("torch") else ()
JAX = ("nnlab", "flax+optax vmap", "flax+optax scan", "flax+optax jit step")
SIDES = {
    "plain": (TOY, (*JAX, *TORCH)),
    "convolutional": (toy(WORKS["W5"]), (*JAX[:2], *TORCH)),
    "dropped out": (toy(WORKS["W6"]), (*JAX[:2], *TORCH)),
    "mixed, of two seeds": (
        replace(toy(WORKS["W4"]), seeds=(0, 1), batch_norm=True),
        ("nnlab", "flax+optax lax.switch", *TORCH[:1]),
    ),
}


@cache
def side_by_side(kind):
    """The record of a toy workload, and every peer's losses with the configs it trains."""
    work, names = SIDES[kind]
    if TORCH:
        import_module("torch").set_num_threads(1)  # toys are too small for several
    peers = {name: Bench(import_module(PEERS[name])) for name in names}
    limit = Bench(import_module(LIMIT))
    record = measure(work, peers, limit, ROUNDS, lambda _: None)
    ready = {name: peer.prepared[peer.peer.variants(work)[-1]] for name, peer in peers.items()}
    return record, {name: (one.run(), list(one.configs)) for name, one in ready.items()}


@pytest.mark.parametrize("kind", SIDES)
def test_every_peer_trains_the_same_losses(kind):
    (work, names), (record, losses) = SIDES[kind], side_by_side(kind)
    assert set(record["peers"]) == set(names)
    expected, _ = losses["nnlab"]
    for name in names:
        agreement, (found, configs) = record["peers"][name]["agreement"], losses[name]
        if name in TORCH and work.dropout:
            assert agreement["mean"] < SAME_LAW
            continue
        assert agreement["steady"] > 0
        assert agreement["exceptions"] == 0
        np.testing.assert_allclose(found.train, expected.train[configs], rtol=1e-3)
        if name not in TORCH or not work.batch_norm:  # torch's running variance is unbiased
            np.testing.assert_allclose(found.valid, expected.valid[configs], rtol=1e-3)
            np.testing.assert_allclose(found.test, expected.test[configs], rtol=1e-3)


def test_without_dropout_a_peer_trains_another_law():
    work, losses = toy(WORKS["W6"]), side_by_side("dropped out")[1]
    reference, _ = losses["nnlab"]
    scan = import_module(PEERS["flax+optax scan"])
    kept = scan.prepare(replace(work, dropout=0.0), inputs(work), None)
    with pytest.raises(DisagreementError):
        check(work, reference, [reference], kept.run(), kept.configs, own_noise=True)


def test_torch_takes_part(torch):
    assert set(TORCH) <= set(side_by_side("plain")[0]["peers"])


@pytest.mark.parametrize("name", ["W5", "W7"])
def test_torchs_lanes_train_what_its_loop_trains(torch, name):
    work = replace(toy(WORKS[name]), batch_norm=name == "W7")
    ready = inputs(work)
    loop, lanes = (import_module(PEERS[peer]) for peer in TORCH)
    alone = loop.prepare(work, ready, None)
    together = lanes.prepare(work, ready, 2).run()
    for theirs, ours in zip(alone.run(), together, strict=True):
        np.testing.assert_allclose(ours[list(alone.configs)], theirs, rtol=1e-4)


@pytest.fixture(scope="module")
def plain():
    return side_by_side("plain")[0]


def test_the_record_holds_what_a_reader_needs(plain):
    for unit in ("GFLOP/s", "GB/s"):
        assert len(plain["limits"][unit]["rounds"]) == ROUNDS
    amounts = {"GFLOP/s": plain["flops of a config-step"], "GB/s": plain["bytes of a config-step"]}
    for name, peer in plain["peers"].items():
        rates = peer["config-steps/s"]["rounds"]
        assert (peer["compile seconds"] > 0) == (name not in TORCH)
        assert len(peer["cores busy"]["rounds"]) == len(rates) == ROUNDS
        for unit, amount in amounts.items():
            np.testing.assert_allclose(peer[unit]["rounds"], np.array(rates) * amount / 1e9)
            share = np.divide(peer[unit]["rounds"], plain["limits"][unit]["rounds"])
            np.testing.assert_allclose(peer["share of limit"][unit]["rounds"], share)
        ours = plain["peers"]["nnlab"]["config-steps/s"]["rounds"]
        np.testing.assert_allclose(peer["nnlab is faster by"]["rounds"], np.divide(ours, rates))


def test_the_table_has_a_row_per_workload_and_peer(plain):
    record = {
        "workloads": {"W2": plain}, "left out": {"torch eager": "torch is not installed"},
        "rounds": ROUNDS, "quick": True, "made with": {"jax": jax.__version__},
    }  # fmt: skip
    text = markdown(record)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(plain["peers"])
    assert len({row.count("|") for row in rows}) == 1
    assert "- torch eager: torch is not installed" in text
    assert f"jax {jax.__version__}" in text
    assert "a test, not a measurement" in text


def test_a_floor_is_met_missed_or_not_measured_and_each_is_printed():
    ratio = {"median": 3.1, "least": 2.9, "most": 3.2}
    peers = {
        "nnlab": {"share of limit": {"GFLOP/s": ratio | {"median": 0.52}}},
        "torch eager": {"nnlab is faster by": ratio},
    }
    counts = {"usual flops of a config-step": 3, "flops of a config-step": 2}
    judged = floors.judge({"workloads": {"W1": {"peers": peers, **counts}}})
    found = {(f["work"], f["beside"]): f for f in judged}
    assert found["W1", "torch eager"]["met"]
    product = found["W1", "the product limit, by the usual count"]
    assert product["measured"]["median"] == 0.78
    assert not product["met"]
    assert found["W1", "flax+optax vmap"]["measured"] is None
    assert sum(f["met"] for f in judged) == 1
    table = floors.markdown(judged)
    assert "| W1 | torch eager | 3x | 3.1x (2.9x-3.2x) | yes |" in table
    assert "| W1 | flax+optax vmap | 1.6x | not measured | not measured |" in table
    assert f"1 of {len(judged)} floors are met" in table


def test_a_worker_carries_out_orders_in_a_process_of_its_own():
    with Worker(LIMIT) as worker:
        (size,) = worker.load(TOY)
        facts, _ = worker.prepare(size)
        taken, limits = worker.run(size)
        assert facts.compile_seconds > 0
        assert taken.seconds > 0
        assert limits["GFLOP/s"]["xla"] > 0
        assert worker.peak_bytes() > 2**20
        with pytest.raises(RuntimeError, match="KeyError"):
            worker.run("never prepared")


def test_a_peer_whose_library_is_missing_says_so(tmp_path, monkeypatch):
    (tmp_path / "lonely.py").write_text("import a_library_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(MissingError, match="a_library_that_nobody_has is not installed"):
        Worker("lonely")


def test_the_timed_engine_returns_what_a_sweep_returns():
    kind = "mixed, of two seeds"
    (work, _), (_, losses) = SIDES[kind], side_by_side(kind)
    results = make_sweep(work).run(progress=False).dataset
    found, _ = losses["nnlab"]
    for name, ours in zip(("train_loss", "val_loss", "test_loss"), found, strict=True):
        np.testing.assert_array_equal(results[name].values.reshape(ours.shape), ours)


def printed(main, tmp_path, capsys, *words, rounds=2, **more):
    """A benchmark's record and table at toy size."""
    out = tmp_path / "new" / "record.json"
    main(["--quick", "--rounds", str(rounds), "--out", str(out), *words], **more)
    record = json.loads(out.read_text())
    assert record["quick"]
    assert {"jax", "processor", "cores", "device", "load before"} <= set(record["made with"])
    return record, capsys.readouterr().out


def test_all_optimizers_are_timed_beside_adam(tmp_path, capsys):
    record, text = printed(all_optimizers.main, tmp_path, capsys, "--network", "8")
    assert set(record["measured"]) == {"all", "adam"}
    assert {len(facts["config-steps/s"]) for facts in record["measured"].values()} == {2}
    assert "of Adam's speed, 80% asked for" in text


def test_recording_is_timed_with_and_without_validation(tmp_path, capsys):
    record, text = printed(recording.main, tmp_path, capsys)
    (work,) = record["workloads"].values()
    taken = [work["seconds"][k]["rounds"] for k in ("with", "without")]
    np.testing.assert_allclose(work["cost"]["rounds"], np.divide(*taken) - 1)
    assert work["holds"] == (work["cost"]["median"] < 0.05)
    assert work["title"] in text


def test_a_blind_data_set_changes_nothing_but_validation():
    data = TOY.dataset
    blind = recording.blind(data)
    assert len(blind.valid.y) == 1
    assert blind.train is data.train
    assert blind.test is data.test


def test_flat_cost_measures_speed_and_memory_for_each_number_of_configs(tmp_path, capsys):
    engine = import_module(flat_cost.ENGINE)
    record, text = printed(flat_cost.main, tmp_path, capsys, start=lambda: Bench(engine))
    rows, judged = record["measured"], record["judged"]
    assert [row["configs"] for row in rows] == [4, 8, 8]
    assert all(len(row["config-steps/s"]["rounds"]) == 2 for row in rows)
    assert all(row["peak bytes"] > 2**20 for row in rows)
    assert judged["fast"] == (judged["share of best"]["median"] >= 0.9)
    assert "KiB to the peak" in text


def test_startup_times_imports_and_calls_with_a_cold_and_a_warm_cache(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    record, text = printed(startup.main, tmp_path, capsys, rounds=1)
    assert set(record["imports"]) == set(startup.IMPORTS)
    for call in record["calls"].values():
        assert 0 <= call["compile seconds"]["median"] < call["seconds"]["median"]
    assert "W4's first call, warm cache" in text


def test_prediction_foretells_in_one_process_and_trains_in_another(tmp_path, capsys):
    record, text = printed(prediction.main, tmp_path, capsys, rounds=1)
    (parts,) = record["workloads"].values()
    assert set(parts) == set(prediction.PARTS)
    for times in parts.values():
        assert times["ratio"]["median"] == times["foretold"]["median"] / times["true"]["median"]
        assert times["holds"] == (abs(times["ratio"]["median"] - 1) <= prediction.MOST)
    assert "| W1 | together |" in text


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


def test_the_usual_count_is_six_operations_for_every_example_and_parameter():
    for name in ("W1", "W2", "W3"):
        assert WORKS[name].usual_flops == 6 * WORKS[name].batch * WORKS[name].parameters
    biases = 28**2 * 32, 14**2 * 64, 1024, 10
    macs = 28**2 * 5 * 5 * 32, 14**2 * 5 * 5 * 32 * 64, 7 * 7 * 64 * 1024, 1024 * 10
    assert WORKS["W5"].usual_flops == 6 * 128 * (sum(macs) + sum(biases))


def test_bytes_are_ten_passes_over_parameters_and_six_over_hidden_outputs():
    work = WORKS["W2"]
    parameters = 64 * 100 + 100 + 100 * 10 + 10
    assert work.bytes == 4 * (10 * parameters + 6 * 32 * 100)
    assert WORKS["W5"].hidden == 28**2 * 32 + 14**2 * 64 + 1024
    assert WORKS["W6"].parameters == WORKS["W3"].parameters + 5 * 100


@pytest.mark.parametrize("toward", [np.inf, -np.inf])
def test_a_twin_differs_by_one_unit_in_the_last_place(toward):
    work = toy(WORKS["W7"])
    plain, nudged = inputs(work), inputs(work, toward)
    for a, b in zip(*(jax.tree.leaves(i.starts) for i in (plain, nudged)), strict=True):
        np.testing.assert_array_equal(np.nextafter(a, np.float32(toward)), b)
    np.testing.assert_array_equal(plain.train.x, nudged.train.x)
    for seed in work.seeds:
        np.testing.assert_array_equal(plain.rows[seed], nudged.rows[seed])


def test_each_seed_has_its_own_weights_and_data_order():
    work = toy(WORKS["W7"])
    first, second = work.configs
    found = inputs(work)
    assert not np.array_equal(found.rows[first.seed], found.rows[second.seed])
    w, v = (found.start(config).layers[0].w for config in (first, second))
    assert not np.array_equal(w, v)


def test_batch_norm_and_dropout_are_refused_in_convnets():
    with pytest.raises(ValueError, match="neither batch norm nor dropout"):
        replace(WORKS["W5"], batch_norm=True)


@pytest.mark.parametrize("name", TWELVE)
def test_the_peers_optimizers_are_nnlabs(name):
    choice = resolve("optimizer", name)
    pair = choice.function(learning_rate=0.1, **dict(choice.numbers)), OPTIMIZERS[name](0.1)
    params = jnp.ones(50)
    states = [rule.init(params) for rule in pair]
    for t in range(5):
        g = 10.0 ** jnp.linspace(-6, 2, 50) * jax.random.normal(jax.random.key(t), 50)
        (ours, a), (theirs, b) = (
            rule.update(g, s, params) for rule, s in zip(pair, states, strict=True)
        )
        states = [a, b]
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("name", TWELVE)
def test_torchs_optimizers_are_nnlabs_where_it_has_their_formula(torch, name):
    from benchmarks.peers import torch_model

    known = torch_model.OPTIMIZERS
    if name not in known:
        pytest.skip(f"torch has no {name} of this formula")
    choice = resolve("optimizer", name)
    rule = choice.function(learning_rate=0.1, **dict(choice.numbers))
    ours = jnp.ones(50)
    theirs = torch.ones(50, requires_grad=True)
    state, optimizer = rule.init(ours), known[name]([theirs], lr=0.1)
    for t in range(5):
        g = 10.0 ** jnp.linspace(-4, 2, 50) * jax.random.normal(jax.random.key(t), 50)
        updates, state = rule.update(g, state, ours)
        ours = ours + updates
        theirs.grad = torch.tensor(np.asarray(g))
        optimizer.step()
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-3, atol=1e-5)
