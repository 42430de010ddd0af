"""What a lifted program is made of: single lanes, flat segments, the compiler's options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from engine import blobs
from jax.errors import JaxRuntimeError

import nnlab
from nnlab.lanes import program
from nnlab.lanes.segments import Segments, join, over, split
from nnlab.optim.core import Sees
from nnlab.train.loop import Data, in_batches
from nnlab.train.task import Rule
from nnlab.trees import Flat

LOWERED = jax.jit(lambda x: jnp.sum(x**2)).lower(jnp.ones(3))


def rule(sees):
    """A rule of which only what it sees matters."""
    return Rule(*[None] * (len(Rule._fields) - 1), sees=sees)  # type: ignore[arg-type]


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_function_over_split_lanes_is_vmap_whatever_their_number(lanes):
    def norms(tree, scale, shared):
        return {"norm": scale * jnp.sqrt(sum(jnp.sum(x**2) for x in tree)), "n": shared + scale}

    tree = [jnp.arange(4.0 * lanes).reshape(2 * lanes, 2), jnp.ones((2 * lanes, 2, 2))]
    axes, given = (0, 0, None), (tree, jnp.arange(1.0, 2 * lanes + 1))
    sizes = (lanes, lanes)
    parts = [
        over(lanes, norms, axes)(*part, jnp.float32(4))
        for part in zip(*(split(x, sizes) for x in given), strict=True)
    ]
    ours, theirs = join(parts, sizes), jax.vmap(norms, axes)(*given, jnp.float32(4))
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize("flat", [False, True])
def test_pieces_of_segments_make_the_whole_and_new_pieces_the_new_whole(flat):
    rules = [
        rule(sees) for sees in (Sees.NUMBERS, Sees.NUMBERS, Sees.ARRAYS, Sees.AXES, Sees.NUMBERS)
    ]
    segments = Segments(rules, (2, 1, 2, 0, 1), flat)
    weights = [jnp.arange(24.0).reshape(6, 4), jnp.arange(36.0).reshape(6, 3, 2)]
    pieces = segments.pieces(weights)
    assert segments.rules == (0, 1, 2, 4)
    assert [isinstance(piece, Flat) for piece in pieces] == [flat, flat, False, flat]
    moved = [
        jax.tree.map(lambda x, o=o: x + 100 * o, piece)
        for o, piece in zip(segments.rules, pieces, strict=True)
    ]
    lanes = 100 * jnp.asarray([0.0, 0.0, 1.0, 2.0, 2.0, 4.0])
    expected = [w + lanes.reshape(6, *[1] * (w.ndim - 1)) for w in weights]
    for parts, want in ((pieces, weights), (moved, expected)):
        jax.tree.map(np.testing.assert_array_equal, segments.whole(parts), want)


@pytest.mark.parametrize(
    "strange",
    [
        {"xla_no_such_option": True},
        {"xla_cpu_experimental_ynn_fusion_type": "NO_SUCH_KIND"},
        {"xla_no_such_option": True, "xla_another": 3},
    ],
)
def test_options_that_this_jaxlib_does_not_know_are_left_out(monkeypatch, strange):
    monkeypatch.setattr(program, "CPU_OPTIONS", {**program.CPU_OPTIONS, **strange})
    assert program.compile_for("cpu", LOWERED)(jnp.ones(3)) == 3


def test_other_errors_of_the_compiler_are_not_swallowed():
    class Broken:
        def compile(self, compiler_options=None):
            raise JaxRuntimeError("INTERNAL: out of luck")

    with pytest.raises(JaxRuntimeError, match="out of luck"):
        program.compile_for("cpu", Broken())


def test_float64_of_a_person_is_that_of_one_thread_and_networks_stay_float32():
    """Others place chunks and start rounds; batch norm's parameters are float32 as all are."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        net = nnlab.Sweep(
            nnlab.models.mlp([8]), blobs(), {"batch_norm": [True]}, epochs=1, batch_size=20
        )
        assert np.isfinite(net.run(progress=False)["val_loss"].values).all()
        wide = nnlab.models.from_loss(
            lambda w, _: jnp.sum((w - 1 / 3) ** 2), lambda key: jax.random.normal(key, (2,))
        )
        found = nnlab.Sweep(wide, learning_rate=0.25, optimizer="sgd", epochs=60, batch_size=1)
        assert float(found.run(progress=False)["val_loss"].min()) < 1e-20


def test_the_devices_of_a_cpu_read_one_copy_of_the_data_which_nobody_else_can_change():
    given = np.arange(40.0, dtype=np.float32)[1:].reshape(3, 13)
    none = in_batches(given[:0].reshape(1, 0), np.zeros(1))
    data = Data(given, given[:, 0], none, none, np.zeros(13), np.ones(13))
    placed = program.on_all(jax.local_devices(backend="cpu"), data)
    given[:] = 0
    places = {shard.data.unsafe_buffer_pointer() for shard in placed.x.addressable_shards}
    assert len(places) == 1
    np.testing.assert_array_equal(placed.x, np.arange(1.0, 40.0).reshape(3, 13))
    again = program.on_all(jax.local_devices(backend="cpu"), placed)
    assert {s.data.unsafe_buffer_pointer() for s in again.x.addressable_shards} == places
