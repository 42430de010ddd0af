"""Which devices train: every accelerator, or one XLA device per CPU core."""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import jax

from nnlab.lanes.cache import keep_programs
from nnlab.types import Device


def cores() -> int:
    """The processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def asked() -> bool:
    """Whether somebody has said how many host devices there shall be."""
    number = jax.config.jax_num_cpu_devices  # type: ignore[attr-defined]
    return number > 0 or "device_count" in os.environ.get("XLA_FLAGS", "")


def prepare() -> None:
    """Ask jax for one host device per core, where nobody has asked for something else.

    A few lanes on each of several devices beat many lanes on one: about 1.6 times on two cores.
    jax fixes the number when it first computes, so a script that computes before its first
    sweep calls this at its top; afterwards it changes nothing and `devices` says so.
    Compiled programs are kept for the next process from here on.
    """
    keep_programs()
    if asked():
        return
    try:
        jax.config.update("jax_num_cpu_devices", cores())
    except RuntimeError:
        return


def devices() -> list[Device]:
    """The devices of the default backend, with a hint when CPU cores will stand idle."""
    prepare()
    found = jax.devices()
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
    two busy cores 9 eigenproblems of 100 x 100 took 1.6 s, and with one thread .01 s.
    """
    if devices[0].platform != "cpu":
        yield
        return
    import scipy.linalg.cython_lapack  # loads the library that jax will call  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def describe() -> str:
    """The devices in words, for results and reports."""
    found = devices()
    return f"{len(found)} x {found[0].device_kind} ({found[0].platform})"
