"""What the layout promises: the light client, and the libraries that the project is built on."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests._shared import REPOSITORY

PACKAGE = REPOSITORY / "services" / "coronium"

NAMED = {
    "faust-streaming": "faust",
    "kafka-python": "kafka",
    "grpcio": "grpc",
    "protobuf": "google.protobuf",
    "torch": "torch",
    "numpyro": "numpyro",
    "jax": "jax",
    "numpy": "numpy",
    "astropy": "astropy",
    "prometheus-client": "prometheus_client",
}


def imported(path: Path) -> set[str]:
    """Return the dotted names of all modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


@pytest.mark.parametrize(("package", "module"), NAMED.items())
def test_every_named_package_is_imported_where_it_works(package: str, module: str):
    handwritten = [path for path in PACKAGE.rglob("*.py") if "v1" not in path.relative_to(PACKAGE).parts]
    found = [p for p in handwritten if any(n == module or n.startswith(f"{module}.") for n in imported(p))]
    assert found, f"{package} is imported nowhere in services/"


def test_the_client_loads_none_of_the_heavy_libraries():
    heavy = ("torch", "jax", "numpyro", "faust", "sunpy", "matplotlib", "scipy", "h5py", "sqlalchemy")
    script = f"import sys; from coronium import Client; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_every_room_is_described_in_one_line():
    described = (REPOSITORY / "services" / "README.md").read_text()
    rooms = [path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()]
    missing = [room for room in rooms if f"`coronium/{room}/`" not in described]
    assert not missing


def test_no_source_file_is_longer_than_a_reader_can_hold():
    longest = max(
        (len(path.read_text().splitlines()), path.name) for path in PACKAGE.rglob("*.py") if "_pb2" not in path.name
    )
    assert longest[0] <= 518, longest
