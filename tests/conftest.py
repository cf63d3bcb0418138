"""JAX counts its devices once in a process: one here, whichever test comes first and whatever it asks for."""

import jax

jax.devices()
