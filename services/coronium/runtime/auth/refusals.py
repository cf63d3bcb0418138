"""Why a call is refused: the status, one sentence for the caller, one label for the operator."""

import grpc


class Refused(Exception):
    """A call that is not served. Never holds a token.

    Parameters
    ----------
    reason : str
        One of `coronium.runtime.metrics.REFUSALS`.
    status : grpc.StatusCode
    sentence : str
        What the caller reads.
    retry_after : float or None
        Seconds after which the same call may be served.
    """

    def __init__(self, reason: str, status: grpc.StatusCode, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.status = status
        self.retry_after = retry_after

    @property
    def trailing_metadata(self) -> tuple[tuple[str, str], ...]:
        """What is sent beside the status: ``retry-after`` in seconds, where waiting helps."""
        return () if self.retry_after is None else (("retry-after", f"{self.retry_after:.3f}"),)


def unauthenticated(reason: str, sentence: str) -> Refused:
    """Return the refusal of a caller who is nobody we know."""
    return Refused(reason, grpc.StatusCode.UNAUTHENTICATED, sentence)


def denied(reason: str, sentence: str) -> Refused:
    """Return the refusal of a known caller who may not."""
    return Refused(reason, grpc.StatusCode.PERMISSION_DENIED, sentence)


def exhausted(reason: str, sentence: str, retry_after: float | None = None) -> Refused:
    """Return the refusal of what is too much now."""
    return Refused(reason, grpc.StatusCode.RESOURCE_EXHAUSTED, sentence, retry_after)
