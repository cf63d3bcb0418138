"""A spectrum as JSON: the fields of `coronium.v1.Spectrum`, and the message it stands for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import InitErrorDetails, from_json

from coronium.contract.limits import MAX_ANNOTATIONS, MAX_CHANNELS, MAX_EXPOSURES
from coronium.contract.plasma import plasma_number
from coronium.v1 import spectrum_pb2

# Single precision holds no larger number.
_Number = Annotated[float, Field(ge=-3.4028234e38, le=3.4028234e38)]

_Numbers = Annotated[list[_Number], Field(fail_fast=True)]
"""An array, of which the first fault is enough: it may hold millions."""

_STATISTICS = {
    "poisson": spectrum_pb2.STATISTIC_POISSON,
    "counts_with_read_noise": spectrum_pb2.STATISTIC_COUNTS_WITH_READ_NOISE,
    "flux": spectrum_pb2.STATISTIC_FLUX,
}
_SOURCES = {"resolved": spectrum_pb2.SOURCE_KIND_RESOLVED, "star": spectrum_pb2.SOURCE_KIND_STAR}


def as_utc(instant: datetime) -> datetime:
    """Return an instant in UTC; one without a zone is taken to be in UTC.

    Raises
    ------
    ValueError
        It has no date in UTC: the calendar ends with the years 1 and 9999.
    """
    try:
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is outside of the years 1 to 9999 in UTC") from None


Instant = Annotated[datetime, AfterValidator(as_utc)]
"""A time as people send it: without a zone, UTC."""


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ExposureInput(_Input):
    """One exposure of an epoch."""

    seconds: float = Field(gt=0)
    start: Instant | None = Field(default=None, description="Without a zone: UTC.")
    name: str = ""


class ChannelInput(_Input):
    """One order, arm or window: E exposures of N bins, arrays row by row [exposure, wavelength]."""

    name: str
    wavelength_edges: _Numbers = Field(min_length=2, description="N + 1 increasing bin edges in Angstrom.")
    statistic: Literal["poisson", "counts_with_read_noise", "flux"]
    counts: _Numbers = Field(description="E * N counts, or calibrated values.")
    area_exposure: _Numbers = Field(description="E * N: effective area x exposure time (x solid angle), cm2 s (sr).")
    mask: list[bool] = Field(
        default_factory=list, fail_fast=True, description="E * N: may the bin be used? Empty: all may."
    )
    background: _Numbers = Field(default_factory=list, description="E * N counts of the background region.")
    background_scale: _Numbers = Field(default_factory=list, description="E values: background area over source area.")
    read_variance: _Numbers = Field(
        default_factory=list, description="E * N variances of the detector noise, counts^2."
    )
    line_width: float = Field(default=0.0, ge=0, description="Nominal FWHM of the lines, Angstrom; 0: the preset's.")


class SpectrumInput(_Input):
    """One epoch of one target: exposures that share temperature and density."""

    target: str = Field(examples=["capella", "sun/ar12807/x012y007"])
    instrument: str = Field(examples=["hinode-eis", "chandra-letg", "chandra-meg", "euve"])
    source: Literal["resolved", "star"]
    exposures: list[ExposureInput] = Field(min_length=1, max_length=MAX_EXPOSURES, fail_fast=True)
    channels: list[ChannelInput] = Field(min_length=1, max_length=MAX_CHANNELS, fail_fast=True)
    distance_pc: float = Field(default=0.0, ge=0, description="Parsec; 0: unknown.")
    name: str = Field(default="", description="Your own name of the spectrum.")
    annotations: dict[str, str] = Field(default_factory=dict, max_length=MAX_ANNOTATIONS)
    plasma_model: Literal["isothermal", "gaussian-dem"] = Field(
        default="isothermal", description="The temperature structure to fit."
    )


def definitions(template: str) -> dict[str, Any]:
    """Return the JSON schemas of `SpectrumInput` and its parts by name; they refer to each other by the template."""
    schema = SpectrumInput.model_json_schema(ref_template=template)
    return {**schema.pop("$defs"), SpectrumInput.__name__: schema}


def spectrum_message(body: bytes) -> spectrum_pb2.Spectrum:
    """Return the message that a spectrum in JSON stands for; what it means is ingestion's to check.

    Raises
    ------
    ValidationError
        It is no JSON, or not of this shape.
    """
    given = _read(body)
    message = spectrum_pb2.Spectrum(
        target=given.target,
        instrument=given.instrument,
        source=_SOURCES[given.source],
        distance_pc=given.distance_pc,
        name=given.name,
        annotations=given.annotations,
        plasma_model=plasma_number(given.plasma_model),
    )
    for exposure in given.exposures:
        added = message.exposures.add(name=exposure.name, seconds=exposure.seconds)
        if exposure.start is not None:
            added.start.FromDatetime(exposure.start)
    for channel in given.channels:
        message.channels.append(
            spectrum_pb2.Channel(
                **channel.model_dump(exclude={"statistic", "mask"}),
                statistic=_STATISTICS[channel.statistic],
                mask=bytes(channel.mask),
            )
        )
    return message


def _read(body: bytes) -> SpectrumInput:
    # In two steps: `model_validate_json` takes five times the memory for a long array.
    try:
        given = from_json(body)
    except ValueError as error:
        fault = InitErrorDetails(type="json_invalid", ctx={"error": str(error)}, input=None)
        raise ValidationError.from_exception_data(SpectrumInput.__name__, [fault]) from None
    return SpectrumInput.model_validate(given)
