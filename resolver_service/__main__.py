"""`forebay-resolver`."""

from __future__ import annotations

import os
import sys

import uvloop

from resolver_service import settings
from resolver_service.domain.config import ConfigError


def main() -> None:
    given = settings.load(sys.argv[1:], os.environ)
    # gRPC's core writes lines of its own on standard error, where each is to be JSON. It reads this when it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from resolver_service import bootstrap, opening
    from resolver_service.adapters.certificates_files import CertificateError
    from resolver_service.adapters.grpc_api.server import AddressInUseError
    from resolver_service.opening import UnreadableError

    try:
        if given.check:
            print(opening.check(given))
        else:
            uvloop.run(bootstrap.serve(given))
    except ConfigError as error:
        sys.exit(f"{given.config or 'the file'} is not a valid configuration:\n{error.in_text()}")
    except UnreadableError as error:
        # A check is `forebay check` too, and what is wrong is wrong with the file, whoever reads it.
        sys.exit(str(error) if given.check else f"forebay-resolver: {error}")
    except (AddressInUseError, CertificateError) as error:
        sys.exit(f"forebay-resolver: {error}")
    except OSError as error:
        sys.exit(f"forebay-resolver: {error.strerror or error}")


if __name__ == "__main__":
    main()
