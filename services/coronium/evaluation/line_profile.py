"""Is the line-spread function of LETG/HRC-S a Gaussian, or has it wings? Capella decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np

from coronium.evaluation.provenance import made_by
from coronium.fit import FitResult, Fitter
from coronium.inference.engine import SamplerSettings
from coronium.physics.instruments import Instrument, Profile, get_instrument, register_instrument
from coronium.physics.readers.capella import read_capella, read_capella_cube
from coronium.physics.spectrum import FloatArray, Spectrum

PRESET = "chandra-letg"


@dataclass(frozen=True)
class Comparison:
    """One spectrum fitted with one profile.

    Attributes
    ----------
    spectrum : ObsID, or the number of exposures
    log_evidence, log_evidence_error : natural logarithm
    statistic, expected_statistic : C-stat, and what the posterior expects of it
    model_error : median, relative, per bin: what of the data the model does not explain
    fwhm, fwhm_sd : (C,) of the channels, Angstrom
    """

    spectrum: str
    profile: Profile
    log_evidence: float
    log_evidence_error: float
    statistic: float
    expected_statistic: float
    model_error: float
    fwhm: FloatArray
    fwhm_sd: FloatArray
    log_temperature: float
    flags: tuple[str, ...]


def with_profile(profile: Profile) -> Instrument:
    """Register and return the LETG preset with another line profile, all else the same, under a name of its own."""
    preset = get_instrument(PRESET)
    instrument = replace(
        preset,
        name=f"{PRESET}-{profile.value}",
        channels=tuple(replace(channel, profile=profile) for channel in preset.channels),
    )
    register_instrument(instrument)
    return instrument


def capella(exposures: int, cube: bool) -> list[Spectrum]:
    """Return this many of Capella's observations, evenly spread over the 25, and on request all as one spectrum."""
    observations = read_capella()
    chosen = np.unique(np.linspace(0, len(observations) - 1, exposures).round().astype(int))
    return [*(observations[i] for i in chosen), *([read_capella_cube()] if cube else [])]


def compare(
    spectra: Sequence[Spectrum],
    settings: SamplerSettings | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Comparison]:
    """Fit each spectrum with both profiles, with the same seeds, starts from the scan, and the default prior.

    Parameters
    ----------
    spectra : sequence of Spectrum
        LETG spectra.
    settings : SamplerSettings, optional
    progress : callable, optional
        Called with the number of fits done after every batch.
    """
    fitter = Fitter(settings=settings, batch=max(1, sum(s.exposures == 1 for s in spectra)))
    found = []
    for profile in Profile:
        name = with_profile(profile).name
        for result in fitter.fit([replace(s, instrument=name) for s in spectra], progress=progress):
            found.append(_comparison(fitter, result, profile))
    return sorted(found, key=lambda one: [s.name for s in spectra].index(one.spectrum))


def _comparison(fitter: Fitter, result: FitResult, profile: Profile) -> Comparison:
    model = fitter.model(result.spectrum, result.plasma)
    fwhm, error = jax.vmap(lambda z: (lambda state: (state.response.fwhm, state.model_error))(model.state(z)))(
        result.unknowns.astype(np.float32)
    )
    d = result.diagnostics
    return Comparison(
        spectrum=result.spectrum.name,
        profile=profile,
        log_evidence=d.log_evidence,
        log_evidence_error=d.log_evidence_error,
        statistic=d.statistic,
        expected_statistic=d.expected_statistic,
        model_error=float(np.median(error)),
        fwhm=np.median(fwhm, axis=0),
        fwhm_sd=np.std(fwhm, axis=0),
        log_temperature=result["log_temperature"].median,
        flags=tuple(flag.value for flag in result.flags if flag.value != "no_network"),
    )


def table(found: Sequence[Comparison]) -> str:
    """Markdown table, two rows for each spectrum."""
    lines = [
        "| Capella, ObsID | profile | ln evidence | C-stat (expected) | model error, % "
        "| FWHM negative order, mÅ | FWHM positive order, mÅ | log T | flags |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        widths = [f"{1e3 * w:.1f} ± {1e3 * s:.1f}" for w, s in zip(one.fwhm, one.fwhm_sd, strict=True)]
        lines.append(
            f"| {one.spectrum} | {one.profile.value} | {one.log_evidence:.1f} ± {one.log_evidence_error:.1f} "
            f"| {one.statistic:.0f} ({one.expected_statistic:.0f}) | {100 * one.model_error:.1f} "
            f"| {widths[0]} | {widths[1]} | {one.log_temperature:.3f} | {', '.join(one.flags) or 'none'} |"
        )
    return "\n".join(lines)


def verdict(found: Sequence[Comparison]) -> str:
    """One sentence for each spectrum: which profile the evidence prefers, and whether the evidence can be believed."""
    sentences = []
    for name in dict.fromkeys(one.spectrum for one in found):
        own = {one.profile: one for one in found if one.spectrum == name}
        beta, gaussian = own[Profile.BETA], own[Profile.GAUSSIAN]
        gain = beta.log_evidence - gaussian.log_evidence
        error = float(np.hypot(beta.log_evidence_error, gaussian.log_evidence_error))
        sentence = (
            f"* {name}: ln evidence of the beta profile over the Gaussian {gain:+.1f} ± {error:.1f}, "
            f"C-stat {beta.statistic - gaussian.statistic:+.0f}"
        )
        if any("evidence_unreliable" in one.flags for one in own.values()):
            sentence += " (an evidence is flagged unreliable: its error is a lower bound)"
        sentences.append(f"{sentence}.")
    return "\n".join(sentences)


def document(found: Sequence[Comparison], command: str) -> str:
    """The page docs/tables/line-profile.md."""
    return f"""# The line profile of LETG/HRC-S

Capella fitted twice, with a Gaussian line-spread function and with the beta profile (1 + (x / w)²)^-2.5 that
`{PRESET}` ships with; all else is the same: isothermal plasma, default prior, widths and shifts free, chains started
from a scan of the likelihood. The C-stat is that of source and background counts under their noise alone; the evidence
lets the model err as much as it infers.

{table(found)}

{verdict(found)}

{made_by()} Command: `{command}`.
"""


def write(
    output: Path, exposures: int, cube: bool, command: str, progress: Callable[[int], None] | None = None
) -> list[Comparison]:
    """Compare the profiles and write the page."""
    found = compare(capella(exposures, cube), progress=progress)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(document(found, command), encoding="utf-8")
    return found
