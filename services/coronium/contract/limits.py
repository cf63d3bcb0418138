"""How large and how many anything may be, everywhere. docs/bad-input.md says what happens to what is more.

A spectrum of the largest size must pass every hop: as a record value (with the features beside it), as the
payload of a dead letter, through producers, consumers and gRPC. Kafka refuses 1 MiB by default, faust's
producer 1 000 000 bytes and gRPC 4 MiB, so each of them is told. Those sizes follow from one number.
"""

MEBIBYTE = 1024 * 1024

# Records and requests, in bytes.

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

MAX_UNPACKED_BYTES = 4 * MAX_DEAD_LETTER_BYTES
"""Most bytes that a compressed batch of records may become; the broker looks at the compressed size alone."""

MAX_KEY_BYTES = 1024
"""Longest key of a record; a target has at most `MAX_NAME` characters."""

MAX_HEADER_BYTES = 16 * 1024
"""Most bytes of a record's headers, names and values together."""

MAX_POSTERIOR_BYTES = 64 * 1024
"""Largest serialised posterior."""

MAX_BODY_BYTES = 6 * MAX_SPECTRUM_BYTES
"""Largest body of a REST request: a number takes up to six times the room in JSON that it takes in protobuf."""

MAX_BODY_VALUES = MAX_SPECTRUM_BYTES // 3
"""Most commas in the body of a REST request: a spectrum needs three bytes a value and more, whatever its arrays are."""

MAX_BODY_PARTS = 10_000
"""Most objects, arrays and quotation marks in the body of a REST request: half of them are enough for the most
exposures, channels and annotations, and Python needs some sixty bytes for what takes two in JSON."""

MAX_PARTS = 10_000
"""Most fields of a message that may hold messages, at all depths: an empty part takes two bytes and becomes 130."""

# What a spectrum may hold.

MAX_EXPOSURES = 256
"""Exposures of a spectrum."""

MAX_CHANNELS = 64
"""Channels of a spectrum."""

MAX_BINS = 32_768
"""Wavelength bins of one channel."""

MAX_FITTED_VALUES = 262_144
"""Exposures times bins of all channels that a fit takes; what is more goes as far as features and observations."""

MAX_NAME = 200
"""Characters of a target and of every other name."""

MAX_ANNOTATIONS = 64
"""Annotations of a spectrum."""

MAX_ANNOTATION_BYTES = 4_096
"""Keys and values of all annotations together; they travel in every posterior, which has 64 KiB in all."""

# What features and posteriors may hold.

MAX_GRID_NODES = 256
"""Nodes of each axis of the network's grid."""

MAX_LINES = 4_096
"""Lines of features and posteriors."""

MAX_POSTERIOR_DRAWS = 512
"""Most thinned draws a posterior carries."""

MAX_FINGERPRINTS = 1_024
"""Spectra of one joint result: more fingerprints do not fit a posterior."""

# What may be asked.

MAX_PAGE = 1_000
"""Rows of one page of a list."""

MAX_PAGE_TOKEN = 256
"""Characters of a page token; ours have fewer."""

MAX_STREAM_SPECTRA = 10_000
"""Spectra of one SubmitStream call, whose answer names each of them."""

# What may be read from files.

MAX_FILE_BYTES = 2 * 1024 * MEBIBYTE
"""Largest file of spectra, and the most that its arrays may unpack to."""

MAX_TABLE_BYTES = 64 * MEBIBYTE
"""Largest CSV or ECSV table: its numbers are held as text while they are read."""

MAX_FILE_SPECTRA = 1_000_000
"""Spectra of one file."""

GRPC_CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", MAX_GRPC_BYTES),
    ("grpc.max_receive_message_length", MAX_GRPC_BYTES),
)
"""Options for every gRPC server and channel of the project."""
