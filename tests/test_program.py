"""What a lifted program is made of: single lanes, flat segments, the compiler's options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.errors import JaxRuntimeError

from nnlab.lanes import program
from nnlab.lanes.lift import by_lane
from nnlab.lanes.segments import Segments
from nnlab.train.task import Rule

LOWERED = jax.jit(lambda x: jnp.sum(x**2)).lower(jnp.ones(3))


def rule(flat):
    """A rule of which only its liking for vectors matters."""
    return Rule(*[None] * (len(Rule._fields) - 1), flat=flat)  # type: ignore[arg-type]


@pytest.mark.parametrize("lanes", [1, 3])
def test_by_lane_is_vmap_whatever_the_number_of_lanes(lanes):
    def norms(tree, scale, shared):
        return {"norm": scale * jnp.sqrt(sum(jnp.sum(x**2) for x in tree)), "n": shared + 1}, 3.0

    tree = [jnp.arange(2.0 * lanes).reshape(lanes, 2), jnp.ones((lanes, 2, 2))]
    axes, given = (0, 0, None), (tree, jnp.arange(1.0, lanes + 1), jnp.float32(4))
    ours, theirs = by_lane(norms, axes)(*given), jax.vmap(norms, axes)(*given)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.parametrize("flat", [False, True])
def test_pieces_of_segments_make_the_whole_and_new_pieces_the_new_whole(flat):
    rules = [rule(True), rule(True), rule(False), rule(True)]
    segments = Segments(rules, (2, 1, 2, 1), flat)
    weights = [jnp.arange(24.0).reshape(6, 4), jnp.arange(36.0).reshape(6, 3, 2)]
    pieces = segments.pieces(weights)
    assert [o for o, _ in pieces] == [0, 1, 2, 3]
    moved = [jax.tree.map(lambda x, o=o: x + 100 * o, piece) for o, piece in pieces]
    lanes = 100 * jnp.asarray([0.0, 0.0, 1.0, 2.0, 2.0, 3.0])
    expected = [w + lanes.reshape(6, *[1] * (w.ndim - 1)) for w in weights]
    for whole, want in (([p for _, p in pieces], weights), (moved, expected)):
        jax.tree.map(np.testing.assert_array_equal, segments.whole(whole, weights), want)


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
