"""`forebay-edge`."""

from __future__ import annotations

import os
import sys

import uvloop

from edge_service import settings


def main() -> None:
    given = settings.load(sys.argv[1:], os.environ)
    # gRPC's core writes lines of its own on standard error, where each is to be JSON. It reads this when it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from edge_service import bootstrap
    from edge_service.adapters.certificates_files import CertificateError
    from edge_service.adapters.upstream.trust import TrustError

    try:
        uvloop.run(bootstrap.serve(given))
    except TrustError as error:
        sys.exit(f"forebay-edge: --upstream-ca: {error}")
    except CertificateError as error:
        sys.exit(f"forebay-edge: {error}")
    except OSError as error:
        sys.exit(f"forebay-edge: {error.strerror or error}")


if __name__ == "__main__":
    main()
