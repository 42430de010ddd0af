"""Where a number was measured."""

import os
import platform
import resource
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nnlab.lanes.devices import cores, processor

LIBRARIES = ("nnlab", "jax", "jaxlib", "flax", "optax", "numpy", "torch")


def describe() -> dict[str, Any]:
    """Versions, processor and load; the load says how far to trust the rest."""
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            versions[library] = "not installed"
    return {
        "python": platform.python_version(),
        **versions,
        "processor": processor(),
        "cores": cores(),
        "device": device(),
        "load before": round(os.getloadavg()[0], 2),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def device() -> str:
    """What jax computes on, asked in a process of its own: the driver starts no device."""
    ask = "import jax; d = jax.devices(); print(len(d), 'x', d[0].device_kind, '/', d[0].platform)"
    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    return told.stdout.strip() or "none"


def peak_bytes() -> int:
    """The most memory that this process has had.

    Linux's own count, where there is one: `ru_maxrss` begins at what the parent process had.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
