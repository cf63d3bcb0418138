"""The principals in force: read at the start, and again whenever the file changes."""

import asyncio
import hmac
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from coronium.runtime import metrics
from coronium.runtime.auth import principals as file
from coronium.runtime.auth.principals import Principal, PrincipalsError, StoredToken
from coronium.runtime.errors import StartError

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Time between two looks at the file."""

_Stamp = tuple[int, int, int] | None


@dataclass(frozen=True)
class Known:
    """A principal, and which of its tokens was shown."""

    principal: Principal
    token: StoredToken


class Directory:
    """Finds the principal of a token.

    Parameters
    ----------
    path : pathlib.Path
        The principals file. A broken one changes nothing: the last good one stays in force.

    Attributes
    ----------
    version : int
        Increases whenever other principals come into force.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[Known, ...] = ()
        self._stamp: _Stamp = None
        self.version = 0

    def load(self) -> None:
        """Read the file for the first time. Raises `StartError` where it cannot be used."""
        self._stamp = self._look()
        try:
            self._take(file.read(self._path))
        except PrincipalsError as error:
            raise StartError(f"{error}; make one with `coronium tokens create`.") from None

    def refresh(self) -> None:
        """Read the file again where it changed."""
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._take(file.read(self._path))
        except Exception as error:
            # Whatever it is: the next file must be read, or no token could be revoked any more.
            detail = str(error) if isinstance(error, PrincipalsError) else type(error).__name__
            metrics.PRINCIPALS_FILE_BROKEN.set(1)
            log.error("the changed principals file is not used, the last good one stays", extra={"detail": detail})
        else:
            log.info("the principals file was read again", extra={"tokens": len(self._known)})

    async def follow(self) -> None:
        """Look at the file for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.refresh)

    def find(self, sha256: str) -> Known | None:
        """Return whose token has this hash; None where it is nobody's. All are compared, in constant time."""
        found = None
        for known in self._known:
            if hmac.compare_digest(sha256, known.token.sha256):
                found = known
        return found

    def _take(self, content: file.Principals) -> None:
        self._known = tuple(Known(one, token) for one in content.principals for token in one.tokens)
        self.version += 1
        metrics.PRINCIPALS_FILE_BROKEN.set(0)

    def _look(self) -> _Stamp:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
