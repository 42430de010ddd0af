"""Which devices train: every accelerator, or one XLA device per CPU core."""

import os
import platform
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from math import ceil
from pathlib import Path

import jax

from nnlab.lanes.cache import keep_programs
from nnlab.types import Device

LAPACK = "scipy.linalg.cython_lapack"
"""The module through which jax finds LAPACK."""
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
LIMITS = Path("/sys/fs/cgroup")
"""Where Linux says what a container may take of the machine."""
PROCESSOR = Path("/proc/cpuinfo")
MOST_CACHE = 5 * 2**20
"""A virtual machine is told of all of a processor's cache, which it shares with strangers.

Measured where 32 MiB, at other times 300, were told to two cores: lanes that fill 16 MiB a core run
at 0.8 to 0.97 of the speed of lanes that fill 4; what fills 4 loses nothing where there is more.
"""


def cores(limits: Path = LIMITS) -> int:
    """The processor cores this process may use, a part of one counting as one."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    times = (
        limit(limits / "cpu.max"),
        limit(limits / "cpu" / "cpu.cfs_quota_us") + limit(limits / "cpu" / "cpu.cfs_period_us"),
    )
    allowed = [ceil(pair[0] / pair[1]) for pair in times if len(pair) == 2 and min(pair) > 0]
    return min([found or 1, *allowed])


def limit(path: Path) -> list[int]:
    """The numbers in a file of a control group; none where there is no file, or no limit."""
    try:
        return [int(word) for word in path.read_text().split()]
    except (OSError, ValueError):
        return []


def asked() -> bool:
    """Whether somebody has said how many host devices there shall be."""
    number = jax.config.jax_num_cpu_devices  # type: ignore[attr-defined]
    return number > 0 or "device_count" in os.environ.get("XLA_FLAGS", "")


def prepare() -> None:
    """Ask jax for one host device per core, where nobody has asked for something else.

    A few lanes on each of several devices beat many lanes on one: about 1.6 times on two cores.
    jax fixes the number when it first computes, so a script that computes before its first
    sweep calls this at its top; afterwards it changes nothing and `devices` says so.
    Compiled programs are kept for the next process from here on, and what one CPU device computes
    is computed at once: weights that are drawn would else wait until all devices have trained.
    """
    keep_programs()
    if "JAX_CPU_ENABLE_ASYNC_DISPATCH" not in os.environ:
        jax.config.update("jax_cpu_enable_async_dispatch", False)
    if asked():
        return
    try:
        jax.config.update("jax_num_cpu_devices", cores())
    except RuntimeError:
        return


def devices() -> list[Device]:
    """The default backend's devices of this process, with a hint when cores will stand idle."""
    prepare()
    found = jax.local_devices()
    if found[0].platform == "cpu" and len(found) == 1 < cores() and not asked():
        warnings.warn(
            f"jax was already running with 1 device on {cores()} cores; for the speed of all of "
            "them call nnlab.use_all_cores() before the first jax computation",
            stacklevel=3,
        )
    return found


@contextmanager
def one_thread_each(devices: Sequence[Device]) -> Iterator[None]:
    """On CPUs let each device's calls of LAPACK (eigenvectors, QR) keep to one thread.

    jax calls SciPy's OpenBLAS, whose threads then fight for cores that the other devices use: on
    two busy cores 9 eigenproblems of 100 x 100 took 1.6 s, and with one thread .01 s. jax loads it
    when it lowers a program that needs it, so that is done before; other programs spare a tenth of
    a second.
    """
    if devices[0].platform != "cpu" or LAPACK not in sys.modules:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def host() -> Device:
    """The CPU's first device; the first of all where jax is kept to accelerators."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return jax.local_devices()[0]


def memory(devices: Sequence[Device], limits: Path = LIMITS) -> int:
    """Bytes a device can hold, CPU devices sharing the machine's; unknown counts as 8 GiB."""
    if devices[0].platform == "cpu" and hasattr(os, "sysconf"):
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        allowed = limit(limits / "memory.max") + limit(limits / "memory" / "memory.limit_in_bytes")
        return min([whole, *allowed]) // len(devices)
    return int((devices[0].memory_stats() or {}).get("bytes_limit", 8 * 2**30))


def cache_bytes(devices: Sequence[Device], described: Path = CACHES) -> int | None:
    """Bytes of a CPU device's largest cache, shared fairly among devices; None on accelerators.

    As Linux describes the first core's caches, but 16 MiB at most, and where nothing is described.
    """
    if devices[0].platform != "cpu":
        return None
    shares = []
    for place in described.glob("index*"):
        with suppress(OSError, ValueError):
            size = int((place / "size").read_text().strip().removesuffix("K")) * 2**10
            users = (place / "shared_cpu_map").read_text().replace(",", "")
            shares.append(size // min(int(users, 16).bit_count(), len(devices)))
    return min(max(shares, default=MOST_CACHE), MOST_CACHE)


def describe() -> str:
    """The devices in words, for results and reports."""
    found = devices()
    return f"{len(found)} x {found[0].device_kind} ({found[0].platform})"


def processor(described: Path = PROCESSOR) -> str:
    """The processor's name and its widest vector instructions, as far as the system tells."""
    try:
        lines = [line.partition(":") for line in described.read_text().splitlines()]
    except OSError:
        return platform.processor() or platform.machine()
    told = {name.strip(): value.strip() for name, _, value in lines}
    flags = told.get("flags", "").split()
    vectors = [word for word in ("avx512f", "avx2", "avx") if word in flags]
    return " ".join([told.get("model name", platform.machine()), *vectors[:1]])
