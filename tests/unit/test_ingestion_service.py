"""`IngestionService` over gRPC: the same checks as the stage, and sentences for those who fail them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import grpc
import pytest

from coronium.contract.headers import Headers
from coronium.contract.identity import fingerprint
from coronium.contract.limits import GRPC_CHANNEL_OPTIONS, MAX_SPECTRUM_BYTES
from coronium.contract.topics import SPECTRA
from coronium.ingestion.duplicates import RecentFingerprints
from coronium.ingestion.service import IngestionService
from coronium.runtime.stage import Outgoing, Transient
from coronium.v1 import ingestion_pb2, ingestion_pb2_grpc
from tests.unit.spectra import good_spectrum, spectrum_of_size


class Spectra:
    """The spectra topic of these tests: keeps what it acknowledged, and may be away."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []
        self.away = False

    async def produce(self, records: Sequence[Outgoing], headers: Headers) -> None:
        assert headers.trace_id
        if self.away:
            raise Transient("the broker does not answer")
        self.records.extend(records)


@pytest.fixture
def topic() -> Spectra:
    return Spectra()


@pytest.fixture
def recent() -> RecentFingerprints:
    return RecentFingerprints(10)


@pytest.fixture
async def stub(topic, recent) -> AsyncIterator[ingestion_pb2_grpc.IngestionServiceStub]:
    server = grpc.aio.server(options=GRPC_CHANNEL_OPTIONS)
    service = IngestionService(topic.produce, recent)
    ingestion_pb2_grpc.add_IngestionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=GRPC_CHANNEL_OPTIONS) as channel:
        yield ingestion_pb2_grpc.IngestionServiceStub(channel)
    await server.stop(0)


def _bad():
    message = good_spectrum()
    message.channels[0].counts.append(1.0)
    return message


async def test_a_good_spectrum_is_published_unchanged_under_its_target(stub, topic):
    message = good_spectrum()
    message.ClearField("source")
    response = await stub.Submit(ingestion_pb2.SubmitRequest(spectrum=message), timeout=5)
    assert [(record.topic, record.key) for record in topic.records] == [(SPECTRA, b"sun/ar12807/x012y007")]
    assert topic.records[0].value == message.SerializeToString()
    assert response.fingerprint == fingerprint(good_spectrum())
    assert not response.duplicate


async def test_a_duplicate_is_accepted_and_called_one(stub, topic, recent):
    recent.add(fingerprint(good_spectrum()))
    response = await stub.Submit(ingestion_pb2.SubmitRequest(spectrum=good_spectrum()), timeout=5)
    assert response.duplicate
    assert len(topic.records) == 1


async def test_a_bad_spectrum_is_refused_with_its_sentence_and_not_published(stub, topic):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Submit(ingestion_pb2.SubmitRequest(spectrum=_bad()), timeout=5)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "counts has 5 values, expected 4" in refused.value.details()
    assert topic.records == []


async def test_the_largest_spectrum_passes_and_one_byte_more_does_not(stub, topic):
    await stub.Submit(ingestion_pb2.SubmitRequest(spectrum=spectrum_of_size(MAX_SPECTRUM_BYTES)), timeout=20)
    assert len(topic.records[0].value) == MAX_SPECTRUM_BYTES
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Submit(ingestion_pb2.SubmitRequest(spectrum=spectrum_of_size(MAX_SPECTRUM_BYTES + 1)), timeout=20)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "the limit is 8388608" in refused.value.details()


async def test_a_stream_goes_on_after_a_bad_spectrum_and_says_which_it_was(stub, topic):
    spectra = [good_spectrum("one"), _bad(), good_spectrum("two")]
    requests = (ingestion_pb2.SubmitStreamRequest(spectrum=spectrum) for spectrum in spectra)
    response = await stub.SubmitStream(requests, timeout=5)
    assert list(response.fingerprints) == [fingerprint(spectra[0]), fingerprint(spectra[2])]
    assert [rejection.index for rejection in response.rejections] == [1]
    assert "counts has 5 values" in response.rejections[0].reason
    assert [record.key for record in topic.records] == [b"one", b"two"]


async def test_without_a_broker_the_caller_is_told_to_come_back(stub, topic):
    topic.away = True
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Submit(ingestion_pb2.SubmitRequest(spectrum=good_spectrum()), timeout=5)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert refused.value.details() == "the broker does not answer"
