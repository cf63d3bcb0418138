"""The posterior: priors, likelihood, modes, NUTS, evidence (JAX; log-likelihoods are summed in float64)."""

import jax

# The forward model stays in float32 by its own types; sums of thousands of log-likelihoods do not.
jax.config.update("jax_enable_x64", True)
