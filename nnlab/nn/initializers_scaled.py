"""Initializers whose variance follows the fan: Var w = gain^2 / fan.

`gain` means the same everywhere: the standard deviation is gain / sqrt(fan), so a gain from
`nnlab.nn.gains` fits any of them.  Each library's words keep that library's meaning:

    xavier, he                  plain normals over fan_in, as courses call them
    glorot_*, he_*, lecun_*     jax's, flax's and keras's; their normals are cut at 2 standard
                                deviations and rescaled to the stated variance
    xavier_*, kaiming_*         torch's, whose normals are plain (jax uses these words for its own
                                glorot_* and he_*)

`axes` says where inputs and outputs are; the default reads [..., in, out].
"""

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp

from nnlab.errors import unknown
from nnlab.nn.fans import KERNEL, Axes, Mode, fan
from nnlab.nn.initializers_plain import check_scale
from nnlab.types import Initializer, Number, PRNGKey, Shape

Distribution = Literal["truncated_normal", "normal", "uniform"]

SQRT2 = math.sqrt(2.0)
# the standard deviation of N(0, 1) cut to [-2, 2]: 1 - 2 * 2 phi(2) / (Phi(2) - Phi(-2)), rooted
CUT_STD = math.sqrt(1.0 - 4.0 * math.exp(-2.0) / math.sqrt(2.0 * math.pi) / math.erf(SQRT2))


def variance_scaling(
    scale: Number = 1.0,
    mode: Mode | str = "fan_in",
    distribution: Distribution | str = "truncated_normal",
    axes: Axes = KERNEL,
) -> Initializer:
    """Any distribution with variance scale / fan: every other initializer here is a case of it.

    normal: z sqrt(v); truncated_normal: z sqrt(v) / 0.8796 with |z| < 2; uniform: u sqrt(3 v) with
    u in [-1, 1).  Equal to jax's of the same name, bit for bit.
    """
    if distribution not in ("truncated_normal", "normal", "uniform"):
        raise unknown("distribution", distribution, ("truncated_normal", "normal", "uniform"))
    check_scale("scale", scale)

    def init(key: PRNGKey, shape: Shape, dtype: Any = jnp.float32) -> jax.Array:
        variance = jnp.asarray(scale / fan(shape, mode, axes), dtype)
        if distribution == "normal":
            return jax.random.normal(key, shape, dtype) * jnp.sqrt(variance)
        if distribution == "uniform":
            return jax.random.uniform(key, shape, dtype, -1.0) * jnp.sqrt(3 * variance)
        std = jnp.sqrt(variance) / jnp.asarray(CUT_STD, dtype)
        return jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype) * std

    return init


def squared(gain: Number) -> Number:
    """gain^2, of which a negative gain would leave no trace: raises UsageError for one."""
    check_scale("gain", gain)
    return gain * gain


def xavier(gain: Number = 1.0, axes: Axes = KERNEL) -> Initializer:
    """A plain normal of deviation gain / sqrt(fan_in), LeCun's; Glorot's own is xavier_normal.

    Called so in courses: it keeps the variance of a linear or small tanh layer.  Source: Saito,
    Deep Learning from Scratch (2016), section 6.2, after Glorot & Bengio (2010).
    """
    return variance_scaling(squared(gain), "fan_in", "normal", axes)


def he(gain: Number = SQRT2, axes: Axes = KERNEL) -> Initializer:
    """He's: a plain normal of standard deviation gain / sqrt(fan_in), whose sqrt(2) suits ReLU.

    Sources: He et al. (2015), eq. 10; Saito (2016), section 6.2.
    """
    return variance_scaling(squared(gain), "fan_in", "normal", axes)


def glorot_normal(gain: Number = 1.0, axes: Axes = KERNEL) -> Initializer:
    """Truncated normal over the mean of both fans.  Source: Glorot & Bengio (2010), eq. 12."""
    return variance_scaling(squared(gain), "fan_avg", "truncated_normal", axes)


def glorot_uniform(gain: Number = 1.0, axes: Axes = KERNEL) -> Initializer:
    """Uniform on ±gain sqrt(6 / (fan_in + fan_out)).  Source: Glorot & Bengio (2010), eq. 16."""
    return variance_scaling(squared(gain), "fan_avg", "uniform", axes)


def he_normal(gain: Number = SQRT2, axes: Axes = KERNEL) -> Initializer:
    """kaiming_normal cut at two deviations: Var w = gain^2 / fan_in, by default 2 / fan_in.

    Source: He et al. (2015), eq. 10, as jax and keras draw it.
    """
    return variance_scaling(squared(gain), "fan_in", "truncated_normal", axes)


def he_uniform(gain: Number = SQRT2, axes: Axes = KERNEL) -> Initializer:
    """Uniform on ±gain sqrt(3 / fan_in), by default ±sqrt(6 / fan_in).

    Source: He et al. (2015), eq. 10, for the variance.
    """
    return variance_scaling(squared(gain), "fan_in", "uniform", axes)


def lecun_normal(gain: Number = 1.0, axes: Axes = KERNEL) -> Initializer:
    """Truncated normal of standard deviation gain / sqrt(fan_in): SELU's and a linear layer's.

    Sources: LeCun et al., Efficient BackProp (1998), eq. 16; Klambauer et al. (2017) for SELU.
    """
    return variance_scaling(squared(gain), "fan_in", "truncated_normal", axes)


def lecun_uniform(gain: Number = 1.0, axes: Axes = KERNEL) -> Initializer:
    """Uniform of variance gain^2 / fan_in, hence on ±gain sqrt(3 / fan_in).

    Source: LeCun et al., Efficient BackProp (1998), section 4.6.
    """
    return variance_scaling(squared(gain), "fan_in", "uniform", axes)


def xavier_normal(gain: Number = 1.0, axes: Axes = KERNEL) -> Initializer:
    """Torch's xavier_normal_: plain normal of standard deviation gain sqrt(2 / (fan_in + fan_out)).

    Source: Glorot & Bengio (2010), eq. 12.
    """
    return variance_scaling(squared(gain), "fan_avg", "normal", axes)


def xavier_uniform(gain: Number = 1.0, axes: Axes = KERNEL) -> Initializer:
    """Torch's xavier_uniform_, which is glorot_uniform by its author's first name."""
    return glorot_uniform(gain, axes)


def kaiming_normal(
    gain: Number = SQRT2, mode: Mode | str = "fan_in", axes: Axes = KERNEL
) -> Initializer:
    """Torch's kaiming_normal_: a plain normal of standard deviation gain / sqrt(fan).

    The slope a that torch asks for is the gain sqrt(2 / (1 + a^2)).
    Source: He et al. (2015), eq. 15.
    """
    return variance_scaling(squared(gain), mode, "normal", axes)


def kaiming_uniform(
    gain: Number = SQRT2, mode: Mode | str = "fan_in", axes: Axes = KERNEL
) -> Initializer:
    """Torch's kaiming_uniform_: uniform on ±gain sqrt(3 / fan).

    Source: He et al. (2015), eqs. 10 and 14 for the two fans' variances.
    """
    return variance_scaling(squared(gain), mode, "uniform", axes)


def torch_linear(axes: Axes = KERNEL) -> Initializer:
    """What torch's Linear and Conv layers begin with: uniform on ±1 / sqrt(fan_in).

    Its variance 1 / (3 fan_in) shrinks a linear signal by 3 in each layer.
    Source: LeCun et al. (1998), section 4.6, without its sqrt(3).
    """
    return variance_scaling(1 / 3, "fan_in", "uniform", axes)
