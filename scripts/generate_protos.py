"""Generate services/coronium/v1 from protos/coronium/v1 with the pinned grpcio-tools.

Run `make protos` after changing a .proto file. With `--check` nothing is written: the exit status is 1 when the
committed code is not what the protos give.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[1]
PROTOS = ROOT / "protos"
PACKAGE = Path("coronium") / "v1"
PATTERNS = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py")


def generate(output: Path) -> None:
    """Write messages, their type stubs and the gRPC classes of all protos under `output`."""
    arguments = ["protoc", f"-I{PROTOS}", f"-I{files('grpc_tools') / '_proto'}"]
    arguments += [f"--{kind}={output}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
    arguments += [str(path) for path in sorted((PROTOS / PACKAGE).glob("*.proto"))]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed")


def generated_names(folder: Path) -> set[str]:
    """Return the names of the generated files in a folder."""
    return {path.name for pattern in PATTERNS for path in folder.glob(pattern)}


def differences(fresh: Path, committed: Path) -> list[str]:
    """Return the names of files that are missing, superfluous or different."""
    names = generated_names(fresh) | generated_names(committed)
    _, different, missing = filecmp.cmpfiles(fresh, committed, sorted(names), shallow=False)
    return sorted(different + missing)


def main() -> None:
    """Generate, and then write or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the committed code differs")
    check = parser.parse_args().check
    committed = ROOT / "services" / PACKAGE
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = Path(folder) / PACKAGE
        found = differences(fresh, committed)
        if check:
            if found:
                print(f"services/coronium/v1 is not what protos/ gives ({', '.join(found)}): run `make protos`.")
            sys.exit(bool(found))
        for name in generated_names(committed):
            (committed / name).unlink()
        for name in generated_names(fresh):
            shutil.copy(fresh / name, committed / name)


if __name__ == "__main__":
    main()
