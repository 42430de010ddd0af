"""Every test runs under strict promotion rules, so that accidents in dtype or rank raise.

Two host devices on any machine, asked for before anything computes: what depends on their number
is tested, what must not is tested too.
"""

import sys

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


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
