"""Spectra that every check accepts."""

import numpy as np

from coronium.v1 import spectrum_pb2


def good_spectrum(target: str = "sun/ar12807/x012y007", name: str = "pixel") -> spectrum_pb2.Spectrum:
    """Return one exposure of four bins around Fe XII 186.9, as Hinode/EIS would see it."""
    message = spectrum_pb2.Spectrum(
        target=target,
        instrument="hinode-eis",
        source=spectrum_pb2.SOURCE_KIND_RESOLVED,
        name=name,
        annotations={"observer": "nobody"},
    )
    message.exposures.add(name="first", seconds=10.0).start.seconds = 1_615_012_000
    message.channels.add(
        name="fe-12-187",
        wavelength_edges=[186.82, 186.84, 186.86, 186.88, 186.90],
        statistic=spectrum_pb2.STATISTIC_COUNTS_WITH_READ_NOISE,
        counts=[3.5, 80.25, 120.0, 40.0],
        area_exposure=[1e-10, 1.1e-10, 1.2e-10, 1.3e-10],
        read_variance=[4.0, 4.0, 4.0, 4.0],
    )
    return message


def spectrum_of_size(size: int, target: str = "sun/large") -> spectrum_pb2.Spectrum:
    """Return a spectrum that every check accepts (but the one for size) and that serialises to `size` bytes."""
    message = good_spectrum(target)
    exposures = 23
    for number in range(1, exposures):
        message.exposures.add(seconds=10.0).start.seconds = 1_615_012_000 + number
    channel = message.channels[0]
    bins = (size - 3000) // (12 * exposures + 8)
    channel.wavelength_edges[:] = np.linspace(186.0, 188.0, bins + 1)
    for field in ("counts", "area_exposure", "read_variance"):
        getattr(channel, field)[:] = [1.0] * (bins * exposures)
    message.annotations["padding"] = "x" * 200
    message.annotations["padding"] += "x" * (size - message.ByteSize())
    # Lengths are written in as many bytes as they need.
    message.annotations["padding"] = message.annotations["padding"][: size - message.ByteSize() or None]
    if message.ByteSize() != size:
        raise AssertionError(f"{message.ByteSize()} bytes, not {size}")
    return message
