"""`python -m examples.python_service NAME QUESTION`: the answer on standard output, who was asked on standard error.

`FOREBAY_TOKEN` is shown to the resolver; providers' keys are looked up in the environment, where their references say.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

import grpc
import grpc.aio
import httpx2

from examples.python_service.walking import GaveUpError, Walker


def main() -> None:
    parser = argparse.ArgumentParser(prog="python_service")
    parser.add_argument("name", help="a model, a pool or a cluster of the resolver's")
    parser.add_argument("question")
    parser.add_argument("--stream", action="store_true", help="print the answer as it comes")
    parser.add_argument("--resolver", metavar="ADDRESS", default="127.0.0.1:8401")
    parser.add_argument("--resolver-ca", metavar="FILE", type=Path, help="speak TLS, and believe these authorities")
    parser.add_argument("--resolver-cert", metavar="FILE", type=Path, help="the certificate to show")
    parser.add_argument("--resolver-key", metavar="FILE", type=Path, help="its key")
    given = parser.parse_args()
    try:
        asyncio.run(ask(given))
    except GaveUpError as error:
        sys.exit(f"python_service: {error}")
    except grpc.aio.AioRpcError as error:
        sys.exit(f"python_service: the resolver has no plan: {error.code().name}: {error.details()}")


async def ask(given: argparse.Namespace) -> None:
    async with channel(given) as resolver, httpx2.AsyncClient(trust_env=False) as http:
        walker = Walker(resolver, http, os.environ)
        async for text in walker.answer(given.name, given.question, stream=given.stream):
            print(text, end="", flush=True)
    print()


def channel(given: argparse.Namespace) -> grpc.aio.Channel:
    if given.resolver_ca is None:
        return grpc.aio.insecure_channel(given.resolver)
    key, certificate = (path and path.read_bytes() for path in (given.resolver_key, given.resolver_cert))
    credentials = grpc.ssl_channel_credentials(given.resolver_ca.read_bytes(), key, certificate)
    return grpc.aio.secure_channel(given.resolver, credentials)


if __name__ == "__main__":
    main()
