"""The contract's guards: they let the committed contract pass and refuse what would break a reader."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests._shared import REPOSITORY

BUF = Path(sys.executable).with_name("buf")
RELEASED = REPOSITORY / "protos" / "released" / "v1.binpb"


def breaking(protos: Path) -> subprocess.CompletedProcess[str]:
    """Compare protos with the contract of the last release."""
    command = [str(BUF), "breaking", str(protos), "--against", str(RELEASED)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_committed_contract_breaks_nobody():
    assert breaking(REPOSITORY / "protos").returncode == 0


def test_a_retyped_field_is_refused(tmp_path: Path):
    protos = shutil.copytree(REPOSITORY / "protos", tmp_path / "protos")
    message = protos / "coronium" / "v1" / "spectrum.proto"
    text = message.read_text()
    assert "double distance_pc = 6;" in text
    message.write_text(text.replace("double distance_pc = 6;", "string distance_pc = 6;"))
    done = breaking(protos)
    assert done.returncode != 0
    assert "distance_pc" in done.stdout + done.stderr


def test_the_generated_code_is_what_the_protos_give():
    command = [sys.executable, str(REPOSITORY / "scripts" / "generate_protos.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
