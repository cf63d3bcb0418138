"""What a request must show before anything of its body is read: few headers, and a token that may do this."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from coronium.gateway.upstream import STATUSES, UpstreamError
from coronium.runtime.auth.caller import Anyone
from coronium.runtime.auth.gate import Gate
from coronium.runtime.auth.refusals import Refused, unauthenticated
from coronium.runtime.auth.tokens import from_header
from coronium.runtime.metrics import REFUSED_CALLS

_GUARDED = "/v1/"
"""Paths whose answers come from the services; health, metrics and the description are for everybody."""

_SUBMITTING = "/coronium.v1.IngestionService/Submit"
_READING = "/coronium.v1.ResultsService/List"
"""Stands for everything but a submission: all methods of the service need the same scope."""


class Access:
    """Answers 431 to a request with too much in its headers, and refuses what the services would refuse.

    The services decide again over what gets through: the gateway knows their principals, or lets everybody through.

    Parameters
    ----------
    app : ASGI application
    gate : Gate
        As the services have one.
    max_header_bytes : int
    """

    def __init__(self, app: ASGIApp, gate: Gate, max_header_bytes: int) -> None:
        self._app = app
        self._gate = gate
        self._max_header_bytes = max_header_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        answer = self._app
        with ExitStack() as held:
            if scope["type"] == "http":
                if sum(len(name) + len(value) for name, value in scope["headers"]) > self._max_header_bytes:
                    answer = _problem(431, f"The headers are larger than {self._max_header_bytes} bytes.")
                elif scope["path"].startswith(_GUARDED):
                    try:
                        held.enter_context(self._admission(scope))
                    except Refused as refused:
                        answer = _refusal(refused)
            await answer(scope, receive, send)

    def _admission(self, scope: Scope) -> AbstractContextManager[Anyone]:
        shown = Headers(scope=scope).getlist("authorization")
        if len(shown) > 1 or (shown and from_header(shown[0]) is None):
            sentence = "the Authorization header holds no token of this service: send `Authorization: Bearer TOKEN`"
            raise unauthenticated("bad_token", sentence)
        method = _SUBMITTING if scope["method"] == "POST" else _READING
        return self._gate.admitted(method, _peer(scope), {"authorization": "".join(shown)})


def _peer(scope: Scope) -> str:
    """Return from where a request comes, as gRPC would name it."""
    host = scope["client"][0] if scope.get("client") else ""
    return f"ipv6:[{host}]:0" if ":" in host else f"ipv4:{host}:0"


def _refusal(refused: Refused) -> JSONResponse:
    REFUSED_CALLS.labels(reason=refused.reason).inc()
    error = UpstreamError(STATUSES[refused.status], str(refused), refused.retry_after)
    # To whom showed nothing it is not said that what was shown is wrong.
    challenge = {"www-authenticate": "Bearer"} if refused.reason == "no_token" else {}
    return _problem(error.status, str(error), error.headers | challenge)


def _problem(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status, headers)
