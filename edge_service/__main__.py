"""`forebay-edge`."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import NoReturn

import uvloop

from edge_service import settings


def main() -> None:
    given = settings.load(sys.argv[1:], dict(os.environ))
    if given.workers > 1 and given.as_worker is None:
        _supervise(given)
    # gRPC's core writes lines of its own on standard error, where each is to be JSON. It reads this when it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from edge_service import bootstrap
    from edge_service.adapters.certificates_files import CertificateError
    from edge_service.adapters.upstream.trust import TrustError

    try:
        if given.as_worker is None:
            uvloop.run(bootstrap.serve(given))
        else:
            uvloop.run(bootstrap.serve_as_worker(given, given.as_worker))
    except TrustError as error:
        _fail(given, f"--upstream-ca: {error}")
    except CertificateError as error:
        _fail(given, str(error))
    except OSError as error:
        _fail(given, error.strerror or str(error))


def _fail(given: settings.Settings, why: str) -> NoReturn:
    """All workers have the same to say, and their supervisor says it once."""
    if given.as_worker is None:
        sys.exit(f"forebay-edge: {why}")
    from edge_service.adapters.workers import link

    link.fail(given.as_worker.control, why)
    sys.exit(1)


def _supervise(given: settings.Settings) -> NoReturn:
    from edge_service import supervising
    from edge_service.adapters.workers.supervisor import StartError

    try:
        # The same command again, as it was given to the interpreter.
        sys.exit(asyncio.run(supervising.supervise(given, [sys.executable, *sys.orig_argv[1:]])))
    except StartError as error:
        print(f"forebay-edge: {error}", file=sys.stderr)
        sys.exit(error.status)
    except OSError as error:
        sys.exit(f"forebay-edge: {error.strerror or error}")


if __name__ == "__main__":
    main()
