"""The words for a plasma model: what a person writes and reads where a message holds a number."""

from __future__ import annotations

from collections.abc import Mapping

from coronium.v1 import spectrum_pb2

PLASMA_MODELS: Mapping[str, spectrum_pb2.PlasmaModel] = {
    "isothermal": spectrum_pb2.PLASMA_MODEL_ISOTHERMAL,
    "gaussian-dem": spectrum_pb2.PLASMA_MODEL_GAUSSIAN_DEM,
}
"""Number by word; the words are those of `coronium.fit.Plasma`."""

_WORDS = {number: word for word, number in PLASMA_MODELS.items()}


def plasma_number(word: str) -> spectrum_pb2.PlasmaModel:
    """Return the plasma model of that name.

    Raises
    ------
    ValueError
        There is none; the message is one sentence that lists those there are.
    """
    try:
        return PLASMA_MODELS[word]
    except KeyError:
        raise ValueError(f"there is no plasma model {word!r}; use {' or '.join(PLASMA_MODELS)}") from None


def plasma_word(number: int) -> str:
    """Return the name of a plasma model; `unspecified` for none, digits for one of a later version."""
    return _WORDS.get(number, str(number) if number else "unspecified")  # type: ignore[call-overload]
