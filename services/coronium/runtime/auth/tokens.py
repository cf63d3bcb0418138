"""Bearer tokens: made at random, recognised by their prefix, stored as their SHA-256 alone.

A token is 256 random bits, so nothing can be gained by guessing or by a table of hashes, and a plain hash (no
salt, no slow function) is the right one.
"""

import hashlib
import re
import secrets

PREFIX = "coronium_token_"
"""What a secret scanner looks for."""

_RANDOM_BYTES = 32
_TOKEN = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_SCHEME = "bearer "


def new_token() -> str:
    """Return a token that nobody had before."""
    return PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def digest(token: str) -> str:
    """Return the SHA-256 of a token in hexadecimal: what may be stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def from_header(authorization: str) -> str | None:
    """Return the token of an ``Authorization: Bearer ...`` header; None where it holds none of ours."""
    if authorization[: len(_SCHEME)].lower() != _SCHEME:
        return None
    token = authorization[len(_SCHEME) :].strip(" \t")
    return token if _TOKEN.fullmatch(token) else None


def masked(text: str) -> str:
    """Return a text with every token in it replaced by its prefix and stars."""
    return _TOKEN.sub(f"{PREFIX}********", text)
