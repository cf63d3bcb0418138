"""Lock what is installed: requirements.lock with the hash of every file, constraints.txt with the versions alone.

    python scripts/lock.py              hashes anew, at the versions of constraints.txt
    python scripts/lock.py --upgrade    at the newest versions that go together
    python scripts/lock.py --check      nothing is written: do pyproject.toml, constraints.txt and the lock agree?

`uv` resolves for every Python and system of `[tool.uv]` at once and takes the hashes from the package index. PyTorch
stands apart from what the extras need, because which build is right depends on the machine: `torch` is PyPI's, which on
Linux needs the CUDA libraries of `cuda`; `torch-cpu` is the one of PyTorch's own index, whose hashes stand in
torch-cpu.sha256.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from locked import LOCK, ROOT, Entry, entries
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CONSTRAINTS = ROOT / "constraints.txt"
TORCH_CPU = ROOT / "scripts" / "torch-cpu.sha256"
EXTRAS = ("ingestion", "extraction", "fitting", "results", "gateway", "all", "dev")
BUILD = ("pip", "setuptools>=77", "setuptools-scm")
"""What installs: pip, the project's own build backend, and what eispac, which comes as source, asks for."""
_CUDA = re.compile(r"(?:nvidia|cuda)-.*|triton")
_SYSTEMS = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
_HEADER = """\
# What `make install` installs, made by scripts/lock.py: do not edit. "for" names the extras that need a package;
# scripts/locked.py prints one target's part. Inputs: sha256:{digest}
"""


def resolve(extra: str, constraints: Path | None, *options: str) -> dict[str, str]:
    """Return the requirement lines of an extra (`base`: none, `build`: the build backends) by name, as uv resolves."""
    with tempfile.TemporaryDirectory() as folder:
        build, output = Path(folder) / "build.in", Path(folder) / "output.txt"
        build.write_text("\n".join(BUILD) + "\n", encoding="utf-8")
        sources = {"base": ["pyproject.toml"], "build": [str(build)], "dev": ["pyproject.toml", str(build)]}
        command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--universal"]
        command += ["--fork-strategy", "fewest", "--python-version", "3.11", "--no-annotate", "--no-header"]
        command += [*options, "--output-file", str(output), *sources.get(extra, ["pyproject.toml"])]
        if extra not in ("base", "build"):
            command += ["--extra", extra]
        if constraints is not None:
            command += ["--constraint", str(constraints)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"uv cannot resolve {extra}:\n{done.stderr}")
        blocks = re.split(r"\n(?=\S)", output.read_text(encoding="utf-8").strip())
    return {block.partition("==")[0]: block for block in blocks}


def unmarked(block: str) -> str:
    """Drop the marker of a requirement that every locked system and Python needs."""
    pinned, separator, rest = block.partition(" ; ")
    if not separator:
        return block
    marker, _, hashes = rest.partition(" \\\n")
    targets = [
        {
            "python_full_version": f"{python}.9",
            "python_version": python,
            "sys_platform": system,
            "platform_machine": machine,
        }
        for python in ("3.11", "3.12", "3.13")
        for system, machine in _SYSTEMS
    ]
    if all(Marker(marker).evaluate(target) for target in targets):
        return f"{pinned} \\\n{hashes}"
    return block


def cpu_entry(version: str) -> str:
    """Return the requirement lines of PyTorch's builds without CUDA."""
    digests = cpu_builds(version)
    if not digests:
        sys.exit(
            f"{TORCH_CPU.name} has no build of torch {version}: write there what https://download.pytorch.org/whl/cpu "
            "lists for it."
        )
    return " \\\n".join([f"torch=={version}+cpu", *(f"    --hash=sha256:{digest}" for digest in digests)])


def cpu_builds(version: str) -> list[str]:
    """Return the recorded hashes of the CPU builds of that version."""
    lines = (line.split("  ") for line in TORCH_CPU.read_text(encoding="utf-8").splitlines())
    return [digest for digest, name in lines if name.startswith(f"torch-{version}+cpu-")]


def write(upgrade: bool) -> None:
    """Resolve every target and write both files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    everything = resolve("dev", None if upgrade else CONSTRAINTS, "--generate-hashes")
    pins = "".join(block.split()[0] + "\n" for block in everything.values())
    CONSTRAINTS.write_text(
        "# Exact versions of everything that coronium[dev] needs, written by scripts/lock.py.\n"
        "# torch stands without its build (+cpu, +cu130): which one comes is pip's own configuration.\n" + pins,
        encoding="utf-8",
    )
    targets: dict[str, list[str]] = {name: ["cuda"] if _CUDA.fullmatch(name) else [] for name in everything}
    for extra in ("base", "build", *EXTRAS):
        for name in resolve(extra, CONSTRAINTS):
            if not _CUDA.fullmatch(name) and name != "torch":
                targets[name].append(extra)
    targets["torch"] = ["torch"]
    lines = [_HEADER.format(digest=inputs(project))]
    for name, block in everything.items():
        lines.append(f"# for: {' '.join(targets[name])}\n{unmarked(block)}\n")
        if name == "torch":
            lines.append(f"# for: torch-cpu\n{cpu_entry(block.partition('==')[2].split()[0])}\n")
    LOCK.write_text("".join(lines), encoding="utf-8")


def inputs(project: dict[str, Any]) -> str:
    """Return the hash of everything that the lock is made from, beside the versions."""
    parts = [
        project["project"]["dependencies"],
        project["project"]["optional-dependencies"],
        project["tool"]["uv"],
        BUILD,
        TORCH_CPU.read_text(encoding="utf-8"),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def drift(project: dict[str, Any], constraints: str, lock: str) -> list[str]:
    """Return a sentence for everything in which pyproject.toml, constraints.txt and the lock disagree."""
    found = entries(lock)
    locked = {entry.name: entry for entry in found if "torch-cpu" not in entry.targets}
    faults = []
    if f"sha256:{inputs(project)}\n" not in lock.partition("# for:")[0]:
        faults.append("pyproject.toml or scripts/torch-cpu.sha256 changed after the lock was made")
    pinned = dict(line.split("==") for line in constraints.splitlines() if "==" in line)
    for name in sorted(pinned.keys() | locked.keys()):
        version = locked[name].version if name in locked else "absent"
        if pinned.get(name) != version:
            faults.append(f"{name} is {pinned.get(name, 'absent')} in constraints.txt and {version} in the lock")
    for extra in ("base", *EXTRAS):
        faults += [f"[{extra}] {fault}" for fault in unmet(required(project, extra), extra, locked)]
    builds = {entry.version: entry.hashes for entry in found if "torch-cpu" in entry.targets}
    version = pinned.get("torch", "")
    if builds != {f"{version}+cpu": tuple(cpu_builds(version))}:
        faults.append(f"torch-cpu in the lock is not torch {version} as scripts/torch-cpu.sha256 has it")
    return faults


def required(project: dict[str, Any], extra: str) -> list[Requirement]:
    """Return what pyproject.toml asks for in an extra, extras of our own unfolded."""
    optional = project["project"]["optional-dependencies"]
    asked = [Requirement(text) for text in project["project"]["dependencies"]]
    waiting = [] if extra == "base" else [extra]
    while waiting:
        for requirement in map(Requirement, optional[waiting.pop()]):
            if requirement.name == project["project"]["name"]:
                waiting += requirement.extras
            else:
                asked.append(requirement)
    return asked


def unmet(asked: list[Requirement], extra: str, locked: dict[str, Entry]) -> list[str]:
    """Return a sentence for each requirement that the lock does not meet."""
    faults = []
    for requirement in asked:
        entry = locked.get(canonicalize_name(requirement.name))
        if entry is None or (extra not in entry.targets and entry.name != "torch"):
            faults.append(f"{requirement} is not locked")
        elif not requirement.specifier.contains(entry.version, prereleases=True):
            faults.append(f"{requirement} is locked at {entry.version}")
    return faults


def main() -> None:
    """Lock, or compare."""
    parser = argparse.ArgumentParser(description="Lock what is installed.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that go together")
    parser.add_argument("--check", action="store_true", help="write nothing; do the files agree?")
    arguments = parser.parse_args()
    if not arguments.check:
        write(arguments.upgrade)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    faults = drift(project, CONSTRAINTS.read_text(encoding="utf-8"), LOCK.read_text(encoding="utf-8"))
    if faults:
        sys.exit("The lock does not agree (make lock writes it anew):\n  " + "\n  ".join(faults))


if __name__ == "__main__":
    main()
