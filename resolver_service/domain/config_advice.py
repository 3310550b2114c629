"""What a configuration may say, and is hardly meant to."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from resolver_service.domain.catalog import Catalog
from resolver_service.domain.config_reader import Problem, quoted
from resolver_service.domain.presets import PRESETS
from resolver_service.domain.providers import Dialect, Provider


def advice(catalog: Catalog) -> Iterator[Problem]:
    """In the order of the configuration. Valid it is all the same: whoever makes provider calls of its own decides by
    itself what it calls."""
    for index, provider in enumerate(catalog.providers):
        host = urlsplit(provider.base_url).hostname or ""
        if not provider.allow_private and _is_private(host):
            words = f"the edge will refuse to call {quoted(host)}, which is private: set it to true if that is meant"
            yield Problem(f"providers[{index}].allow-private", words)
        if _ends_before_version(provider):
            words = "has no path, so that requests go to /chat/completions: add /v1 unless the provider does without"
            yield Problem(f"providers[{index}].base-url", words)


def _ends_before_version(provider: Provider) -> bool:
    """Few providers of OpenAI's dialect are at the root; the presets tell of one."""
    if provider.dialect is not Dialect.OPENAI or provider.quirks.deployment_paths:
        return False
    known = {preset.base_url for preset in PRESETS.values()}
    return not urlsplit(provider.base_url).path and provider.base_url not in known


def _is_private(host: str) -> bool:
    """As far as the spelling tells: what a name leads to is seen when it is called. Link-local addresses are left out,
    for which no word would help."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_private and not address.is_link_local
