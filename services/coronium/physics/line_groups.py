"""Lines as an observer sees them: those closer than half the line width are one group with one label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import erf

from coronium.physics.instruments.instrument import Profile
from coronium.physics.line_profile import BETA_FWHM, GAUSSIAN_FWHM
from coronium.physics.observation_model import ObservationModel
from coronium.physics.spectrum import FloatArray

LEAST_SHARE = 0.01
"""A group that never carries this share of its channel's line photons is not looked for."""
MOST_GROUPS = 64


@dataclass(frozen=True, eq=False)
class LineGroups:
    """G groups of blended lines on the grid of a model.

    Attributes
    ----------
    label : tuple of str
        Of the strongest member; "+" stands behind the label of a group with a second strong member.
    wavelength : (G,) Angstrom, of the strongest member
    theoretical : (G,) bool
    membership : (G, L) float32
        1 where a line belongs to a group.
    profile : (G, K, B) float32
        Share of the group's photons in each bin, nominal line-spread function.
    window : (G, K, B) bool
        Bins within one full width of the centre.
    """

    label: tuple[str, ...]
    wavelength: FloatArray
    theoretical: np.ndarray
    membership: np.ndarray
    profile: np.ndarray
    window: np.ndarray

    @property
    def blended(self) -> list[bool]:
        """Whether a group has a second strong member, (G,)."""
        return [label.endswith("+") for label in self.label]

    def signal_to_noise(self, photons: FloatArray, area: FloatArray, variance: FloatArray) -> FloatArray:
        """S/N of each group within its window, all channels together, (..., G).

        Parameters
        ----------
        photons : (..., L)
        area, variance : (K, B)
            Area x exposure, and the variance of all counts (source, background, read-out).
        """
        seen = np.einsum("gkb,kb->g", self.profile * self.window, area)
        noise = np.sqrt(np.maximum(np.einsum("gkb,kb->g", self.window, variance), 1e-12))
        return (photons @ self.membership.T) * (seen / noise)


def gather_groups(wavelength: FloatArray, share: FloatArray, fwhm: float) -> np.ndarray:
    """Give every line the group of the strongest line within half the width: (L,) int, strongest group first.

    Starting from the strongest, so that a forest of weak lines does not link two lines that can be told apart.

    Parameters
    ----------
    wavelength, share : (L,)
    fwhm : float
    """
    group = np.full(len(wavelength), -1)
    count = 0
    for line in np.argsort(-share):
        if group[line] >= 0:
            continue
        near = (np.abs(wavelength - wavelength[line]) < 0.5 * fwhm) & (group < 0)
        group[near] = count
        count += 1
    return group


def line_groups(model: ObservationModel) -> LineGroups:
    """Group the lines of a model and keep the groups that can be seen."""
    catalogue, layout = model.catalogue, model.layout
    fwhm = max(c.fwhm for c in model.instrument.channels)
    share = catalogue.share
    group = gather_groups(catalogue.wavelength, share, fwhm)
    best = np.zeros(group.max() + 1)
    np.maximum.at(best, group, share)
    kept = np.flatnonzero(best > LEAST_SHARE)
    kept = np.sort(kept[np.argsort(-best[kept])][:MOST_GROUPS])
    kept = kept[np.argsort([catalogue.wavelength[group == g][np.argmax(share[group == g])] for g in kept])]

    labels, wavelengths, theoretical = [], [], []
    membership = np.zeros((len(kept), len(group)), np.float32)
    profile = np.zeros((len(kept), layout.blocks, layout.bins), np.float32)
    window = np.zeros(profile.shape, bool)
    for g, number in enumerate(kept):
        members = np.flatnonzero(group == number)
        strongest = members[np.argmax(share[members])]
        membership[g, members] = 1.0
        centre = float(catalogue.wavelength[strongest])
        blended = np.sum(share[members] > 0.1 * share[strongest]) > 1
        labels.append(str(catalogue.label[strongest]) + ("+" if blended else ""))
        wavelengths.append(centre)
        theoretical.append(bool(catalogue.theoretical[strongest]))
        for k, (c, first) in enumerate(zip(layout.block_channel, layout.first_bin, strict=True)):
            edges = model.edges[c][first : first + layout.bins + 1]
            width = model.instrument.channels[c].fwhm
            profile[g, k, : len(edges) - 1] = line_share(edges, centre, width, layout.profile)
            middle = 0.5 * (edges[1:] + edges[:-1])
            window[g, k, : len(middle)] = np.abs(middle - centre) < width
    return LineGroups(tuple(labels), np.array(wavelengths), np.array(theoretical), membership, profile, window)


def line_share(edges: FloatArray, centre: FloatArray | float, fwhm: FloatArray | float, profile: Profile) -> FloatArray:
    """Share of a line's photons in each bin, (..., N): what `forward.spread` lays, for one line.

    Parameters
    ----------
    edges : (N + 1,) Angstrom
    centre, fwhm : (...,) Angstrom
    profile : Profile
    """
    x = (edges - np.asarray(centre)[..., None]) / np.asarray(fwhm)[..., None]
    if profile is Profile.BETA:
        u = BETA_FWHM * x
        return np.diff(0.25 * u * (2.0 * u**2 + 3.0) / (1.0 + u**2) ** 1.5, axis=-1)
    return np.diff(0.5 * erf(x * GAUSSIAN_FWHM / np.sqrt(2.0)), axis=-1)
