#!/usr/bin/env bash
# Write constraints.txt anew: every package that coronium[dev] brings, at the newest versions that go together.
#   scripts/constraints.sh            (minutes; Python 3.11, the oldest supported, so that the versions exist for all)
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet ".[dev]"
{
  echo "# Exact versions of everything that coronium[dev] needs, written by scripts/constraints.sh."
  echo "# torch stands without its build (+cpu, +cu130): which one comes is pip's own configuration."
  "$folder/venv/bin/python" -m pip freeze --exclude coronium | sed -E 's/^(torch==[0-9.]+)\+.*/\1/; s/^torch @ .*torch-([0-9.]+).*/torch==\1/'
} >constraints.txt
