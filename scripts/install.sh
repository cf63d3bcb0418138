#!/usr/bin/env bash
# Install Coronium into a virtual environment: exact versions, and only files whose hash stands in requirements.lock.
#   scripts/install.sh VENV all|dev
# PYTHON names the interpreter; otherwise the first of Python 3.11, 3.12 and 3.13 that runs. pip reads PIP_* and its
# own configuration as always.
set -euo pipefail

venv=$1
extra=$2
cd "$(dirname "$0")/.."

supported() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11, 5) <= sys.version_info[:3] < (3, 14))' >/dev/null 2>&1
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
    if supported "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  echo "Coronium needs Python 3.11 (from 3.11.5), 3.12 or 3.13 with its venv module: install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2
  return 1
}

if ! supported "$venv/bin/python"; then
  python=$(find_python)
  echo "Creating $venv with $("$python" --version)"
  rm -rf "$venv"
  "$python" -m venv "$venv"
fi

case $extra in
  dev) megabytes=620 ;;
  *) megabytes=490 ;;
esac
echo "Installing coronium[$extra] into $venv: what is missing there is downloaded, about $megabytes MB in all"
echo "  (Linux x86-64, PyTorch for the CPU)."
if [ "$(uname -s)" = Linux ] && ! "$venv/bin/python" -c 'import torch' >/dev/null 2>&1; then
  echo "  On Linux, PyPI's own PyTorch brings several GB of CUDA libraries. Without a GPU, stop here and put"
  echo "  PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu before the command."
fi

lock=$(mktemp -d)
trap 'rm -rf "$lock"' EXIT

# The lock is complete: pip resolves nothing, and builds what comes as source with the locked build backends.
install_locked() {
  "$venv/bin/python" scripts/locked.py "$1" >"$lock/$1.txt"
  "$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation --require-hashes --requirement "$lock/$1.txt"
}

# PyTorch as pip's configuration would bring it: PyPI's own, or the build without CUDA. Another one that is there
# already stays: the user chose it.
install_torch() {
  local version found
  version=$("$venv/bin/python" scripts/locked.py torch | sed -n 's/^torch==\([0-9.]*\).*/\1/p')
  found=$("$venv/bin/python" -c 'import importlib.metadata as m; print(m.version("torch"))' 2>/dev/null || true)
  if [ "${found%%+*}" = "$version" ]; then
    return
  fi
  "$venv/bin/python" -m pip install --quiet --dry-run --no-deps --ignore-installed --report "$lock/report.json" "torch==$version"
  found=$("$venv/bin/python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["install"][0]["metadata"]["version"])' "$lock/report.json")
  case $found in
    "$version+cpu") install_locked torch-cpu ;;
    "$version")
      install_locked torch
      if [ "$(uname -s)" = Linux ]; then
        install_locked cuda
      fi
      ;;
    *)
      echo "pip would take PyTorch $found, whose hash is not in requirements.lock: install it first if you want it" >&2
      echo "  ($venv/bin/pip install torch==$version), then run this again." >&2
      return 1
      ;;
  esac
}

install_locked build
install_locked "$extra"
install_torch
"$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable .
"$venv/bin/python" -m pip check --quiet

touch "$venv/.installed-$extra"
if [ "$extra" = dev ]; then
  touch "$venv/.installed-all" # dev holds everything that all does
fi
