"""Providers behind an HTTP proxy."""

from __future__ import annotations

from pathlib import Path

from tests.support.faulty_upstream import completion, provider
from tests.support.scripts import answers
from tests.support.setup import setup


async def test_providers_are_called_through_a_proxy(tmp_path: Path) -> None:
    """It gets whole URLs of hosts that nobody else could find, and who may use it is shown to it alone."""
    async with provider(answers(200, completion("by proxy"))) as proxy:
        address = proxy.url.removeprefix("http://").removesuffix("/v1")
        environment = {"FOREBAY_EDGE_UPSTREAM_PROXY": f"http://me:secret@{address}"}
        async with setup(tmp_path, "http://no-such-host.invalid/v1", **environment) as it:
            response = await it.chat()
            assert response.status_code == 200, response.text
            assert response.json()["choices"][0]["message"]["content"] == "by proxy"
        (call,) = proxy.calls
        assert call.path == "http://no-such-host.invalid/v1/chat/completions"
        assert call.headers["proxy-authorization"] == "Basic bWU6c2VjcmV0"


async def test_a_proxy_is_no_way_to_a_metadata_service(tmp_path: Path) -> None:
    async with provider(answers(200, completion("never"))) as proxy:
        environment = {"FOREBAY_EDGE_UPSTREAM_PROXY": proxy.url.removesuffix("/v1")}
        async with setup(tmp_path, "http://169.254.169.254/v1", "http://[fe80::1]/v1", **environment) as it:
            response = await it.chat()
            assert response.status_code == 502
        assert proxy.calls == []
