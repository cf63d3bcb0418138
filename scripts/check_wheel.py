"""Build the wheel as a release would, and hold it to its promises.

It is at most 38 MB, and in an environment that holds the base install alone, `from coronium import Client` works,
the command line answers, and none of the heavy libraries is loaded or was installed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_MEGABYTES = 38.0
HEAVY = ("torch", "jax", "faust", "sunpy", "matplotlib", "scipy", "h5py")

CHECK = f"""
import importlib.util, sys
from coronium import Client
heavy = {HEAVY!r}
loaded = [name for name in heavy if name in sys.modules]
installed = [name for name in heavy if importlib.util.find_spec(name)]
sys.exit(f"the base install is not light: loaded {{loaded}}, installed {{installed}}" if loaded or installed else 0)
"""


def build(folder: Path) -> Path:
    """Build the source archive and the wheel from it into `folder`; return the wheel."""
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    return wheel


def main() -> None:
    """Build, weigh, install and import."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder)
        megabytes = wheel.stat().st_size / 1e6
        print(f"{wheel.name}: {megabytes:.1f} MB (at most {MOST_MEGABYTES:g})")
        if megabytes > MOST_MEGABYTES:
            sys.exit("The wheel is too large.")
        environment = folder / "venv"
        venv.create(environment, with_pip=True)
        python = environment / "bin" / "python"
        install = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
        subprocess.run([*install, str(wheel)], check=True)
        subprocess.run([str(python), "-c", CHECK], check=True, cwd=folder)
        subprocess.run([str(environment / "bin" / "coronium"), "--help"], check=True, stdout=subprocess.DEVNULL)
        print("The base install is light: `from coronium import Client` loads none of " + ", ".join(HEAVY) + ".")


if __name__ == "__main__":
    main()
