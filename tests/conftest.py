"""Every test runs under strict promotion rules, so that accidents in dtype or rank raise.

Two host devices on any machine, asked for before anything computes: what depends on their number
is tested, what must not is tested too. The workers share what they compile, in a place of their
own: a test never reads, nor fills, the user's cache. Programs are compiled in a hurry: without most
of XLA's optimizations, except where bits are compared with another library's, and without its
fusion emitters, which saves two fifths of the time of a test that trains.
"""

import os
import sys
import tempfile

import hurry
import jax
import pytest

if "NNLAB_CACHE_DIR" not in os.environ:  # the first process of a session; workers inherit it
    os.environ["NNLAB_CACHE_DIR"] = tempfile.mkdtemp(prefix="nnlab-tests-")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
jax.config.update("jax_compilation_cache_dir", f"{os.environ['NNLAB_CACHE_DIR']}/jax")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_cpu_enable_async_dispatch", False)
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("XLA_FLAGS", hurry.environment()["XLA_FLAGS"])
    jax.devices()  # reads the flags
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


BIT_FOR_BIT = ("test_initializers", "test_activations")


@pytest.fixture(autouse=True, scope="module")
def _compile_in_a_hurry(request):
    before = jax.config.read("jax_disable_most_optimizations")
    hurry = request.module.__name__ not in BIT_FOR_BIT
    jax.config.update("jax_disable_most_optimizations", hurry)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture
def nnlab_(monkeypatch, capsys):
    """Run a command line in this process: (exit status, standard output, standard error)."""

    from nnlab.cli.app import main

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nnlab", *map(str, words)])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return exit_.value.code or 0, captured.out, captured.err

    return run
