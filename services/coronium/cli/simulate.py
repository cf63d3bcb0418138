"""`coronium simulate`: spectra with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coronium.cli.options import Seed

if TYPE_CHECKING:
    from rich.progress import Progress

    from coronium.physics.simulator import Simulator, Truth
    from coronium.physics.spectrum import Spectrum

MISSION_COUNT = 10_000
MISSION_RANGE = (1.0, 10.0)
MISSION_TRAINING_SHARE = 0.8


def simulate(
    output: Annotated[Path, typer.Option(metavar="FILE.h5", help="Where the spectra and their truths go.")],
    instrument: Annotated[str, typer.Option(help="`coronium instruments list` names them.")] = "hinode-eis",
    n: Annotated[int, typer.Option("--n", min=1, help="Number of spectra.")] = 100,
    snr: Annotated[
        str | None,
        typer.Option(metavar="LO:HI", help="Log-uniform range of the S/N; without it EM comes from the prior."),
    ] = None,
    exposures: Annotated[int, typer.Option(min=1, help="Exposures of each spectrum.")] = 1,
    mission: Annotated[
        bool,
        typer.Option(
            "--mission",
            help="The mission's data set: 10 000 spectra, T 1-10 MK, n 1e9-1e11, S/N 1-10; FILE-train and FILE-test.",
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
    preset = get_instrument(instrument)
    simulator = Simulator(ModelCache(load_table()), preset, MISSION_BOX if mission else None, exposures)
    if mission:
        signal_to_noise, n = MISSION_RANGE, MISSION_COUNT
    with Progress(console=messages(), transient=True) as bar:
        drawn = _draw(simulator, n, np.random.default_rng(seed), signal_to_noise, bar)
    if not mission:
        _write(output, simulator, drawn)
        return
    training = round(MISSION_TRAINING_SHARE * n)
    _write(output.with_stem(f"{output.stem}-train"), simulator, drawn[:training])
    _write(output.with_stem(f"{output.stem}-test"), simulator, drawn[training:])


def _draw(
    simulator: Simulator, n: int, rng: object, signal_to_noise: tuple[float, float] | None, bar: Progress
) -> list[tuple[Spectrum, Truth]]:
    return list(bar.track(simulator.draw(n, rng, signal_to_noise), total=n, description="simulating"))  # type: ignore[arg-type]


def _write(path: Path, simulator: Simulator, drawn: list[tuple[Spectrum, Truth]]) -> None:
    from dataclasses import fields, replace

    import numpy as np

    from coronium.physics.readers.tabular import write_spectra
    from coronium.physics.simulator import Truth

    spectra = [replace(spectrum, target=f"simulated/{number:05d}") for number, (spectrum, _) in enumerate(drawn)]
    truths = {field.name: np.array([getattr(truth, field.name) for _, truth in drawn]) for field in fields(Truth)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_spectra(path, spectra, truths)
    print(f"{path}: {len(spectra)} spectra of {simulator.template.instrument} with their truths")
