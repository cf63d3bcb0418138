"""How large a message may be, everywhere, derived from one number.

A spectrum of the largest size must pass every hop: as a record value (with the features beside it), as the
payload of a dead letter, through producers, consumers and gRPC. Kafka refuses 1 MiB by default, faust's
producer 1 000 000 bytes and gRPC 4 MiB, so each of them is told.
"""

MEBIBYTE = 1024 * 1024

MAX_SPECTRUM_BYTES = 8 * MEBIBYTE
"""Largest serialised spectrum a user may publish."""

MAX_RECORD_BYTES = MAX_SPECTRUM_BYTES * 3 // 2
"""Largest record of a topic: a spectrum and what the network made of it (12 MiB)."""

MAX_DEAD_LETTER_BYTES = MAX_SPECTRUM_BYTES * 2
"""Largest dead letter: the original record of at most `MAX_RECORD_BYTES` and its story (16 MiB)."""

MAX_GRPC_BYTES = MAX_DEAD_LETTER_BYTES
"""Largest gRPC message in either direction: a dead letter must be listable."""

MAX_PRODUCE_BYTES = MAX_DEAD_LETTER_BYTES + MEBIBYTE
"""Largest produce request: a dead letter and the overhead of its record batch."""

MAX_FETCH_BYTES = MAX_PRODUCE_BYTES
"""Most bytes fetched from one partition at once: at least one record of any size fits."""

MAX_POSTERIOR_BYTES = 64 * 1024
"""Largest serialised posterior."""

MAX_POSTERIOR_DRAWS = 512
"""Most thinned draws a posterior carries."""

GRPC_CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", MAX_GRPC_BYTES),
    ("grpc.max_receive_message_length", MAX_GRPC_BYTES),
)
"""Options for every gRPC server and channel of the project."""
