"""Every transformation around an optimizer, as a function (optimizer, numbers) -> optimizer.

Some stand before it in the chain (they see the gradient), some after it (they see the step and the
weights), some contain it.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from nnlab.optim.cautious import cautious
from nnlab.optim.clipping import (
    centralize,
    clip_adaptive,
    clip_block_rms,
    clip_norm,
    clip_values,
    zero_nans,
)
from nnlab.optim.core import Constant, Rate, Sees, Steps, chain
from nnlab.optim.private import add_noise
from nnlab.optim.schedule_free import schedule_free
from nnlab.optim.transforms import (
    decoupled_weight_decay,
    elastic_net,
    keep_nonnegative,
    l1,
    l2,
    max_norm,
    penalised,
)
from nnlab.optim.wrappers import (
    accumulate,
    apply_if_finite,
    average_weights,
    lookahead,
    mechanize,
    reduce_on_plateau,
    sam,
)


def none(optimizer: Any) -> Any:
    """The optimizer as it is."""
    return optimizer


def before(make: Callable[..., Any]) -> Callable[..., Any]:
    """The optimizer gets what `make` leaves of the gradient."""
    return _joined(make, lambda optimizer, part: chain(part, optimizer))


def after(make: Callable[..., Any]) -> Callable[..., Any]:
    """`make` gets the optimizer's step."""
    return _joined(make, chain)


def penalty(make: Callable[..., Any]) -> Callable[..., Any]:
    """The optimizer minimises the loss plus a penalty, whose gradient `make` adds."""
    return _joined(make, penalised)


def _joined(make: Callable[..., Any], join: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    @wraps(make)
    def around(optimizer: Any, *args: Any, **numbers: Any) -> Any:
        return join(optimizer, make(*args, **numbers))

    own = inspect.signature(make)
    first = inspect.Parameter("optimizer", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    vars(around)["__signature__"] = own.replace(parameters=[first, *own.parameters.values()])
    return around


def sharpness_aware(optimizer: Any, radius: Rate = 0.05, period: Steps = 2) -> Any:
    """SAM spends period - 1 of every `period` steps on a climb, and descends from its top.

    A step climbs or descends with the gradient of its own batch.  See `sam`.
    """
    return sam(optimizer, radius, period)


def schedule_free_average(
    optimizer: Any, learning_rate: Rate, beta1: Constant = 0.9, weight_power: Rate = 2.0
) -> Any:
    """Averages the weights of an optimizer without momentum in place of a falling rate.

    See `schedule_free`.
    """
    return schedule_free(optimizer, learning_rate, beta1, weight_power)


TRANSFORMS: dict[str, Callable[..., Any]] = {
    "none": none,
    "sam": sharpness_aware,
    "schedule_free": schedule_free_average,
    **{
        f.__name__: f
        for f in (accumulate, apply_if_finite, cautious, lookahead, mechanize)
    },
    **{
        f.__name__: before(f)
        for f in (
            add_noise, centralize, clip_adaptive, clip_block_rms, clip_norm, clip_values,
            zero_nans,
        )
    },
    **{f.__name__: penalty(f) for f in (elastic_net, l1, l2)},
    **{
        f.__name__: after(f)
        for f in (
            average_weights, decoupled_weight_decay, keep_nonnegative, max_norm, reduce_on_plateau,
        )
    },
}  # fmt: skip
"""Everything that may stand around an optimizer, by name."""
TRANSFORMS_SEE: dict[Callable[..., Any], Sees] = dict.fromkeys(
    TRANSFORMS.values(), Sees.NUMBERS
) | {
    cautious: Sees.ARRAYS,
    TRANSFORMS["clip_block_rms"]: Sees.ARRAYS,
    **{TRANSFORMS[f.__name__]: Sees.AXES for f in (add_noise, centralize, clip_adaptive, max_norm)},
}
"""What each of them tells apart in a tree of weights."""
