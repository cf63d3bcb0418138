"""What a reader raises on a file that it cannot use."""


class SpectrumFormatError(ValueError):
    """A spectrum file that cannot be used; the message says in one sentence why, and what would help."""
