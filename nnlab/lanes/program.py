"""One compiled program per group: every device trains a chunk, start to end."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nnlab import trees
from nnlab.lanes.blocks import cut, train_blocks
from nnlab.lanes.lift import Layout, lift
from nnlab.lanes.planner import LEAST_LANES_CPU, parts_of_seeds
from nnlab.lanes.segments import are_many
from nnlab.lanes.stored import store, stored_starts
from nnlab.train.keys import Stream, root, stream
from nnlab.train.loop import Data, Plan, Record, train
from nnlab.types import AnyArray, Device, PyTree

AXIS = "devices"


class Chunk(NamedTuple):
    """What one device trains: leaves are numpy arrays.

    `starts` holds the distinct initial (params, stats) of each task, leaves [seeds, starts of the
    task, ...], and `which` the number of each lane's own, [lanes of the task]; `for_tasks` and
    `for_rules` hold the numbers of each segment, leaves [lanes of the segment].
    """

    seeds: np.ndarray
    starts: tuple[tuple[Any, Any], ...]
    which: tuple[np.ndarray, ...]
    for_tasks: tuple[dict[str, np.ndarray], ...]
    for_rules: tuple[dict[str, np.ndarray], ...]


def mesh_of(devices: Sequence[Device]) -> Mesh:
    """The devices in a row."""
    return Mesh(np.array(devices), (AXIS,))


def on_all(devices: Sequence[Device], data: Data) -> Data:
    """The data on every device, which programs that are given it share.

    All devices of a CPU read one copy: it takes the memory of one, and of the caches that its cores
    have in common.
    """
    if devices[0].platform == "cpu":
        data = trees.map(aligned, data)
    return jax.device_put(data, NamedSharding(mesh_of(devices), PartitionSpec()))


BEGINS_AT = 64
"""XLA uses an array of the host's as it is where its address is a multiple of so many bytes; any
other it copies, for every device (jax 0.10)."""


def aligned(array: AnyArray) -> AnyArray:
    """A numpy array's copy that all devices of a CPU can use; others, which jax has, as given."""
    if not isinstance(array, np.ndarray):
        return array
    memory = np.empty(array.nbytes + BEGINS_AT, np.uint8)
    begin = -memory.ctypes.data % BEGINS_AT
    copy = memory[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


CPU_OPTIONS = {
    "xla_cpu_copy_insertion_use_region_analysis": True,
    "xla_cpu_experimental_ynn_fusion_type": ",".join(
        f"LIBRARY_FUSION_TYPE_INDIVIDUAL_{kind}" for kind in ("DOT", "CONVOLUTION")
    ),
    "xla_cpu_prefer_vector_width": 512,
}
"""Without the first XLA copies every matrix at every step, for fear of an update that overtakes a
read. The second says what XLA's library computes: products and convolutions, no sums, which XLA
does faster by itself (jax 0.10; 1 to 3 % of a step of Adam, 3 to 6 % of 48 optimizers' mixed).
By the third loops use the whole vectors of a processor that has AVX-512, not half of them: 1 to 4 %
of a step, most with batch norm or mixed optimizers; one hidden layer by batches of 32, whose masked
gradient XLA then turns round badly, loses 4 %."""


def compile_for(platform: str, lowered: Any) -> Any:
    """Compile with those of the platform's options that this jaxlib knows."""
    options = dict(CPU_OPTIONS) if platform == "cpu" else {}
    while True:
        try:
            return lowered.compile(compiler_options=options or None)
        except jax.errors.JaxRuntimeError as error:
            unknown = [name for name in options if name in str(error)]
            if not unknown:
                raise
            del options[unknown[0]]


@contextmanager
def uncollected() -> Iterator[None]:
    """Leave Python's garbage until later.

    Tracing makes a million objects that live on, and Python looks through them again and again:
    a sixth of its time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class Program:
    """A group's compiled training program; call it with one chunk per device.

    The chunks of a call run side by side and know nothing of each other: a chunk's record is the
    same on one device and on many.
    """

    def __init__(
        self,
        plan: Plan,
        layout: Layout,
        data: Data,
        devices: Sequence[Device],
        together: int | None = None,
    ):
        """`together` lanes train at a time, as far as segments allow; None: all.

        On a CPU a quarter as many where segments take vectors, whose weights and gradients the
        caches hold twice: 48 optimizers, or 72 segments, run 4 to 6 % faster than by half as many.
        """
        self.plan, self.layout, self.devices = plan, layout, list(devices)
        self._flat = are_many(layout.counts)
        if together and self._flat and self.devices[0].platform == "cpu":
            together = max(LEAST_LANES_CPU, together // 4)
        self._together = together
        self._blocks = cut(layout, together or layout.lanes)
        mesh = mesh_of(devices)
        self._split = NamedSharding(mesh, PartitionSpec(AXIS))
        self._data = on_all(devices, data)
        self._function = jax.jit(
            jax.shard_map(
                self._train,
                mesh=mesh,
                in_specs=(PartitionSpec(AXIS), PartitionSpec()),
                out_specs=PartitionSpec(AXIS),
                check_vma=False,
            )
        )
        self._lowered: Any = None
        self._compiled: Callable[..., Record] | None = None
        self._wide = jax.config.jax_enable_x64  # type: ignore[attr-defined]
        self.compile_seconds = 0.0

    @uncollected()
    def trace(self, chunk: Chunk) -> None:
        """The half of compiling that runs Python, under the caller's settings of jax."""
        began = time.perf_counter()
        turned = jax.vmap(jax.vmap(store))
        starts = tuple((jax.eval_shape(turned, params), stats) for params, stats in chunk.starts)
        shapes = trees.map(
            lambda a: jax.ShapeDtypeStruct(
                (len(self.devices), *a.shape), a.dtype, sharding=self._split
            ),
            chunk._replace(starts=starts),
        )
        self._lowered = self._function.lower(shapes, self._data)
        self.compile_seconds = time.perf_counter() - began

    def compile(self) -> None:
        """The other half, which leaves Python free: another thread may do it."""
        began = time.perf_counter()
        self._compiled = compile_for(self.devices[0].platform, self._lowered)
        self.compile_seconds += time.perf_counter() - began
        self._lowered = None

    def place(self, chunks: Sequence[Chunk]) -> Chunk:
        """One chunk on each device, ready to be trained, in stored order; leaves [devices, ...]."""
        if len(chunks) != len(self.devices):
            raise ValueError(f"{len(self.devices)} devices need as many chunks, got {len(chunks)}")
        if self._compiled is None:
            self.trace(chunks[0])
            self.compile()
        stored = [
            c._replace(starts=tuple((stored_starts(params), stats) for params, stats in c.starts))
            for c in chunks
        ]
        stacked = trees.map(lambda *leaves: np.stack(leaves), *stored)
        with jax.enable_x64(self._wide):  # a setting of one thread, and others place and start
            return jax.device_put(stacked, self._split)

    def __call__(self, placed: Chunk) -> Record:
        """Train what was placed, perhaps not waited for; leaves [devices, seeds, ..., lanes]."""
        assert self._compiled is not None  # noqa: S101
        with jax.enable_x64(self._wide):
            return self._compiled(placed, self._data)

    def _train(self, chunk: Chunk, data: Data) -> Record:
        """One device's chunk; its leading axis of length 1 is the device."""
        chunk = trees.map(lambda a: a[0], chunk)

        def of_seed(seed: AnyArray, starts: PyTree) -> Record:
            """All lanes of one seed: they share batches and noise."""
            start = [each(*given) for given in zip(starts, chunk.which, strict=True)]
            key = root(seed)
            own = stream(key, Stream.UPDATES)

            def train_block(layout, start, for_tasks, for_rules):
                begin, trainer = lift(layout, for_tasks, for_rules, own, self._flat)
                params, stats = zip(*start, strict=True)
                return train(self.plan, trainer, begin(params, stats), data, key)[1]

            return train_blocks(self._blocks, train_block, start, chunk.for_tasks, chunk.for_rules)

        seeds, lanes = chunk.seeds.shape[0], max(block.layout.lanes for block in self._blocks)
        parts = parts_of_seeds(seeds, lanes, self._together) if self._together else 1
        record = over_seeds(of_seed, parts, chunk.seeds, chunk.starts)
        return trees.map(lambda a: jnp.asarray(a)[None], record)


def over_seeds(
    function: Callable[[AnyArray, PyTree], Record], parts: int, *given: PyTree
) -> Record:
    """The records of all seeds, leaves [seeds, ...], so many parts of them one after the other."""
    seeds = jax.tree.leaves(given)[0].shape[0]
    if seeds == 1:
        return trees.map(lambda a: a[None], function(*trees.map(lambda a: a[0], given)))
    if parts == 1:
        return jax.vmap(function)(*given)
    divided = trees.map(lambda a: jnp.reshape(a, (parts, seeds // parts, *a.shape[1:])), given)
    found = jax.lax.map(lambda part: over_seeds(function, 1, *part), divided)
    return trees.map(lambda a: a.reshape(seeds, *a.shape[2:]), found)


def each(starts: PyTree, which: AnyArray) -> PyTree:
    """Every lane's own start, leaves [lanes, ...], of the distinct ones, leaves [starts, ...]."""

    def of(leaf):
        one = (which.shape[0], *leaf.shape[1:])
        return jnp.broadcast_to(leaf, one) if leaf.shape[0] == 1 else jnp.asarray(leaf)[which]

    return trees.map(of, starts)
