"""The real spectra of the demonstration: an active region on the Sun and a star over twenty years."""

from __future__ import annotations

from coronium.physics.spectrum import Spectrum

SOLAR_TARGET = "sun/"


def demo_spectra() -> list[Spectrum]:
    """Return the macropixels of the EIS raster inside eispac, Capella's 25 exposures, and their cube."""
    from coronium.physics.readers.capella import read_capella, read_capella_cube
    from coronium.physics.readers.eis import read_raster

    return [*read_raster(), *read_capella(), read_capella_cube()]
