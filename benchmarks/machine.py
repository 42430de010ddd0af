"""Where a number was measured."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nnlab.lanes.devices import cores

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
        "load before": round(os.getloadavg()[0], 2),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def processor() -> str:
    """The processor's name and its widest vector instructions, as far as the system tells."""
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return platform.processor() or platform.machine()
    lines = {}
    for line in information.read_text().splitlines():
        name, _, value = line.partition(":")
        lines[name.strip()] = value.strip()
    flags = lines.get("flags", "").split()
    vectors = [word for word in ("avx512f", "avx2", "avx") if word in flags]
    return " ".join([lines.get("model name", platform.machine()), *vectors[:1]])
