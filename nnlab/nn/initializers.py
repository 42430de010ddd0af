"""Every initializer by name: factories of functions (key, shape, dtype=float32) -> array.

The numbers may be traced, so a sweep may vary them; the structure (axes, modes) is static.
"""

from collections.abc import Callable

from nnlab.nn.initializers_plain import (
    constant,
    normal,
    ones,
    random_normal,
    random_uniform,
    trunc_normal,
    truncated_normal,
    uniform,
    zeros,
)
from nnlab.nn.initializers_scaled import (
    glorot_normal,
    glorot_uniform,
    he,
    he_normal,
    he_uniform,
    kaiming_normal,
    kaiming_uniform,
    lecun_normal,
    lecun_uniform,
    torch_linear,
    variance_scaling,
    xavier,
    xavier_normal,
    xavier_uniform,
)
from nnlab.nn.initializers_structured import delta_orthogonal, dirac, identity, orthogonal, sparse
from nnlab.types import Initializer

_PLAIN = (
    zeros, ones, constant, normal, uniform, truncated_normal, trunc_normal, random_normal,
    random_uniform,
)  # fmt: skip
_SCALED = (
    xavier, he, glorot_normal, glorot_uniform, he_normal, he_uniform, lecun_normal, lecun_uniform,
    xavier_normal, xavier_uniform, kaiming_normal, kaiming_uniform, torch_linear, variance_scaling,
)  # fmt: skip
_STRUCTURED = (orthogonal, delta_orthogonal, identity, dirac, sparse)

INITIALIZERS: dict[str, Callable[..., Initializer]] = {
    make.__name__: make for make in (*_PLAIN, *_SCALED, *_STRUCTURED)
}
