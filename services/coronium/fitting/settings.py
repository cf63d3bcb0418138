"""What fitting can be told."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from coronium.contract.plasma import plasma_number
from coronium.runtime.settings import ServiceSettings


class FittingSettings(ServiceSettings):
    """Settings of the fitting service."""

    service: ClassVar[str] = "fitting"

    emissivity_table: str = Field("", description="Emissivity table; empty: the one shipped with the package.")
    max_rung: Literal["mode", "nuts"] = Field(
        "nuts", description="How far up the ladder to go; 'mode' marks every result as triage."
    )
    chains: int = Field(4, ge=2, le=16, description="NUTS chains per spectrum.")
    rounds: int = Field(3, ge=2, le=10, description="Rounds of a chain; each improves the metric of the next.")
    warmup: int = Field(18, ge=5, le=19, description="Steps of each round that adapt the step size.")
    draws: int = Field(100, ge=25, description="Kept draws of each chain.")
    deepest_tree: int = Field(4, ge=2, le=10, description="A NUTS step takes at most 2^this - 1 leapfrogs.")
    batch_size: int = Field(8, ge=1, le=64, description="Spectra fitted at once.")
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
        "`hinode-eis` for isothermal plasma, `hinode-eis:gaussian-dem` for a distribution of temperatures.",
    )

    @field_validator("warm_instruments")
    @classmethod
    def _check_warm_instruments(cls, value: str) -> str:
        pairs = warm_pairs(value)
        if pairs:
            # Not at the top: settings are also read where no science is installed.
            from coronium.physics.instruments.registry import get_instrument

            for instrument, plasma in pairs:
                try:
                    get_instrument(instrument)
                    plasma_number(plasma)
                except LookupError as unknown:
                    raise ValueError(str(unknown)) from None
        return value


def warm_pairs(value: str) -> list[tuple[str, str]]:
    """Return (instrument, plasma model) for each entry of `warm_instruments`, in order; unchecked."""
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    return [(name, plasma if colon else "isothermal") for name, colon, plasma in (e.partition(":") for e in entries)]
