"""Build the wheel as a release would, and hold it to its promises.

The wheel, the emissivity table and the network weights keep to their sizes. In an environment that holds the base
install alone, from requirements.lock, `from coronium import Client` works, the command line answers, none of the heavy
libraries is loaded or was installed, and a command that needs one says which extra brings it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[1]
MEGABYTE = 1e6
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
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"The wheel cannot be built:\n{done.stdout}{done.stderr}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def check_sizes(wheel: Path) -> None:
    """Exit when the wheel, or what it ships, is missing or larger than promised."""
    with ZipFile(wheel) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    parts = [
        ("wheel", wheel.stat().st_size, 38),
        ("emissivity table", sum(size for name, size in sizes.items() if name.endswith("/emissivity.npz.xz")), 12),
        ("network weights", sum(size for name, size in sizes.items() if name.endswith(".safetensors")), 20),
        ("Capella's spectra", sum(size for name, size in sizes.items() if name.endswith("/capella_letg.npz")), 1),
    ]
    for what, size, most in parts:
        print(f"{what}: {size / MEGABYTE:.2f} MB (at most {most})")
    wrong = [what for what, size, most in parts if not 0 < size <= most * MEGABYTE]
    if wrong:
        sys.exit(f"Missing or too large: {', '.join(wrong)}.")


def check_base_install(wheel: Path, folder: Path) -> None:
    """Exit when the base install is not light or does not say what is missing."""
    environment = folder / "venv"
    venv.create(environment, with_pip=True)
    python, coronium = environment / "bin" / "python", environment / "bin" / "coronium"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps"]
    locked = folder / "base.txt"
    with locked.open("w") as file:
        subprocess.run([sys.executable, str(ROOT / "scripts" / "locked.py"), "base"], check=True, stdout=file)
    subprocess.run([*install, "--require-hashes", "--requirement", str(locked)], check=True)
    subprocess.run([*install, str(wheel)], check=True)
    subprocess.run([str(python), "-m", "pip", "check"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([str(python), "-c", CHECK], check=True, cwd=folder)
    subprocess.run([str(coronium), "--help"], check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run([str(coronium), "demo"], capture_output=True, text=True, cwd=folder)
    if done.returncode != 1 or "pip install 'coronium[" not in done.stderr or "Traceback" in done.stderr:
        sys.exit(f"`coronium demo` does not say which extra it needs:\n{done.stderr}")
    print("The base install is light: `from coronium import Client` loads none of " + ", ".join(HEAVY) + ".")


def main() -> None:
    """Build, weigh, install and import."""
    with tempfile.TemporaryDirectory() as name:
        wheel = build(Path(name))
        check_sizes(wheel)
        check_base_install(wheel, Path(name))


if __name__ == "__main__":
    main()
