"""Nothing is lost and nothing is committed too early, whatever ends a stage."""

from collections.abc import Callable

from coronium.contract.topics import OBSERVATIONS, SPECTRA, StageName
from tests.stream.broker import Stream
from tests.stream.service import Service, eventually


def squares(stream: Stream) -> set[int]:
    return {int(value) for _, value in stream.read(OBSERVATIONS) if value is not None}


def test_records_go_through_and_their_offsets_are_committed(
    stream: Stream, start_service: Callable[..., Service]
) -> None:
    stream.publish(SPECTRA, [(str(n).encode(), str(n).encode()) for n in range(20)])
    service = start_service()
    eventually(lambda: squares(stream) == {n * n for n in range(20)}, 20, "all squares")
    eventually(lambda: sum(stream.committed(StageName.EXTRACTION, SPECTRA).values()) == 20, 5, "the commit")
    assert service.terminate() == 0
