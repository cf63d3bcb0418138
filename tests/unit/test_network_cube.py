"""Spectra on the canonical grid, and what the network reads of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from coronium.network.cube import SLOTS, canonical_grid, rebin, to_cube
from coronium.network.encoding import PLANES, area_of, encode, stack
from coronium.physics.instruments import get_instrument
from coronium.physics.readers.capella import read_capella, read_capella_cube
from coronium.physics.spectrum import Channel, SourceKind, Spectrum, Statistic

CPU = torch.device("cpu")
LETG = canonical_grid(get_instrument("chandra-letg"))
EIS = canonical_grid(get_instrument("hinode-eis"))


def _of(channels, instrument="hinode-eis"):
    return Spectrum(
        target="test",
        instrument=instrument,
        source=SourceKind.RESOLVED,
        channels=tuple(channels),
        exposure_start=np.zeros(channels[0].counts.shape[0]),
        exposure_seconds=np.ones(channels[0].counts.shape[0]),
    )


def _window(name="fe-12-192", edges=None, counts=None, **changes):
    edges = EIS.edges[EIS.channels.index(name)] if edges is None else edges
    shape = (1, len(edges) - 1)
    counts = np.random.default_rng(1).poisson(50, shape).astype(np.float32) if counts is None else counts
    fields = {
        "name": name,
        "wavelength_edges": edges,
        "counts": counts,
        "area_exposure": np.full(counts.shape, 2e-10, np.float32),
        "mask": np.ones(counts.shape, bool),
        "statistic": Statistic.COUNTS_WITH_READ_NOISE,
        "read_variance": np.full(counts.shape, 4.0, np.float32),
    }
    return Channel(**{**fields, **changes})


def test_twenty_five_exposures_share_four_slots_and_no_count_is_lost():
    spectrum = read_capella_cube()
    cube = to_cube(LETG, spectrum)
    assert cube.counts.shape == (SLOTS, *LETG.shape)
    assert cube.counts.sum() == sum(c.counts[c.mask].sum(dtype=float) for c in spectrum.channels)
    area = sum(c.area_exposure[:, 300].sum(dtype=float) for c in spectrum.channels)
    assert cube.area[:, :, 300].sum() == pytest.approx(area, rel=1e-5)


def test_a_single_exposure_fills_one_slot_and_masked_bins_hold_nothing():
    spectrum = read_capella()[0]
    cube = to_cube(LETG, spectrum)
    assert cube.counts.shape[0] == 1
    mask = cube.mask[0, 0] > 0
    assert np.array_equal(mask, spectrum.channels[0].mask[0])
    assert not cube.counts[0, 0][~mask].any()
    assert not cube.area[0, 0][~mask].any()


def test_a_grid_that_is_off_by_a_bin_and_a_half_is_moved_by_whole_bins():
    edges = EIS.edges[EIS.channels.index("fe-12-192")]
    step = edges[1] - edges[0]
    counts = np.arange(1.0, len(edges))[None]
    moved = rebin(edges + 1.4 * step, edges, counts)
    assert moved[0, 0] == 0.0
    assert np.array_equal(moved[0, 1:], counts[0, :-1])
    assert np.array_equal(rebin(edges - 1.4 * step, edges, counts)[0, :-1], counts[0, 1:])


@pytest.mark.parametrize("bins", [8, 50, 131])
def test_other_bins_are_shared_out_and_counts_are_conserved(bins):
    edges = EIS.edges[EIS.channels.index("fe-12-192")]
    own = np.linspace(edges[0], edges[-1], bins + 1)
    counts = np.random.default_rng(2).poisson(20, (3, bins)).astype(float)
    assert rebin(own, edges, counts).sum(axis=1) == pytest.approx(counts.sum(axis=1))


def test_finer_bins_give_the_counts_and_the_area_of_the_canonical_ones():
    edges = EIS.edges[EIS.channels.index("fe-12-192")]
    fine = np.sort(np.concatenate([edges, 0.5 * (edges[1:] + edges[:-1])]))
    cube = to_cube(EIS, _of([_window(edges=fine)]))
    row = EIS.channels.index("fe-12-192")
    used = slice(0, len(edges) - 1)
    assert cube.area[0, row, used] == pytest.approx(2e-10, rel=1e-5)
    assert cube.read_variance[0, row, used] == pytest.approx(8.0, rel=1e-5)
    assert cube.mask[0, row].sum() == len(edges) - 1


def test_channels_not_observed_are_masked_and_unknown_ones_are_left_out():
    unknown = _window(edges=np.linspace(300.0, 301.0, 11), name="he-2-304")
    cube = to_cube(EIS, _of([_window(), unknown]))
    seen = cube.mask.any(axis=(0, 2))
    assert [name for name, here in zip(EIS.channels, seen, strict=True) if here] == ["fe-12-192"]


def test_calibrated_fluxes_become_the_counts_they_were_made_of():
    counts = _window()
    flux = replace(
        counts,
        counts=counts.counts / counts.area_exposure,
        read_variance=counts.read_variance / counts.area_exposure**2,
        statistic=Statistic.FLUX,
    )
    a, b = to_cube(EIS, _of([counts])), to_cube(EIS, _of([flux]))
    assert np.allclose(a.counts, b.counts, rtol=1e-5)
    assert np.allclose(a.read_variance, b.read_variance, rtol=1e-5)


@pytest.mark.parametrize("factor", [1e-2, 1.0, 1e2, 1e4])
def test_brightness_over_six_decades_stays_within_the_range_of_the_network(factor):
    spectrum = read_capella()[0]
    scaled = replace(
        spectrum, channels=tuple(replace(c, counts=np.round(c.counts * factor)) for c in spectrum.channels)
    )
    encoded = encode(stack([to_cube(LETG, scaled)], CPU), area_of(LETG.area, CPU))
    assert torch.isfinite(encoded.planes).all()
    assert encoded.planes.abs().max() < 12
    assert encoded.scalars.abs().max() < 12


def test_the_shape_does_not_depend_on_brightness():
    spectrum = read_capella()[0]

    def shape(factor):
        channels = tuple(
            replace(c, counts=c.counts * factor, background=c.background * factor) for c in spectrum.channels
        )
        cube = to_cube(LETG, replace(spectrum, channels=channels))
        return encode(stack([cube], CPU), area_of(LETG.area, CPU)).planes[0, PLANES.index("shape")]

    assert torch.allclose(shape(1.0), shape(1000.0), atol=0.01)


def test_an_empty_spectrum_gives_finite_numbers():
    window = _window(counts=np.zeros((1, 24), np.float32))
    masked = replace(window, mask=np.zeros((1, 24), bool))
    for channel in (window, masked):
        encoded = encode(stack([to_cube(EIS, _of([channel]))], CPU), area_of(EIS.area, CPU))
        assert torch.isfinite(encoded.planes).all()
        assert torch.isfinite(encoded.scalars).all()
