"""A sweep again: its model, data, recording and what it fixes, with other axes."""

from collections.abc import Mapping, Set
from typing import Any

from nnlab.sweeps.sweep import Sweep


def again(sweep: Sweep, axes: Mapping[str, Any], read: Set[str], /, **config: Any) -> Sweep:
    """The sweep with these axes and this config; of the knobs it fixes, those that are `read`."""
    fixed = only(read, {name: sweep.knobs[name] for name in sweep.given})
    found = Sweep(sweep.model, sweep.data, axes, **fixed, **only(read, config))
    found.recording = sweep.recording
    return found


def only(names: Set[str], config: Mapping[str, Any]) -> dict[str, Any]:
    """The knobs of these names."""
    return {knob: value for knob, value in config.items() if knob in names}
