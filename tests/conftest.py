"""Every test runs under strict promotion rules, so that accidents in dtype or rank raise.

Two host devices on any machine, asked for before anything computes: what depends on their number
is tested, what must not is tested too.
"""

import jax

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
