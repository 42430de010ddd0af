"""What nnlab remembers on a machine between processes: compiled programs and measured speeds.

Everything lies in nnlab's folder of the user's cache directory (NNLAB_CACHE_DIR moves it) and may
be deleted at any time. Programs are kept by jax's own persistent compilation cache, so jax's
switches rule: JAX_COMPILATION_CACHE_DIR moves them, JAX_ENABLE_COMPILATION_CACHE=0 keeps none.
"""

import json
import os
import tempfile
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

from nnlab.files import replacing

LEAST_SECONDS = 0.02
"""What compiles faster is not worth a file."""
SPEEDS = "speeds.json"
MOST_SPEEDS = 1000


def directory() -> Path:
    """NNLAB_CACHE_DIR, or nnlab's folder in the user's cache directory.

    For a user without a home it is among the temporary files.
    """
    if given := os.environ.get("NNLAB_CACHE_DIR"):
        return Path(given)
    caches = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(caches or Path.home() / ".cache") / "nnlab"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / "nnlab"


def keep_programs() -> None:
    """Let jax keep what it compiles, unless a place is set already.

    A second process that trains the same sweep then starts in a fraction of the time: small
    programs, of which drawing weights needs two dozen, are kept as well. A directory that cannot be
    written costs a warning of jax's and nothing else.
    """
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        jax.config.update("jax_compilation_cache_dir", str(directory() / "programs"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", LEAST_SECONDS)
        compilation_cache.reset_cache()  # jax looks for a place once, at its first compilation


def speeds() -> dict[str, float]:
    """Config-steps per second of programs that ran here, by fingerprint; none if unreadable."""
    try:
        found = json.loads((directory() / SPEEDS).read_text())
        return {str(k): float(v) for k, v in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def remember_speed(fingerprint: str, rate: float) -> None:
    """Keep a measured speed; the oldest are forgotten, and a full or closed disk is no error."""
    known = speeds()
    known.pop(fingerprint, None)
    known[fingerprint] = rate
    recent = dict(list(known.items())[-MOST_SPEEDS:])
    try:
        path = directory() / SPEEDS
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft:
            draft.write_text(json.dumps(recent, indent=1))
    except OSError:
        return
