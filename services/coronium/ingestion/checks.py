"""What ingestion takes: bytes that are a spectrum, and a spectrum of which a fit can be made."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from coronium.contract.conversion import InvalidSpectrum
from coronium.contract.limits import MAX_SPECTRUM_BYTES
from coronium.contract.spectrum_checks import UnknownInstrument, check_spectrum
from coronium.contract.wire import TooManyParts, read_message
from coronium.physics.spectrum import Spectrum
from coronium.runtime.stage import Rejected
from coronium.v1 import dead_letter_pb2, spectrum_pb2


def parse(value: bytes) -> spectrum_pb2.Spectrum:
    """Read the bytes of a record.

    Raises
    ------
    Rejected
        `TOO_LARGE` or `MALFORMED`.
    """
    if len(value) > MAX_SPECTRUM_BYTES:
        raise Rejected(
            dead_letter_pb2.DEAD_LETTER_REASON_TOO_LARGE,
            f"The spectrum has {len(value)} bytes, the limit is {MAX_SPECTRUM_BYTES}: "
            "publish fewer exposures or channels per spectrum, or rebin.",
        )
    try:
        return read_message(spectrum_pb2.Spectrum, value)
    except TooManyParts as problem:
        raise Rejected(
            dead_letter_pb2.DEAD_LETTER_REASON_TOO_LARGE, f"The spectrum cannot be read: {problem}."
        ) from None
    except DecodeError:
        raise Rejected(
            dead_letter_pb2.DEAD_LETTER_REASON_MALFORMED,
            f"The {len(value)} bytes are not a coronium.v1.Spectrum message: serialise one with protobuf.",
        ) from None


def check(message: spectrum_pb2.Spectrum) -> Spectrum:
    """Check a published spectrum; see `coronium.contract.spectrum_checks.check_spectrum`.

    Raises
    ------
    Rejected
        `INVALID` or `UNKNOWN_INSTRUMENT`.
    """
    try:
        return check_spectrum(message)
    except UnknownInstrument as problem:
        raise Rejected(dead_letter_pb2.DEAD_LETTER_REASON_UNKNOWN_INSTRUMENT, str(problem)) from None
    except InvalidSpectrum as problem:
        raise Rejected(dead_letter_pb2.DEAD_LETTER_REASON_INVALID, str(problem)) from None
