"""Activations that bend: sigmoids, exponential units and smooth rectifiers, each unit by itself."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nnlab.errors import UsageError
from nnlab.types import Number

X = Float[Array, "*shape"]

# the fixed point of Klambauer et al. (2017): mean 0 and variance 1 map to themselves
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def sigmoid(x: X) -> X:
    """f(x) = 1 / (1 + exp(-x)), from 0 to 1.  Source: Rumelhart, Hinton & Williams (1986)."""
    return jax.nn.sigmoid(x)


def log_sigmoid(x: X) -> X:
    """f(x) = log sigmoid(x) = -log(1 + exp(-x)).  Source: torch.nn.LogSigmoid."""
    return jax.nn.log_sigmoid(x)


def tanh(x: X) -> X:
    """f(x) = (exp(x) - exp(-x)) / (exp(x) + exp(-x)), from -1 to 1.

    Source: LeCun et al., Efficient BackProp (1998), section 4.4.
    """
    return jnp.tanh(x)


def tanh_shrink(x: X) -> X:
    """f(x) = x - tanh(x), close to x^3 / 3 around 0.  Source: torch.nn.Tanhshrink."""
    return x - jnp.tanh(x)


def soft_sign(x: X) -> X:
    """f(x) = x / (1 + |x|), from -1 to 1.  Source: Bergstra et al. (2009)."""
    return x / (1 + jnp.abs(x))


def exponential(x: X) -> X:
    """f(x) = exp(x), which overflows float32 above 88.7.  Source: keras's of this name."""
    return jnp.exp(x)


def elu(x: X, alpha: Number = 1.0) -> X:
    """f(x) = x for x > 0, alpha (exp(x) - 1) below.  Source: Clevert et al. (2016)."""
    below = jnp.where(x > 0, 0, x)  # not a minimum, whose slope at 0 is a half
    return jnp.where(x > 0, x, alpha * jnp.expm1(below))


def celu(x: X, alpha: Number = 1.0) -> X:
    """f(x) = x for x > 0, alpha (exp(x / alpha) - 1) below.  Source: Barron (2017)."""
    below = jnp.where(x > 0, 0, x)
    return jnp.where(x > 0, x, alpha * jnp.expm1(below / alpha))


def selu(x: X) -> X:
    """f(x) = 1.0507 elu(x, 1.6733), which keeps mean 0 and variance 1.

    Source: Klambauer et al. (2017).
    """
    return SELU_SCALE * elu(x, SELU_ALPHA)


def softplus(x: X, beta: Number = 1.0) -> X:
    """f(x) = log(1 + exp(beta x)) / beta, which nears relu as beta grows.

    Source: Dugas et al. (2000).  Raises UsageError for beta 0, where it is infinite.
    """
    if isinstance(beta, float | int) and beta == 0:
        raise UsageError("a softplus of beta 0 came, which is infinite everywhere; try 1.0")
    return jax.nn.softplus(beta * x) / beta


def squareplus(x: X, b: Number = 4.0) -> X:
    """f(x) = (x + sqrt(x^2 + b)) / 2, for b >= 0; at b = 0 it is relu, with slope 1/2 at 0.

    Source: Barron (2021).  Raises UsageError for b below 0.
    """
    if isinstance(b, float | int) and b < 0:
        raise UsageError(f"a squareplus of b = {b} came; it is 0 (relu) or more: try 4.0")
    square = jnp.square(x) + b
    root = jnp.sqrt(jnp.maximum(square, jnp.finfo(square.dtype).tiny))
    return jnp.where(x >= 0, (x + root) / 2, b / (2 * (root + jnp.abs(x))))  # nothing cancels


def silu(x: X) -> X:
    """f(x) = x sigmoid(x).  Source: Elfwing et al. (2017)."""
    return x * jax.nn.sigmoid(x)


def swish(x: X, beta: Number = 1.0) -> X:
    """f(x) = x sigmoid(beta x), from x / 2 at beta 0 to relu at infinity; silu at 1.

    Source: Ramachandran et al. (2017).
    """
    return x * jax.nn.sigmoid(beta * x)


def mish(x: X) -> X:
    """f(x) = x tanh(softplus(x)).  Source: Misra (2019)."""
    return x * jnp.tanh(jax.nn.softplus(x))


def gelu(x: X) -> X:
    """f(x) = x Phi(x), Phi the normal distribution function.  Source: Hendrycks & Gimpel (2016).

    The exact form, which is torch's and keras's default; jax's default is gelu_tanh.
    """
    return jax.nn.gelu(x, approximate=False)


def gelu_tanh(x: X) -> X:
    """f(x) = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2: gelu within 5e-4."""
    return jax.nn.gelu(x, approximate=True)


def sine(x: X, omega: Number = 1.0) -> X:
    """f(x) = sin(omega x), for networks that represent signals (the paper's omega is 30).

    Source: Sitzmann et al. (2020), section 3.2.
    """
    return jnp.sin(omega * x)
