"""Decides over every call: who is it, may they, and is it too much."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from coronium.runtime import metrics
from coronium.runtime.auth import peers, tokens
from coronium.runtime.auth.caller import ANYONE, Anyone, Caller, check_time, current
from coronium.runtime.auth.directory import Directory, Known
from coronium.runtime.auth.limits import Limits, Strangers
from coronium.runtime.auth.quarantine import Quarantine
from coronium.runtime.auth.refusals import Refused, denied, exhausted, unauthenticated
from coronium.runtime.auth.scopes import METHODS, OPEN
from coronium.runtime.settings import AuthSettings

FORWARDED_FOR = "x-forwarded-for"
"""Metadata in which the gateway names the address it calls for."""

_OF_ONE_STRANGER = 8
"""Open calls of one address to methods that ask for no token."""


class Gate:
    """Lets calls in, or raises `Refused`.

    Parameters
    ----------
    settings : AuthSettings
        Without a principals file everybody may call every method that is in the table.
    strangers : int
        Most open calls of methods that ask for no token.

    Raises
    ------
    StartError
        The principals file cannot be used.
    """

    def __init__(self, settings: AuthSettings, strangers: int = 256) -> None:
        self._settings = settings
        self._trusted = peers.networks(settings.trusted_proxies)
        self._directory = Directory(Path(settings.principals_file)) if settings.principals_file else None
        if self._directory is not None:
            self._directory.load()
        self._limits = Limits()
        self._strangers = Strangers(_OF_ONE_STRANGER, strangers)
        window, seconds = settings.quarantine_window_seconds, settings.quarantine_seconds
        self._addresses = Quarantine("address", settings.quarantine_failures, window, seconds)
        self._submitters = Quarantine("principal", settings.quarantine_rejections, window, seconds)
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Follow the principals file."""
        for kind, quarantine in (("address", self._addresses), ("principal", self._submitters)):
            metrics.QUARANTINED.labels(kind=kind).set_function(quarantine.__len__)
        if self._directory is not None:
            self._following = asyncio.create_task(self._directory.follow(), name="follow the principals file")

    async def stop(self) -> None:
        """Stop following the file."""
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following

    @contextmanager
    def admitted(self, method: str, peer: str, metadata: Mapping[str, str]) -> Iterator[Anyone]:
        """Let a call in for as long as the block lasts.

        Parameters
        ----------
        method : str
            Full name, ``/package.Service/Method``.
        peer : str
            As gRPC names it.
        metadata : mapping of str to str

        Raises
        ------
        Refused
            Nothing of the call was read yet.
        """
        needed = METHODS.get(method)
        if needed is None:
            raise denied("undeclared", f"no scope is declared for {method}, so nobody may call it")
        if self._directory is None:
            yield ANYONE
            return
        address = peers.caller_address(peer, metadata.get(FORWARDED_FOR, ""), self._trusted)
        if needed == OPEN:
            with self._strangers.holding(address):
                yield ANYONE
            return
        if remaining := self._addresses.remaining(address):
            raise exhausted("quarantined", "too many failed authentications from this address; wait", remaining)
        try:
            known = _authenticated(self._directory, metadata.get("authorization", ""))
        except Refused:
            self._addresses.note(address)
            raise
        caller = Caller(known, needed, self._directory, self._limits, self._submitters, self._settings)
        with self._limits.holding(caller.name, caller.rate, caller.most_open):
            caller.check()
            token = current.set(caller)
            try:
                yield caller
            finally:
                current.reset(token)


def _authenticated(directory: Directory, header: str) -> Known:
    if not header:
        raise unauthenticated("no_token", "this service needs a token: send `authorization: Bearer TOKEN`")
    token = tokens.from_header(header)
    known = directory.find(tokens.digest(token)) if token else None
    if known is None:
        raise unauthenticated("bad_token", "the token is not known here, or was revoked")
    check_time(known)
    return known
