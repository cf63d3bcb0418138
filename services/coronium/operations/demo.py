"""`make demo`: real spectra into the whole stream, posteriors out of it, and what they say in tables and pictures."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from coronium.operations.addresses import HOST, Addresses
from coronium.operations.demo_data import SOLAR_TARGET, demo_spectra
from coronium.operations.stack import Stack
from coronium.runtime.errors import StartError

if TYPE_CHECKING:
    from coronium.client.client import Client
    from coronium.client.result import Result
    from coronium.physics.spectrum import Spectrum

LIMIT_SECONDS = 900.0
"""A demonstration that takes longer has failed."""

STAR = "capella"

PLASMA_MODEL = "gaussian-dem"
"""Real coronae are multithermal: an isothermal fit of them is wrong however well it converges."""

EPOCHS = 25

# What is compiled before the first spectrum comes does not count against the deadline of its batch.
WARM = f"hinode-eis:{PLASMA_MODEL},chandra-letg:{PLASMA_MODEL},chandra-letg:{PLASMA_MODEL}:{EPOCHS}"
SETTINGS = {"fitting": {"WARM_INSTRUMENTS": WARM, "BATCH_SIZE": "36"}}


class DemoFailed(StartError):
    """Something that was published did not come back; the sentence says what."""


@dataclass(frozen=True)
class Demonstration:
    """What a demonstration gave.

    Attributes
    ----------
    results : list of Result
        In the order of publication, as gRPC answered.
    pictures : list of path
    results_file : path
    seconds : float
        From the start of the stack to the last result.
    """

    results: list[Result]
    pictures: list[Path]
    results_file: Path
    seconds: float


def run(
    output: Path, report: Callable[[str], None], progress: Callable[[int, int], None] = lambda done, total: None
) -> Demonstration:
    """Run the demonstration.

    Parameters
    ----------
    output : path
        Folder of results.json, the pictures and the logs.
    report : callable
        Is told in one sentence what happens.
    progress : callable
        Is told (results so far, spectra published).

    Raises
    ------
    StartError
        The stack does not run, or a result is missing.
    """
    spectra = demo_spectra()
    output.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="coronium-demo-") as name:
        folder = Path(name)
        try:
            with _running(folder, report) as client:
                results = _publish_and_collect(client, spectra, report, progress)
        finally:
            shutil.copytree(folder / "logs", output / "logs", dirs_exist_ok=True)
    seconds = time.monotonic() - began
    results_file = _write_results(output, results, seconds)
    return Demonstration(results, draw_pictures(results, output), results_file, seconds)


def pictured(results: Sequence[Result]) -> tuple[Result, Result]:
    """Return the two whose spectra are drawn: the brightest macropixel, and the star's cube."""
    pixels = [result for result in results if result.target.startswith(SOLAR_TARGET)]
    exposures = [result for result in results if result.target == STAR]
    return max(pixels, key=_photons), max(exposures, key=_photons)


def draw_pictures(results: Sequence[Result], output: Path) -> list[Path]:
    """Draw the maps of the raster, the star's history, and one spectrum of each; return the files."""
    from coronium.pictures import capella_history, raster_maps, spectrum_picture

    pictures = [output / name for name in ("raster-maps.png", "capella-history.png", "pixel.png", "capella.png")]
    raster_maps([result for result in results if result.target.startswith(SOLAR_TARGET)], pictures[0])
    capella_history([result for result in results if result.target == STAR], pictures[1])
    for result, file in zip(pictured(results), pictures[2:], strict=True):
        spectrum_picture(result, result.observation, file)
    return pictures


def _photons(result: Result) -> float:
    assert result.observation is not None
    return float(sum(channel.counts[channel.mask].sum() for channel in result.observation.channels))


@contextmanager
def _running(folder: Path, report: Callable[[str], None]) -> Iterator[Client]:
    """Run a stack with a client; a part that dies for good ends the block."""
    from coronium.client.client import Client

    addresses = Addresses.free()
    failure: list[StartError] = []
    with Stack(folder, addresses, report, SETTINGS) as stack:
        stack.start()

        def supervise() -> None:
            try:
                stack.supervise()
            except StartError as error:
                failure.append(error)
                stack.stop(0.0)

        threading.Thread(target=supervise, daemon=True).start()
        results = f"{HOST}:{addresses.grpc['results']}"
        with Client(results, kafka=f"{HOST}:{addresses.kafka}") as client:
            try:
                yield client
            except Exception:
                if failure:
                    raise failure[0] from None
                raise


def _publish_and_collect(
    client: Client,
    spectra: Sequence[Spectrum],
    report: Callable[[str], None],
    progress: Callable[[int, int], None],
) -> list[Result]:
    with client.watch(seconds=LIMIT_SECONDS) as incoming:
        fingerprints = client.publish(spectra, plasma_model=PLASMA_MODEL)
        report(f"published {len(spectra)} spectra")
        waiting = set(fingerprints)
        progress(0, len(fingerprints))
        for result in incoming:
            waiting -= set(result.fingerprints)
            progress(len(fingerprints) - len(waiting), len(fingerprints))
            if not waiting:
                break
    letters = list(client.dead_letters())
    if letters:
        raise DemoFailed(
            f"{len(letters)} messages were set aside, the first by {letters[0].stage}: {letters[0].detail}"
        )
    if waiting:
        raise DemoFailed(f"{len(waiting)} of {len(fingerprints)} results did not come within {LIMIT_SECONDS:.0f} s.")
    report("querying the results back over gRPC")
    return [client.get(fingerprint, with_observation=True) for fingerprint in fingerprints]


def _write_results(output: Path, results: Sequence[Result], seconds: float) -> Path:
    path = output / "results.json"
    # Draws and bands of all would make a file of tens of megabytes.
    whole = {result.id for result in pictured(results)}
    content = {
        "software": f"coronium {version('coronium')}",
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "results": [result.to_dict(arrays=result.id in whole) for result in results],
    }
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    return path
