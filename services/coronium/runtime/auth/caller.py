"""Who a call comes from, for as long as it is open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

from coronium.runtime.auth.directory import Directory, Known
from coronium.runtime.auth.limits import Limits
from coronium.runtime.auth.principals import now
from coronium.runtime.auth.quarantine import Quarantine
from coronium.runtime.auth.refusals import Refused, denied, exhausted, unauthenticated
from coronium.runtime.auth.scopes import SUBMISSION, Scope, allows
from coronium.runtime.settings import AuthSettings

LOOK_SECONDS = 1.0
"""Time between two looks whether somebody who has a call open may still have it."""


class Anyone:
    """A caller of whom nothing is asked: no authentication, or an open method."""

    def check(self) -> None:
        """Raise `Refused` where the caller may not go on."""

    @asynccontextmanager
    async def allowed(self) -> AsyncIterator[None]:
        """Let the block run for as long as the caller may go on; then it ends with `Refused`."""
        yield

    async def pace(self) -> None:
        """Wait until the caller's rate allows one more message of a stream."""

    def submission_rejected(self) -> None:
        """Count a submission that failed its checks."""

    def unreadable(self) -> None:
        """Count a message that cannot be read."""


class Caller(Anyone):
    """A principal.

    Parameters
    ----------
    known : Known
    needed : frozenset of Scope
        One of them is enough.
    directory : Directory
        Is asked again when it changes, so that a revoked token ends streams that are open.
    limits : Limits
    submitters : Quarantine
        Of those whose submissions are rejected too often.
    settings : AuthSettings
        Limits of principals that have none of their own.
    """

    def __init__(
        self,
        known: Known,
        needed: frozenset[Scope],
        directory: Directory,
        limits: Limits,
        submitters: Quarantine,
        settings: AuthSettings,
    ) -> None:
        self._known = known
        self._needed = needed
        self._directory = directory
        self._version = directory.version
        self._limits = limits
        self._submitters = submitters
        self._settings = settings

    @property
    def name(self) -> str:
        """Of the principal."""
        return self._known.principal.name

    @property
    def rate(self) -> float:
        """Calls per second that the principal may make."""
        return self._known.principal.calls_per_second or self._settings.calls_per_second

    @property
    def most_open(self) -> int:
        """Calls that the principal may have open."""
        return self._known.principal.concurrent_calls or self._settings.concurrent_calls

    def check(self) -> None:
        """Raise `Refused` where token, scope or quarantine forbid the call, at its start or by now."""
        if self._version != self._directory.version:
            self._version = self._directory.version
            known = self._directory.find(self._known.token.sha256)
            if known is None:
                raise unauthenticated("bad_token", "the token was revoked")
            self._known = known
        check_time(self._known)
        if self._known.principal.quarantined:
            raise denied("quarantined", f"{self.name} is in quarantine; ask the operators of this service")
        if not allows(self._known.principal.scopes, self._needed):
            words = " or ".join(sorted(self._needed)) or Scope.ADMIN
            raise denied("scope", f"{self.name} needs the scope {words} for this")
        if self._needed == SUBMISSION and (remaining := self._submitters.remaining(self.name)):
            raise exhausted("quarantined", f"too many submissions of {self.name} were rejected; wait", remaining)

    @asynccontextmanager
    async def allowed(self) -> AsyncIterator[None]:
        """Look every now and then whether the caller may go on, also while nothing is said."""
        loop = asyncio.get_running_loop()
        refusal: Refused | None = None
        timer: asyncio.TimerHandle

        def look() -> None:
            nonlocal refusal, timer
            try:
                self.check()
            except Refused as refused:
                refusal = refused
                ending.reschedule(loop.time())
            else:
                timer = loop.call_later(LOOK_SECONDS, look)

        timer = loop.call_later(LOOK_SECONDS, look)
        try:
            async with asyncio.timeout(None) as ending:
                yield
        except TimeoutError:
            if refusal is None:
                raise
            raise refusal from None
        finally:
            timer.cancel()

    async def pace(self) -> None:
        """Wait until the principal's rate allows one more message: a stream is slowed, not ended."""
        while wait := self._limits.take(self.name, self.rate):
            await asyncio.sleep(wait)

    def submission_rejected(self) -> None:
        """Count a submission that failed its checks."""
        self._submitters.note(self.name)

    def unreadable(self) -> None:
        """Count a message that cannot be read: one that was to be a submission is a rejected one."""
        if self._needed == SUBMISSION:
            self.submission_rejected()


def check_time(known: Known) -> None:
    """Raise `Refused` where a token has expired."""
    if known.token.expired(now()):
        raise unauthenticated("expired", f"the token {known.token.id} of {known.principal.name} has expired")


ANYONE = Anyone()

current: ContextVar[Anyone] = ContextVar("current", default=ANYONE)
"""The caller of the call that is being served."""
