"""`coronium simulate`: spectra with known truth."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coronium.cli.options import PlasmaModel, Seed

if TYPE_CHECKING:
    from coronium.physics.simulator import Simulator, Truth
    from coronium.physics.spectrum import Spectrum

COUNT = 100
MISSION_COUNT = 10_000
MISSION_RANGE = (1.0, 10.0)
MISSION_TRAINING_SHARE = 0.8
CHUNK = 500
"""Spectra held in memory at once."""


def simulate(
    output: Annotated[Path, typer.Option(metavar="FILE.h5", help="Where the spectra and their truths go.")],
    instrument: Annotated[str, typer.Option(help="`coronium instruments list` names them.")] = "hinode-eis",
    n: Annotated[
        int | None, typer.Option("--n", min=1, help="Number of spectra; 100, or 10 000 with --mission.")
    ] = None,
    snr: Annotated[
        str | None,
        typer.Option(metavar="LO:HI", help="Log-uniform range of the S/N; without it EM comes from the prior."),
    ] = None,
    plasma: Annotated[PlasmaModel, typer.Option(help="Temperature structure.")] = PlasmaModel.ISOTHERMAL,
    exposures: Annotated[int, typer.Option(min=1, help="Exposures of each spectrum.")] = 1,
    mission: Annotated[
        bool,
        typer.Option(
            "--mission",
            help="The mission's data set: T 1-10 MK, n 1e9-1e11, S/N 1-10, all log-uniform; four fifths go to "
            "FILE-train, the rest to FILE-test.",
        ),
    ] = False,
    seed: Seed = 0,
) -> None:
    """Simulate spectra with their own draw of calibration, atomic and background terms."""
    import numpy as np
    from rich.progress import Progress

    from coronium.cli.output import messages
    from coronium.cli.ranges import low_high
    from coronium.physics.atomic.table import load_table
    from coronium.physics.instruments import get_instrument
    from coronium.physics.observation_model import ModelCache
    from coronium.physics.parameters import MISSION_BOX
    from coronium.physics.simulator import Simulator

    signal_to_noise = low_high(snr, "--snr") if snr else None
    if signal_to_noise and signal_to_noise[0] <= 0:
        raise typer.BadParameter("the signal to noise must be positive", param_hint="--snr")
    if mission and signal_to_noise:
        raise typer.BadParameter("the mission's data set has its own range, 1:10", param_hint="--snr")
    if mission:
        signal_to_noise = MISSION_RANGE
    count = n or (MISSION_COUNT if mission else COUNT)
    simulator = Simulator(
        ModelCache(load_table()),
        get_instrument(instrument),
        MISSION_BOX if mission else None,
        exposures,
        gaussian_dem=plasma is PlasmaModel.GAUSSIAN_DEM,
    )
    training = round(MISSION_TRAINING_SHARE * count)
    parts = [(output, count)]
    if mission:
        train, test = (output.with_stem(f"{output.stem}-{part}") for part in ("train", "test"))
        parts = [(train, training), (test, count - training)]
    made_with = {**made_by(simulator, plasma, signal_to_noise), "seed": seed, "mission": mission}
    output.parent.mkdir(parents=True, exist_ok=True)
    with Progress(console=messages(), transient=True) as bar:
        drawn = enumerate(simulator.draw(count, np.random.default_rng(seed), signal_to_noise))
        tracked = iter(bar.track(drawn, total=count, description="simulating"))
        for path, size in parts:
            write(path, islice(tracked, size), made_with)
            print(f"{path}: {size} spectra of {simulator.template.instrument} with their truths")


def made_by(
    simulator: Simulator, plasma: PlasmaModel, signal_to_noise: tuple[float, float] | None
) -> dict[str, object]:
    """What a file of simulations says of itself: enough to make it again, and what the columns of its truths are."""
    from dataclasses import asdict
    from importlib.metadata import version

    return {
        "software": version("coronium"),
        "plasma": plasma.value,
        "signal_to_noise": signal_to_noise,
        "priors": asdict(simulator.model.space.priors),
        "unknowns": simulator.model.space.names,
        "line_signal_to_noise": simulator.groups.label,
    }


def write(path: Path, drawn: Iterator[tuple[int, tuple[Spectrum, Truth]]], made_with: dict[str, object]) -> None:
    """Write numbered simulations a chunk at a time; the number is the target's, so that no two sets share one."""
    from dataclasses import fields, replace

    import numpy as np

    from coronium.physics.readers.hdf5_writer import spectra_file
    from coronium.physics.simulator import Truth

    with spectra_file(path, made_with) as file:
        while chunk := list(islice(drawn, CHUNK)):
            spectra = [replace(spectrum, target=f"simulated/{number:05d}") for number, (spectrum, _) in chunk]
            truths = {f.name: np.array([getattr(truth, f.name) for _, (_, truth) in chunk]) for f in fields(Truth)}
            file.add(spectra, truths)
