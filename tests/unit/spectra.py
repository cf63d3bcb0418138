"""A small spectrum that every check accepts."""

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
