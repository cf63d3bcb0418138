"""Set JAX up before its first import in a process: devices, compiler, and where compiled programs are kept."""

from __future__ import annotations

import os
from pathlib import Path

LEAST_SECONDS = 1.0
"""A program whose compilation took less is not kept."""


def use(devices: int = 0, cache: Path | None = None) -> None:
    """Choose the CPU devices that share a batch, and keep compiled programs between processes.

    One thread per device: the batch is what runs in parallel. The compiler's first level of optimisation makes programs
    that run as fast as the last one's here and are made in two thirds of the time. GPUs are used as JAX finds them.

    Parameters
    ----------
    devices : int
        0: one per core.
    cache : path, optional
        Folder of compiled programs.
    """
    flags = [
        f"--xla_force_host_platform_device_count={devices or os.cpu_count() or 1}",
        "--xla_cpu_multi_thread_eigen=false",
        "--xla_backend_optimization_level=1",
    ]
    # What the user has set stands behind, where it wins. Nothing stands twice: kept programs are found by these words.
    own = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if flag not in flags]
    os.environ["XLA_FLAGS"] = " ".join([*flags, *own])
    if cache is not None:
        import jax

        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", LEAST_SECONDS)


def cache_folder() -> Path:
    """Return where compiled programs are kept between runs (XDG base directory specification)."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "coronium" / "programs"
