#!/usr/bin/env bash
# Every linter, in the order of their speed. Ends with an error when any of them found something.
set -uo pipefail
cd "$(dirname "$0")/.."

failed=()

check() {
  local title=$1
  shift
  echo "=== lint: $title"
  "$@" || failed+=("$title")
}

check "ruff check" ruff check .
check "ruff format" ruff format --check .
check "mypy" mypy
check "import-linter: what each room may know" lint-imports
check "buf lint" buf lint protos
check "buf breaking: against the contract of the last release" buf breaking protos --against protos/released/v1.binpb
check "generated code is what protos/ gives" python scripts/generate_protos.py --check
check "settings reference is what the settings classes give" coronium config schema --check
check "lock: pyproject.toml, constraints.txt and requirements.lock agree" python scripts/lock.py --check
check "licences: docs/licences.md is what is installed, and may be distributed" python scripts/licences.py --check
check "hadolint" hadolint docker/Dockerfile
check "compose file" docker-compose --file docker-compose.yml config --quiet

if [ ${#failed[@]} -gt 0 ]; then
  echo "=== lint: found something in: ${failed[*]}" >&2
  exit 1
fi
