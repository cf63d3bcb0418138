"""Write golden messages: `python -m tests.golden.make`. What is there stays: golden is what yesterday wrote.

Each message is there twice, as bytes and as what they say (JSON), so that a reader can be held against both.
"""

from __future__ import annotations

import sys
from pathlib import Path

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from coronium.v1 import control_pb2, ingestion_pb2, results_pb2
from tests.fuzz import seeds

FOLDER = Path(__file__).parent


def golden() -> dict[str, Message]:
    """Return one message of every kind that travels, by file name."""
    kinds = seeds.messages()
    chosen = {
        "spectrum-pixel": kinds["spectrum"][0],
        "spectrum-star": kinds["spectrum"][1],
        "observation": kinds["observation"][1],
        "features": kinds["features"][1],
        "posterior": kinds["posterior"][0],
        "dead-letter": kinds["dead_letter"][0],
        "epoch-record": kinds["epoch"][0],
        "desired-state": kinds["desired"][0],
        "replica-state": kinds["replica"][0],
    }
    spectrum, posterior, observation = chosen["spectrum-pixel"], chosen["posterior"], chosen["observation"]
    wanted = results_pb2.ResultFilter(target="sun/*", log_density_min=8.0, log_density_max=9.5, include_superseded=True)
    wanted.observed_from.seconds = 1_600_000_000
    return {
        **chosen,
        "submit-request": ingestion_pb2.SubmitRequest(spectrum=spectrum),
        "submit-response": ingestion_pb2.SubmitResponse(fingerprint="0f" * 32, duplicate=True),
        "submit-stream-response": ingestion_pb2.SubmitStreamResponse(
            fingerprints=["0f" * 32], rejections=[ingestion_pb2.Rejection(index=1, reason="No counts.")]
        ),
        "list-request": results_pb2.ListRequest(filter=wanted, page_size=7, page_token="abc"),
        "list-response": results_pb2.ListResponse(posteriors=[posterior], next_page_token="abc", total=12),
        "get-response": results_pb2.GetResponse(posterior=posterior, observation=observation, superseded_by="1" * 32),
        "status-response": control_pb2.StatusResponse(
            desired=chosen["desired-state"], replicas=[chosen["replica-state"]], messages_in=5, replica="a"
        ),
    }


def main() -> int:
    """Write what is missing and say so."""
    for name, message in golden().items():
        bytes_file, words_file = FOLDER / f"{name}.binpb", FOLDER / f"{name}.json"
        if bytes_file.exists():
            continue
        bytes_file.write_bytes(message.SerializeToString(deterministic=True))
        words_file.write_text(
            MessageToJson(message, preserving_proto_field_name=True, sort_keys=True) + "\n", encoding="utf-8"
        )
        print(f"{name}: {bytes_file.stat().st_size} bytes of {message.DESCRIPTOR.full_name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
