"""What a request must show before anything of its body is read: a token that could be one, and few headers."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from coronium.runtime.auth.tokens import from_header
from coronium.runtime.metrics import REFUSED_CALLS

_GUARDED = "/v1/"
"""Paths whose answers come from the services; health, metrics and the description are for everybody."""


class Access:
    """Answers 401 to a request that no service would serve, and 431 to one with too much in its headers.

    Whether a token is good, and for what, is decided by the services that it is handed on to.

    Parameters
    ----------
    app : ASGI application
    require_token : bool
        The services ask for a token, so a request without one need not go there.
    max_header_bytes : int
    """

    def __init__(self, app: ASGIApp, require_token: bool, max_header_bytes: int) -> None:
        self._app = app
        self._require_token = require_token
        self._max_header_bytes = max_header_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        if sum(len(name) + len(value) for name, value in scope["headers"]) > self._max_header_bytes:
            return JSONResponse({"detail": f"The headers are larger than {self._max_header_bytes} bytes."}, 431)
        if not scope["path"].startswith(_GUARDED):
            return None
        shown = Headers(scope=scope).getlist("authorization")
        if not shown and self._require_token:
            return _unauthenticated("no_token", "This needs a token: send `Authorization: Bearer TOKEN`.", "Bearer")
        if len(shown) > 1 or (shown and from_header(shown[0]) is None):
            sentence = "The Authorization header holds no token of this service: send `Authorization: Bearer TOKEN`."
            return _unauthenticated("bad_token", sentence, 'Bearer error="invalid_token"')
        return None


def _unauthenticated(reason: str, sentence: str, challenge: str) -> JSONResponse:
    REFUSED_CALLS.labels(reason=reason).inc()
    return JSONResponse({"detail": sentence}, 401, {"www-authenticate": challenge})
