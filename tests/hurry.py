"""How tests compile: programs that nobody waits for are not worth XLA's best."""

import os

import jax

FLAGS = (
    ("--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1")
    if jax.__version__.startswith("0.10.")  # a later XLA may not know a flag, and ends the process
    else ()
)


def environment() -> dict[str, str]:
    """This process's environment with the flags, for another process."""
    return {**os.environ, "XLA_FLAGS": " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS]).strip()}
