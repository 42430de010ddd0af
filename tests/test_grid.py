"""From axes to recipes, groups and chunks."""

from collections import Counter

import numpy as np
import pytest
from engine import blobs, mixed_sweep
from hypothesis import given, settings
from hypothesis import strategies as st

import nnlab
from nnlab import UsageError
from nnlab.lanes.devices import cache_bytes, devices
from nnlab.lanes.planner import Turns, pieces, shape_chunks, target_lanes, turns_for
from nnlab.sweeps.choices import TABLES
from nnlab.sweeps.group import cut


def sweep_of(axes: dict, hidden=(8,), **knobs) -> nnlab.Sweep:
    knobs = {"batch_size": 20, "epochs": 1} | knobs
    knobs = {k: v for k, v in knobs.items() if k not in axes}
    return nnlab.Sweep(nnlab.models.mlp(list(hidden)), blobs(), axes, **knobs)


def test_cells_are_in_row_major_order_of_the_axes():
    sweep = sweep_of({"init": ["he", "xavier"], "learning_rate": [0.1, 0.2, 0.3]})
    assert sweep.grid.cells.tolist() == [[0, 1, 2], [3, 4, 5]]
    rates = [dict(recipe.for_rule)["learning_rate"] for recipe in sweep.grid.recipes]
    assert rates == [0.1, 0.2, 0.3] * 2


def test_cells_that_differ_only_in_what_their_run_does_not_read_share_a_recipe():
    sweep = sweep_of({"optimizer": ["sgd", "momentum"], "momentum": [0.5, 0.9]})
    assert sweep.grid.cells.tolist() == [[0, 0], [1, 2]]
    summary = sweep.summary()
    assert (summary.runs, summary.trained) == (4, 3)


def test_an_optimizers_own_argument_comes_before_the_knob():
    axes = {"optimizer": ["adam(beta1=0.5)", "adam"], "beta1": [0.8, 0.9]}
    sweep = sweep_of(axes)
    assert sweep.grid.cells.tolist() == [[0, 0], [1, 2]]
    assert [dict(r.for_rule)["beta1"] for r in sweep.grid.recipes] == [0.5, 0.8, 0.9]


def test_weight_decay_is_an_optimizers_own_or_an_l2_penalty():
    sweep = sweep_of({"optimizer": ["adam", "adamw"]}, weight_decay=0.1)
    adam, adamw = (dict(recipe.for_rule) for recipe in sweep.grid.recipes)
    assert adam["l2"] == adamw["weight_decay"] == 0.1
    assert "l2" not in adamw
    assert "weight_decay" not in adam


def test_a_linear_model_shares_its_run_between_activations():
    axes = {"hidden": [[], [4]], "activation": ["relu", "tanh"], "dropout": [0.0, 0.5]}
    sweep = sweep_of(axes)
    assert sweep.grid.cells.reshape(2, 4).tolist() == [[0, 0, 0, 0], [1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("axes", "knobs", "name"),
    [
        ({"activation": ["relu", "tanh"]}, {"hidden": []}, "axis activation"),
        ({"dropout": [0.5]}, {"hidden": []}, "dropout"),
        ({}, {"hidden": [], "batch_norm": True}, "batch_norm"),
        ({}, {"optimizer": "sgd(learning_rate=1)", "learning_rate": 0.1}, "learning_rate"),
        ({"activation": ["leaky_relu(0.1)", "leaky_relu:0.1"]}, {}, "axis activation"),
    ],
)
def test_what_changes_no_run_is_refused(axes, knobs, name):
    with pytest.raises(UsageError, match=f"^{name} changes nothing: "):
        _ = sweep_of(axes, **knobs).grid


def test_what_changes_some_run_is_kept():
    axes = {"optimizer": ["sgd(learning_rate=1)", "sgd"]}
    assert len(sweep_of(axes, learning_rate=0.1).grid.recipes) == 2
    assert sweep_of({"learning_rate": [1e17]}).grid.recipes


def test_groups_share_shapes_batches_and_epochs():
    axes = {"hidden": [[4], [6]], "epochs": [1, 2], "init": ["he", "xavier"], "seed": [0, 1]}
    groups = sweep_of(axes).groups()
    assert len(groups) == 4
    assert all(len({(r.model, r.plan) for r in g.recipes}) == 1 for g in groups)
    assert sorted(i for g in groups for i in g.ids) == list(range(8))


def test_segments_share_an_activation_and_an_optimizer_and_hold_every_recipe():
    (group,) = mixed_sweep().groups()
    for row in group.segments:
        assert len({group.recipes[i].activation for part in row for i in part}) == 1
    for o in range(group.columns):
        assert len({group.recipes[i].optimizer for row in group.segments for i in row[o]}) == 1
    placed = Counter(i for row in group.segments for part in row for i in part)
    assert placed == Counter(range(len(group.recipes)))


def test_parts_nobody_uses_are_left_out_of_the_program():
    (group,) = sweep_of({"learning_rate": [0.1, 0.2]}).groups()
    assert all(numbers == {} for numbers in group.for_tasks)
    assert all("l2" not in numbers for numbers in group.for_rules)
    (group,) = sweep_of({"dropout": [0.0, 0.5]}, weight_decay=0.1).groups()
    assert all(set(numbers) == {"dropout"} for numbers in group.for_tasks)
    assert all(numbers["l2"] == 0.1 for numbers in group.for_rules)


def test_numbers_given_in_some_cells_take_their_default_in_the_others():
    (group,) = sweep_of({"optimizer": ["adam", "adam(beta1=0.5)"]}).groups()
    assert [numbers["beta1"] for numbers in group.for_rules] == [0.9, 0.5]


def test_a_fixed_knob_is_the_same_as_an_axis_of_one_value():
    fixed = sweep_of({"learning_rate": [0.1, 0.2]}, dropout=0.5)
    axis = sweep_of({"learning_rate": [0.1, 0.2], "dropout": [0.5]})
    assert fixed.grid.recipes == axis.grid.recipes


def test_every_optimizer_steps_with_numbers_known_only_inside_the_program(monkeypatch):
    monkeypatch.setattr("nnlab.sweeps.rehearse.OURS", dict.fromkeys(TABLES, frozenset()))
    sweep = sweep_of({"optimizer": list(TABLES["optimizer"])}, hidden=[], weight_decay=0.1)
    (group,) = sweep.groups()
    assert len(group.recipes) == len(TABLES["optimizer"])


def test_every_initializer_of_matrices_and_every_activation_starts():
    matrices = sorted(TABLES["init"].keys() - {"dirac", "delta_orthogonal"})
    for axis in ({"init": matrices}, {"activation": list(TABLES["activation"])}):
        assert len(sweep_of(axis).groups()) == 1


# The planner --------------------------------------------------------------------------------------

COUNTS = st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=4), min_size=1, max_size=4).map(
    lambda rows: [(row + [0] * 4)[: len(rows[0])] for row in rows]
)
PLANS = {
    "configs": COUNTS.filter(lambda rows: sum(map(sum, rows)) > 0),
    "seeds": st.integers(1, 20),
    "target": st.integers(1, 100),
    "devices": st.integers(1, 8),
    "exact": st.booleans(),
    "turns": st.sampled_from([None, Turns(4, 1), Turns(4, 4), Turns(16, 16)]),
}


@settings(max_examples=100, deadline=None)
@given(**PLANS)
def test_every_run_is_in_exactly_one_chunk(configs, seeds, target, devices, exact, turns):
    shape = shape_chunks(configs, seeds, target, devices, exact, turns)
    runs: Counter = Counter()
    for config_chunk in range(shape.config_chunks):
        for seed_chunk in range(shape.seed_chunks):
            chosen = [p.position for p in cut(range(seeds), seed_chunk, shape.seeds) if not p.copy]
            for a, (row, sizes) in enumerate(zip(configs, shape.counts, strict=True)):
                for o, (count, size) in enumerate(zip(row, sizes, strict=True)):
                    for place in cut(range(count), config_chunk, size):
                        if not place.copy:
                            runs.update((a, o, place.position, seed) for seed in chosen)
    wanted = {
        (a, o, i, seed)
        for a, row in enumerate(configs)
        for o, count in enumerate(row)
        for i in range(count)
        for seed in range(seeds)
    }
    assert set(runs) == wanted
    assert set(runs.values()) == {1}


@settings(max_examples=100, deadline=None)
@given(**PLANS)
def test_chunks_keep_to_the_target_where_a_lane_per_segment_allows(
    configs, seeds, target, devices, exact, turns
):
    shape = shape_chunks(configs, seeds, target, devices, exact, turns)
    segments = sum(count > 0 for row in configs for count in row)
    limit = target if exact else target * 3 // 2
    times = turns or Turns()
    of_a_seed = shape.lanes // shape.seeds
    assert of_a_seed <= max(limit * (times.lanes if segments == 1 else 1), segments)
    assert shape.seeds == 1 or shape.lanes <= limit * times.seeds
    assert shape.seeds == 1 or shape.config_chunks == 1


def test_lanes_follow_the_size_of_the_network():
    cache = 16 * 2**20
    small, middle, large = (target_lanes(n, 0, 2**33, cache) for n in (10_000, 190_000, 10_000_000))
    assert (small, middle, large) == (32, 16, 4)
    assert target_lanes(190_000, 0, 2**33, cache // 2) == 8
    assert target_lanes(10_000_000, cache // 2, 2**33, cache) == 4
    assert target_lanes(10_000, cache // 2, 2**33, cache) == 8
    assert [target_lanes(10_000, n * cache, 2**33, cache) for n in (1, 2, 3, 4, 9)] == [
        4,
        2,
        2,
        1,
        1,
    ]
    gpu = target_lanes(400_000, 1_000_000, 2**37, None)
    assert 1000 < gpu <= 4096
    assert target_lanes(400_000, 2**30, 2**37, None) < gpu / 10


def test_lanes_of_an_accelerator_follow_their_rule_s_memory_and_their_evaluation():
    lanes = target_lanes(400_000, 1_000_000, 2**34, None)
    assert lanes == target_lanes(400_000, 1_000_000, 2**34, None, rule_bytes=800_000)
    assert target_lanes(400_000, 1_000_000, 2**34, None, rule_bytes=8_000_000) < lanes / 3
    assert target_lanes(400_000, 1_000_000, 2**34, None, evaluation_bytes=3_000_000) == lanes
    assert target_lanes(400_000, 1_000_000, 2**34, None, evaluation_bytes=30_000_000) < lanes / 5
    assert target_lanes(400_000, 0, 2**34, 2**22, 8_000_000, 30_000_000) == target_lanes(
        400_000, 0, 2**34, 2**22
    ), "a CPU's caches decide"


def test_lanes_that_fill_the_cache_train_alone_but_optimizers_of_one_block_together(monkeypatch):
    monkeypatch.setattr("nnlab.sweeps.group.cache_bytes", lambda _: 1)
    (alone,) = sweep_of({"learning_rate": [0.1, 0.2]}).groups()
    assert (alone.shape.lanes, alone.shape.chunks) == (1, 2)
    mixed = sweep_of({"optimizer": ["sgd", "adam", "momentum", "nadam", "radam"]})
    assert [(g.shape.lanes, g.together) for g in mixed.groups()] == [(5, 4)]
    assert [g.together for g in mixed.groups(1)] == [1]


@pytest.mark.parametrize("axis", [["relu", "maxout:8"], ["maxout:8", "relu"]])
def test_chunks_have_room_for_the_largest_of_their_lanes(axis):
    (largest,) = sweep_of({"activation": ["maxout:8"]}, hidden=(32,)).groups()
    (mixed,) = sweep_of({"activation": axis}, hidden=(32,)).groups()
    assert mixed.parameter_bytes == largest.parameter_bytes


def test_a_device_has_its_share_of_the_largest_cache_as_the_machine_describes_it(tmp_path):
    for index, size, users in (
        (0, "32K", "1"),
        (2, "2048K", "1"),
        (3, "8192K", "00000000,0000000f"),
    ):
        place = tmp_path / f"index{index}"
        place.mkdir()
        (place / "size").write_text(f"{size}\n")
        (place / "shared_cpu_map").write_text(f"{users}\n")
    two = devices()[:1] * 2
    assert cache_bytes(two, tmp_path) == 4096 * 2**10
    assert cache_bytes(devices()[:1] * 8, tmp_path) == 2048 * 2**10, (
        "four cores share the third level"
    )
    (tmp_path / "index3" / "size").write_text("?")
    assert cache_bytes(two, tmp_path) == 2048 * 2**10
    assert cache_bytes(two, tmp_path / "nothing") == 5 * 2**20
    (tmp_path / "index3" / "size").write_text("307200K")
    assert cache_bytes(two, tmp_path) == 5 * 2**20, "a virtual machine shares it with strangers"


def test_more_chunks_than_lanes_are_never_cut_for_one_device():
    shape = shape_chunks([[100]], 1, 25, 1)
    assert (shape.lanes, shape.chunks) == (25, 4)
    assert np.prod([shape.lanes, shape.chunks]) == 100


@pytest.mark.parametrize(
    ("configs", "target", "devices", "turns", "chunks"),
    [
        (8, 32, 2, Turns(4, 4), 2),
        (64, 32, 64, Turns(4, 4), 64),
        (1000, 4096, 8, None, 8),
        (3, 32, 8, Turns(4, 4), 3),
    ],
)
def test_no_device_stands_idle_while_another_has_two_configs(
    configs, target, devices, turns, chunks
):
    assert shape_chunks([[configs]], 1, target, devices, turns=turns).chunks == chunks


def test_short_rounds_hold_more_turns_and_long_ones_few():
    dense = {"parameter_bytes": 200_000, "activation_bytes": 200_000}
    found = [turns_for(4, steps, 100, **dense) for steps in (10, 100, 200, 400, 800, 10_000)]
    assert [turns.lanes for turns in found] == [16, 16, 8, 4, 4, 4]
    assert [turns.seeds for turns in found] == [16, 16, 8, 4, 2, 1]
    assert turns_for(8, 100, 100, **dense) == turns_for(4, 200, 100, **dense)
    assert turns_for(4, 100, 200, **dense) == turns_for(4, 200, 100, **dense)
    convolution = {"parameter_bytes": 2_000, "activation_bytes": 20_000_000}
    assert turns_for(4, 10, 100, **convolution) < turns_for(4, 10, 100, 2_000, 20_000)


def test_weights_that_each_seed_has_of_its_own_take_little_memory():
    large = turns_for(4, 5, 20, parameter_bytes=2**22, activation_bytes=2**20)
    assert large == Turns(lanes=16, seeds=4)
    assert turns_for(4, 5, 20, 2**27, 2**20).seeds == 1


@pytest.mark.parametrize("configs", [[[1] * 8], [[1] * 12] * 6])
@pytest.mark.parametrize(("seeds", "devices"), [(2, 2), (3, 4), (2, 4)])
def test_seeds_of_many_segments_go_to_as_many_devices(configs, seeds, devices):
    shape = shape_chunks(configs, seeds, 4, devices, turns=Turns(4, 16))
    assert (shape.seeds, shape.chunks) == (1, seeds)


def test_many_seeds_of_many_segments_train_in_turn():
    shape = shape_chunks([[1] * 8], 64, 4, 2, turns=Turns(4, 16))
    assert shape.seeds > 4
    assert shape.chunks * shape.seeds == 64


@pytest.mark.parametrize(
    ("lanes", "target", "parts"), [(32, 5, 8), (16, 5, 4), (11, 5, 1), (3, 5, 1)]
)
def test_a_segment_is_cut_into_parts_nearest_to_the_target(lanes, target, parts):
    assert pieces(lanes, target) == parts


def test_no_chunk_holds_nothing_but_copies():
    """Many segments of few configs each: a segment needs a lane, so chunks exceed the target."""
    shape = shape_chunks([[8] * 48], 1, 16, 2)
    assert (shape.lanes, shape.chunks) == (48, 8)


def test_an_optimizer_s_own_argument_is_no_knob_of_the_loop_or_the_network():
    import optax

    def plain(learning_rate):
        return optax.sgd(3 * learning_rate)

    for name in ("seed", "epochs", "batch_size", "draw", "init", "dropout", "precision"):
        scope = {"optax": optax}
        exec(f"def own(learning_rate, {name}=3.0): return optax.sgd({name} * learning_rate)", scope)
        axes = {"optimizer": {"own": scope["own"], "plain": plain}}
        sweep = nnlab.Sweep(nnlab.models.mlp([4]), blobs(), axes, epochs=1, batch_size=20)
        own, plain_too = sweep.run(progress=False)["val_loss"].values
        np.testing.assert_allclose(own, plain_too, rtol=1e-5)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"optimizer": "muon", "rounds": [5, 5.5]}, "rounds needs a whole number, got 5.5; try 5"),
        ({"optimizer": "muon", "rounds": [True]}, "rounds needs a whole number, got True"),
        ({"momentum": [True, 0.9]}, "momentum needs a number, got True; try 0.9"),
        ({"optimizer": "lbfgs", "line_search": [0.5]}, "line_search is on or off, got 0.5"),
    ],
)
def test_a_hyperparameter_of_another_kind_is_refused(knobs, message):
    with pytest.raises(UsageError, match=message):
        sweep_of({"optimizer": "momentum"} | knobs)


@pytest.mark.parametrize(
    "knobs",
    [{"beta1": [0.9, 0.0]}, {"beta1": 0.0}, {"config": [{"beta1": 0.9}, {"beta1": 0.0}]}],
)
def test_an_optimizer_refuses_its_numbers_whichever_knobs_they_come_from(knobs):
    axes = {"optimizer": ["adam", "schedule_free_adamw"]}
    axes |= {k: v for k, v in knobs.items() if isinstance(v, list)}
    fixed = {k: v for k, v in knobs.items() if k not in axes}
    with pytest.raises(UsageError, match=r"schedule_free_adamw.*beta1 is 0"):
        sweep_of(axes, **fixed).groups()
    sweep_of(axes | {"optimizer": ["adam"]}, **fixed).groups()


def test_configs_may_set_what_one_of_their_optimizers_has():
    pairs = [("sgd", 0.9), ("adam", 0.8), ("sgd", 0.7)]
    configs = [{"optimizer": o, "beta1": b} for o, b in pairs]
    assert sweep_of({"config": configs}).grid.cells.tolist() == [0, 1, 0]
    with pytest.raises(UsageError, match="beta1 does nothing for optimizer sgd"):
        sweep_of({"config": [c | {"optimizer": "sgd"} for c in configs]})


def test_piecewise_schedules_of_any_number_of_boundaries_share_a_program():
    schedules = ["piecewise_constant:1=0.5", "piecewise_constant:1=0.5:2=0.1", "constant"]
    sweep = sweep_of({"schedule": schedules}, optimizer="sgd", epochs=3)
    assert len(sweep.groups()) == 1
    together = sweep.run(progress=False)["train_loss"]
    for i, schedule in enumerate(schedules):
        alone = sweep_of({}, schedule=schedule, optimizer="sgd", epochs=3)
        np.testing.assert_allclose(
            together[i].squeeze(), alone.run(progress=False)["train_loss"].squeeze(), rtol=1e-5
        )
