"""What can go wrong for a client, one class per thing to do about it."""


class ClientError(Exception):
    """Any failure of a call; the text is one sentence that says what to do."""


class ServiceUnreachable(ClientError):
    """A service or the broker does not answer in time; the same call may work later."""


class SpectrumRejected(ClientError):
    """The spectrum is not acceptable; sending it again changes nothing."""


class NotFound(ClientError):
    """There is no such result."""
