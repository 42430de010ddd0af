"""Every test runs under strict promotion rules, so that accidents in dtype or rank raise."""

import jax

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
