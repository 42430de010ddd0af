"""Code in a fresh process, as a user's is, with a cache of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TIMED = """
import time
began = time.perf_counter()
found = None
{code}
import json
print(json.dumps([time.perf_counter() - began, found]))
"""


def fresh(code: str, cache: str) -> tuple[float, Any]:
    """Seconds of some code in a new process with this cache, and what it left as `found`."""
    environment = {**os.environ, "NNLAB_CACHE_DIR": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # Python keeps its own compiled modules
    words = [sys.executable, "-c", TIMED.format(code=code)]
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"a fresh process failed:\n{done.stderr}")
    seconds, found = json.loads(done.stdout.splitlines()[-1])
    return seconds, found
