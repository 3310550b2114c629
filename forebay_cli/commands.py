"""What each command does: asks the resolver, prints the answer, and tells the exit status."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from forebay.resolver.v1 import resolver_service_pb2 as pb
from forebay_cli import output
from forebay_cli.client import CallError, ResolverClient

SERVING = "SERVING"


def check(file: str, environment: Mapping[str, str]) -> int:
    """Has the resolver's own program validate a file: it knows the rules, and this command imports no service."""
    # Only the file is in question: what the environment says of a resolver's flags is left out.
    others = {name: value for name, value in environment.items() if not name.startswith("FOREBAY_RESOLVER_")}
    command = (sys.executable, "-m", "resolver_service", "--check", f"--config={file}")
    status = subprocess.run(command, env=others, check=False).returncode  # noqa: S603  # no shell, and no choice of program
    return status if status >= 0 else 1


def resolve(client: ResolverClient, name: str, *, stream: bool, as_json: bool) -> int:
    response = client.resolve(_request(name, stream=stream))
    print(output.json(response) if as_json else output.plan(response))
    return 0


def explain(client: ResolverClient, name: str, management_key: str = "", *, as_json: bool) -> int:
    request = _request(name)
    # As the edge asks, which gets probes; explaining hands none out.
    request.will_report = True
    response = client.explain(request, management_key)
    print(output.json(response) if as_json else output.explanation(name, response))
    return 0


def models(client: ResolverClient, *, as_json: bool) -> int:
    response = client.models()
    print(output.json(response) if as_json else output.models(response))
    return 0


def clear(client: ResolverClient, target: str, management_key: str) -> int:
    client.clear(target, management_key)
    print(f"{target} is cleared")
    return 0


def drain(client: ResolverClient, target: str, management_key: str, *, drained: bool) -> int:
    client.drain(target, management_key, drained=drained)
    print(f"{target} is {'drained' if drained else 'back'}")
    return 0


def status(client: ResolverClient, management_key: str, *, every: bool, as_json: bool) -> int:
    response = client.status(management_key)
    print(output.json(response) if as_json else output.status(response, every=every))
    return 0


def revisions(client: ResolverClient, most: int, management_key: str, *, with_diffs: bool, as_json: bool) -> int:
    response = client.revisions(most, management_key)
    print(output.json(response) if as_json else output.revisions(response, with_diffs=with_diffs))
    return 0


def roll_back(client: ResolverClient, revision: int, author: str, management_key: str) -> int:
    made = client.roll_back(revision, author, management_key)
    print(f"revision {made.revision} is in effect, with the content of revision {revision}")
    return 0


def apply(client: ResolverClient, file: str, author: str, management_key: str, *, validate_only: bool) -> int:
    """Raises `CallError` if the file cannot be read, too."""
    try:
        text = Path(file).read_bytes()
    except OSError as error:
        raise CallError(f"{file} cannot be read: {error.strerror}") from None
    made = client.apply(text, author, management_key, validate_only=validate_only)
    print(
        f"{file} could be put into effect" if validate_only else f"revision {made.revision} is in effect, as in {file}"
    )
    return 0


def health(client: ResolverClient, service: str) -> int:
    """Raises `CallError` unless the service serves."""
    status = client.health(service)
    if status != SERVING:
        raise CallError(f"{service or 'the resolver'} at {client.address} is {status}")
    print(f"{service or 'the resolver'} at {client.address} is {status}")
    return 0


def _request(name: str, *, stream: bool = False) -> pb.ResolveRequest:
    return pb.ResolveRequest(request_id=f"forebay-{secrets.token_hex(4)}", model=name, stream=stream)
