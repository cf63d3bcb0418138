"""Write the software bill of materials of this environment as CycloneDX JSON, valid by its schema.

    python scripts/sbom.py FILE

The same environment gives the same bytes: no time, no serial number, no path of this machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from licences import licence_of
from locked import ROOT

_COMMAND = ("-m", "cyclonedx_py", "environment", "--output-reproducible", "--output-format", "JSON", "--sv", "1.6")


def bill() -> dict[str, Any]:
    """Return the bill of the environment that runs this."""
    command = [sys.executable, *_COMMAND, "--pyproject", str(ROOT / "pyproject.toml"), sys.executable]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cyclonedx-py failed:\n{done.stderr}")
    content: dict[str, Any] = json.loads(done.stdout)
    for component in content["components"]:
        references = component.get("externalReferences", [])
        component["externalReferences"] = [one for one in references if not one["url"].startswith("file:")]
        if not component.get("licenses"):
            component["licenses"] = _licences(component["name"])
    return content


def _licences(name: str) -> list[dict[str, Any]]:
    """The licence that docs/licences.md has, for packages whose metadata leave it to a file."""
    from importlib.metadata import distribution

    return [{"license": {"name": licence_of(distribution(name)), "acknowledgement": "concluded"}}]


def main(arguments: list[str]) -> int:
    """Write and validate."""
    if len(arguments) != 1:
        print("usage: python scripts/sbom.py FILE", file=sys.stderr)
        return 2
    content = bill()
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    if fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        print(f"The bill is not valid CycloneDX: {fault}", file=sys.stderr)
        return 1
    path = Path(arguments[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"{path}: {len(content['components'])} components, CycloneDX {content['specVersion']}, valid.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
