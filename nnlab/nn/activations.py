"""Every activation by name: functions of x whose keyword numbers may be traced."""

from collections.abc import Callable

import jax

from nnlab.nn.activations_groups import (
    geglu,
    glu,
    log_softmax,
    maxout,
    reglu,
    softmax,
    softmin,
    sparsemax,
    swiglu,
)
from nnlab.nn.activations_pieces import (
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    identity,
    leaky_relu,
    prelu,
    relu,
    relu6,
    relu_squared,
    rrelu,
    soft_shrink,
    sparse_plus,
    sparse_sigmoid,
    threshold,
)
from nnlab.nn.activations_smooth import (
    celu,
    elu,
    exponential,
    gelu,
    gelu_tanh,
    log_sigmoid,
    mish,
    selu,
    sigmoid,
    silu,
    sine,
    soft_sign,
    softplus,
    squareplus,
    swish,
    tanh,
    tanh_shrink,
)

_PIECES = (
    identity, relu, relu_squared, relu6, leaky_relu, prelu, rrelu, threshold, hard_tanh,
    hard_sigmoid, hard_silu, hard_swish, sparse_sigmoid, sparse_plus, hard_shrink, soft_shrink,
)  # fmt: skip
_SMOOTH = (
    sigmoid, log_sigmoid, tanh, tanh_shrink, soft_sign, exponential, elu, celu, selu, softplus,
    squareplus, silu, swish, mish, gelu, gelu_tanh, sine,
)  # fmt: skip
_GROUPS = (softmax, softmin, log_softmax, sparsemax, maxout, glu, reglu, geglu, swiglu)

ACTIVATIONS: dict[str, Callable[..., jax.Array]] = {
    f.__name__: f for f in (*_PIECES, *_SMOOTH, *_GROUPS)
}
