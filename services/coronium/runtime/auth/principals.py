"""The principals file: who may call, as JSON. Tokens are in it as hashes only."""

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_serializer, field_validator

from coronium.runtime.auth.scopes import Scope

_ID_LENGTH = 8


class PrincipalsError(Exception):
    """The file cannot be used; the text is one sentence without anything secret."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class StoredToken(_Entry):
    """What is kept of one token."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None

    @property
    def id(self) -> str:
        """A short name that may be shown: the beginning of the hash."""
        return self.sha256[:_ID_LENGTH]

    def expired(self, now: datetime) -> bool:
        """Return whether the token is past its time."""
        return self.expires_at is not None and now >= self.expires_at


class Principal(_Entry):
    """Somebody who may call: a person, an observatory, a program.

    Attributes
    ----------
    scopes : list of Scope
    tokens : list of StoredToken
        Each is good by itself, so that a new one can be handed out before the old one is revoked.
    calls_per_second, concurrent_calls : number or None
        None: what the service's settings say.
    quarantined : bool
        Refused until somebody takes this back.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")
    scopes: frozenset[Scope] = Field(min_length=1)
    tokens: list[StoredToken] = Field(default_factory=list)
    calls_per_second: float | None = Field(default=None, gt=0)
    concurrent_calls: int | None = Field(default=None, ge=1)
    quarantined: bool = False

    @field_serializer("scopes")
    def _sorted(self, scopes: frozenset[Scope]) -> list[str]:
        return sorted(scopes)


class Principals(_Entry):
    """The whole file."""

    principals: list[Principal] = Field(default_factory=list)

    @field_validator("principals")
    @classmethod
    def _unique(cls, principals: list[Principal]) -> list[Principal]:
        names = [principal.name for principal in principals]
        hashes = [token.sha256 for principal in principals for token in principal.tokens]
        if len(set(names)) < len(names):
            raise ValueError("two principals have the same name")
        if len(set(hashes)) < len(hashes):
            raise ValueError("the same token stands there twice")
        return principals

    def named(self, name: str) -> Principal | None:
        """Return the principal of a name, or None."""
        return next((principal for principal in self.principals if principal.name == name), None)


def read(path: Path) -> Principals:
    """Read a principals file.

    Raises
    ------
    PrincipalsError
        It cannot be read, is no JSON, or says something that means nothing.
    """
    try:
        return Principals.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise PrincipalsError(f"the principals file {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise PrincipalsError(f"the principals file {path} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise PrincipalsError(
            f"the principals file {path} is not JSON (line {error.lineno}, column {error.colno})"
        ) from None
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the whole"
        raise PrincipalsError(f"the principals file {path} is wrong at {where}: {fault['msg']}") from None
    except (ValueError, RecursionError):
        raise PrincipalsError(f"the principals file {path} nests too deeply, or holds too long a number") from None


@contextmanager
def changing(path: Path, missing_is_empty: bool = False) -> Iterator[Principals]:
    """Yield a principals file's content and write what the block made of it; another who changes it waits.

    Raises
    ------
    PrincipalsError
        As `read` and `write` do. Nothing is written where the block raises.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise PrincipalsError(f"the folder of {path} cannot be read ({error.strerror})") from None
    try:
        # The folder's lock: the file itself is another one after each change.
        fcntl.flock(folder, fcntl.LOCK_EX)
        content = Principals() if missing_is_empty and not path.exists() else read(path)
        yield content
        write(path, content)
    finally:
        os.close(folder)


def write(path: Path, principals: Principals) -> None:
    """Write a principals file in one step: who reads it sees the old one or the new one, never a part.

    Mode and owner stay, so that the service can still read what root has changed.

    Raises
    ------
    PrincipalsError
        The folder cannot be written to, or the file belongs to somebody else.
    """
    text = json.dumps(principals.model_dump(mode="json", exclude_defaults=True) or {"principals": []}, indent=2) + "\n"
    try:
        old = path.stat() if path.exists() else None
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            try:
                file.write(text)
                if old is not None:
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
                    os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
                file.flush()
                os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise PrincipalsError(f"the principals file {path} cannot be written ({error.strerror})") from None


def now() -> datetime:
    """Return the time against which tokens expire."""
    return datetime.now(UTC)
