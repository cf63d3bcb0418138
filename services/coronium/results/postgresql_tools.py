"""pg_dump and pg_restore, told where the database is without its password on the command line."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from psycopg import conninfo
from psycopg.pq import Conninfo
from sqlalchemy.engine import URL

from coronium.runtime.errors import StartError

_SECRETS = {option.keyword.decode() for option in Conninfo.get_defaults() if option.dispchar == b"*"} | {
    "scram_client_key",
    "scram_server_key",
}
"""What libpq says must not be shown, and what does as well as a password."""


class ToolFailed(StartError):
    """pg_dump or pg_restore is missing or failed; the text is one sentence that says what to do."""


def run_tool(name: str, url: URL, folder: Path | None, *arguments: str) -> str:
    """Run a tool of PostgreSQL on a database and return what it prints.

    Parameters
    ----------
    name : str
        ``pg_dump`` or ``pg_restore``.
    url : URL
        Of the database. A password in it goes through the environment, as PGPASSWORD; without one the tool reads
        ``~/.pgpass`` as ever.
    folder : path, optional
        Where the tools are; default: on PATH.
    *arguments : str

    Raises
    ------
    ToolFailed
        There is no such tool, it failed, or the address holds another secret than the password.
    """
    address = conninfo.conninfo_to_dict(url.set(drivername="postgresql").render_as_string(hide_password=False))
    password = address.pop("password", None)
    if shown := sorted(_SECRETS & address.keys()):
        raise ToolFailed(
            f"The address of the database has {', '.join(shown)}, which {name} would show to other users of this "
            "machine: leave it out for this command, with a key file that needs none."
        )
    environment = os.environ | {"LC_ALL": "C"} | ({"PGPASSWORD": str(password)} if password else {})
    where = conninfo.make_conninfo(**{name: str(value) for name, value in address.items()})
    return _run(name, folder, [f"--dbname={where}", *arguments], environment)


def read_archive(folder: Path | None, *arguments: str) -> str:
    """Run pg_restore on a file alone and return what it prints. Raises `ToolFailed`."""
    return _run("pg_restore", folder, list(arguments), os.environ | {"LC_ALL": "C"})


def _run(name: str, folder: Path | None, arguments: list[str], environment: dict[str, str]) -> str:
    found = shutil.which(name, path=None if folder is None else str(folder))
    if found is None:
        raise ToolFailed(
            f"There is no {name} {'on PATH' if folder is None else f'in {folder}'}: install PostgreSQL's client "
            "programs, of the server's version or a later one, or name their folder with --tools."
        )
    done = subprocess.run([found, *arguments], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        words = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]
        raise ToolFailed(f"{name} failed ({words.rstrip('.')}); the rows in the database are as they were.")
    return done.stdout
