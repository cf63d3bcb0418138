"""Page tokens: where the next page begins, and which question it belongs to."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json

from coronium.contract.limits import MAX_PAGE, MAX_PAGE_TOKEN

DEFAULT_PAGE = 100
# Below what a gRPC client accepts by default (4 MiB), so that a page reaches every client.
PAGE_BYTES = 3 * 1024 * 1024


class InvalidQuery(ValueError):
    """A question that cannot be answered; the text is one sentence."""


def page_size(asked: int) -> int:
    """Return how many rows a page may have when the client asked for `asked` (0: as many as usual)."""
    return min(asked, MAX_PAGE) if asked else DEFAULT_PAGE


def write_token(position: int, question: bytes) -> str:
    """Return the token of the page after the row at `position` in the answer to `question`."""
    return base64.urlsafe_b64encode(json.dumps([position, _digest(question)]).encode()).decode()


def read_token(token: str, question: bytes) -> int | None:
    """Return the position after which the page begins, or None for the first page.

    Raises
    ------
    InvalidQuery
        The token is damaged, or comes from a list with other filters.
    """
    if not token:
        return None
    try:
        if len(token) > MAX_PAGE_TOKEN:
            raise ValueError(f"{len(token)} characters")
        position, digest = json.loads(base64.urlsafe_b64decode(token.encode()))
        position = int(position)
    except (binascii.Error, ValueError, TypeError, OverflowError) as error:
        raise InvalidQuery("The page_token is damaged: pass next_page_token as it came.") from error
    if digest != _digest(question) or not 0 <= position < 2**63:
        raise InvalidQuery("The page_token belongs to another list: keep the filter from page to page.")
    return position


def _digest(question: bytes) -> str:
    return hashlib.sha256(question).hexdigest()[:16]
