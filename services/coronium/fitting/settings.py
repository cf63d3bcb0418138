"""What fitting can be told."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from coronium.contract.limits import MAX_EXPOSURES
from coronium.contract.plasma import plasma_number
from coronium.runtime.settings import ServiceSettings

LEAST_DRAWS = 200
"""Twice as many as must be effective."""


class FittingSettings(ServiceSettings):
    """Settings of the fitting service."""

    service: ClassVar[str] = "fitting"

    emissivity_table: str = Field("", description="Emissivity table; empty: the one shipped with the package.")
    max_rung: Literal["network", "mode", "nuts"] = Field(
        "nuts",
        description="How far up the ladder to go. 'mode' and 'network' mark every result as triage; 'network' fits "
        "nothing and passes on what the network says, for a flood.",
    )
    chains: int = Field(4, ge=2, le=16, description="NUTS chains per spectrum.")
    most_rounds: int = Field(
        6, ge=2, le=40, description="Rounds of chains that do not agree; those that do stop after two or more."
    )
    warmup: int = Field(10, ge=5, le=19, description="Steps of each round that adapt the step size.")
    draws: int = Field(50, ge=25, description="Draws of each chain in a round.")
    deepest_tree: int = Field(4, ge=2, le=10, description="A NUTS step takes at most 2^this - 1 leapfrogs.")
    batch_size: int = Field(8, ge=1, le=512, description="Spectra taken at once: their results are published together.")
    width: int = Field(
        4, ge=1, le=512, description="Spectra sampled side by side: at least one for each device, many for a GPU."
    )
    batch_seconds: float = Field(0.5, gt=0, description="Longest wait for a batch to fill.")
    devices: int = Field(
        0, ge=0, description="CPU devices that share a batch; 0: one per core. GPUs are used as they are found."
    )
    compilation_cache: Path | None = Field(
        None, description="Folder that keeps compiled programs between starts; none: compiled at each start."
    )
    warm_instruments: str = Field(
        "",
        description="Instruments whose programs are compiled before the first spectrum, separated by commas: "
        "`hinode-eis` for isothermal plasma, `hinode-eis:gaussian-dem` for a distribution of temperatures, "
        "`chandra-letg:gaussian-dem:25` for a cube of 25 exposures.",
    )

    @model_validator(mode="after")
    def _check_draws(self) -> Self:
        rounds = self.most_rounds - max(1, self.most_rounds // 2)
        if self.chains * self.draws * rounds < LEAST_DRAWS:
            raise ValueError(
                f"{self.chains} chains of {self.draws} draws in {rounds} kept rounds are too few to see whether they "
                f"agree: chains x draws x (most_rounds / 2) must be at least {LEAST_DRAWS}"
            )
        return self

    @field_validator("warm_instruments")
    @classmethod
    def _check_warm_instruments(cls, value: str) -> str:
        warm_kinds(value)
        return value


def warm_kinds(value: str) -> list[tuple[str, str, int]]:
    """Return (instrument, plasma model, exposures) for each entry of `warm_instruments`, in order.

    Raises
    ------
    ValueError
        An instrument, a plasma model or a number of exposures is not one.
    """
    kinds = []
    for entry in (e.strip() for e in value.split(",") if e.strip()):
        # Not at the top: settings are also read where no science is installed.
        from coronium.physics.instruments.registry import get_instrument

        parts = entry.split(":")
        name, plasma, exposures, *more = parts + ["isothermal", "1"][len(parts) - 1 :]
        if more or not (exposures.isascii() and exposures.isdecimal()) or not 1 <= int(exposures) <= MAX_EXPOSURES:
            raise ValueError(f"{entry!r} is not instrument[:plasma[:exposures]], with 1 to {MAX_EXPOSURES} exposures")
        try:
            get_instrument(name)
            plasma_number(plasma)
        except LookupError as unknown:
            raise ValueError(str(unknown)) from None
        kinds.append((name, plasma, int(exposures)))
    return kinds
