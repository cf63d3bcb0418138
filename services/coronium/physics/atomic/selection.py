"""Choose the lines that are kept one by one; the rest become a binned pseudo-continuum."""

from __future__ import annotations

import numpy as np

from coronium.physics.spectrum import FloatArray

INSTRUMENT_BANDS = {
    "chandra-letg": (11.0, 23.0),
    "chandra-meg": (1.5, 30.0),
    "euve-short": (70.0, 190.0),
    "euve-medium": (140.0, 380.0),
    "euve-long": (280.0, 400.0),
    "hinode-eis-short": (165.0, 215.0),
    "hinode-eis-long": (245.0, 295.0),
}
"""Angstrom; in each of these the kept lines must carry `KEPT_SHARE` of the line photons at every node."""
KEPT_SHARE = 0.9905
"""A little above the promised 99 %, so that rounding and the finer table nodes do not fall below it."""
CANDIDATE_SHARE = 1e-6
"""A line that never reaches this share of its band is not worth sorting."""
PSEUDO_BIN_WIDTH = 0.5
"""Angstrom."""


def blend_width(wavelength: FloatArray) -> FloatArray:
    """Return the cell [A] in which weak lines of one ion count as one feature.

    At most half the narrowest line that an instrument shows there: 0.023 A (MEG) below 30 A, 0.06 A (EIS) in
    its two arms, 0.5 A (EUVE) elsewhere. Cells divide the bins of the pseudo-continuum evenly.
    """
    eis = ((wavelength >= 165.0) & (wavelength < 215.0)) | ((wavelength >= 245.0) & (wavelength < 295.0))
    return np.where(wavelength < 30.0, 0.01, np.where(eis, 0.025, 0.25))


def choose_lines(share: FloatArray, kept_share: float = KEPT_SHARE) -> np.ndarray:
    """Return a small set of lines that carries `kept_share` of the flux at every node.

    Parameters
    ----------
    share : (K, Q) array
        Share of each candidate line in its band's line photons at each of Q nodes.

    Returns
    -------
    (K,) bool array

    Notes
    -----
    Greedy: the node that misses most takes its strongest missing lines, until none misses anything. Every
    line above 0.3 % somewhere is in from the start, because most nodes will ask for it.
    """
    kept = share.max(axis=1) > 0.003
    carried = share[kept].sum(axis=0)
    while True:
        node = int(np.argmin(carried))
        missing = kept_share - carried[node]
        if missing <= 0:
            return kept
        rest = np.flatnonzero(~kept)
        order = rest[np.argsort(share[rest, node])[::-1]]
        cumulative = np.cumsum(share[order, node])
        if not len(order) or cumulative[-1] < missing:
            raise ValueError(
                f"The candidate lines carry only {carried[node] + share[rest, node].sum():.4f} of the flux."
            )
        added = order[: int(np.searchsorted(cumulative, missing)) + 1]
        kept[added] = True
        carried += share[added].sum(axis=0)


def fold_minor_elements(
    emissivity: dict[tuple[int, int], FloatArray],
    abundance: dict[int, float],
    bin_totals: FloatArray,
    least: float,
) -> dict[tuple[int, int], FloatArray]:
    """Merge the unimportant elements of each pseudo-continuum bin into its most important one.

    Parameters
    ----------
    emissivity : dict of (bin, element) to (T, N) array
        Summed emissivity of the lines not kept, at unit abundance.
    abundance : dict
        The abundances at which the bin's flux is conserved exactly.
    bin_totals : (M, T, N) array
        All line photons of each bin at these abundances.
    least : float
        An element that carries less than this share of its bin at every node is merged.
    """
    merged: dict[tuple[int, int], FloatArray] = {}
    for number in sorted({number for number, _ in emissivity}):
        entries = {element: value for (b, element), value in emissivity.items() if b == number}
        with np.errstate(divide="ignore", invalid="ignore"):
            share = {
                element: float(np.nan_to_num(abundance[element] * value / bin_totals[number]).max())
                for element, value in entries.items()
            }
        main = max(share, key=lambda element: share[element])
        for element, value in entries.items():
            home = element if share[element] >= least else main
            scaled = value * (abundance[element] / abundance[home])
            merged[number, home] = merged.get((number, home), 0.0) + scaled
    return merged
