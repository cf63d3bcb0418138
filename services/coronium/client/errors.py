"""What can go wrong for a client, one class per thing to do about it."""


class ClientError(Exception):
    """Any failure of a call; the text is one sentence that says what to do."""


class ServiceUnreachable(ClientError):
    """A service or the broker does not answer in time; the same call may work later."""


class SpectrumRejected(ClientError):
    """The spectrum is not acceptable; sending it again changes nothing."""


class NotFound(ClientError):
    """There is no such result."""


class NotAllowed(ClientError):
    """The service does not know the token, or its scopes do not allow this call; or Kafka refuses.

    Kafka: it does not take this client's password or certificate, or does not permit it to write spectra.
    """


class LimitReached(ClientError):
    """The service is asked too much, or refuses this client for a while.

    Parameters
    ----------
    sentence : str
    seconds : float
        After which the same call may be answered.
    """

    def __init__(self, sentence: str, seconds: float) -> None:
        super().__init__(sentence)
        self.seconds = seconds
