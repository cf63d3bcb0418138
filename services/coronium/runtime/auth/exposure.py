"""What a service says when others could reach it without being asked who they are."""

import logging

from coronium.runtime.auth.peers import is_loopback
from coronium.runtime.errors import SettingsError

log = logging.getLogger(__name__)


def check_exposure(host: str, *, authenticated: bool, encrypted: bool, required: bool, how: str) -> None:
    """Warn once about an address that is open to others, or refuse to serve there.

    Parameters
    ----------
    host : str
        Address to listen on.
    authenticated, encrypted : bool
        Whether callers are asked for a token, and whether it travels encrypted.
    required : bool
        Refuse instead of warning.
    how : str
        The settings that would put it right.

    Raises
    ------
    SettingsError
        The address is open and `required` forbids it.
    """
    if is_loopback(host) or (authenticated and encrypted):
        return
    lacking = "authentication" if not authenticated else "encryption, so tokens can be read on the way"
    sentence = f"{host} can be reached from other machines and is served without {lacking}: set {how}"
    if required:
        raise SettingsError(f"{sentence}, or listen on 127.0.0.1.")
    log.warning(sentence)
