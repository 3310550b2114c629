"""A store that is spoken to by TLS, behind an end of TLS such as those that rent servers out have."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from resolver_service.adapters.stores_redis.record import RedisRecord
from resolver_service.adapters.stores_redis.state import RedisState
from resolver_service.app.ports import AwayError
from tests.support.sharing import FIRST, PATIENT_S, kept
from tests.support.valkey import Store


@contextlib.asynccontextmanager
async def ended(store: Store, authority: trustme.CA) -> AsyncIterator[int]:
    """The port of an end of TLS in front of the server; it shows a certificate for localhost."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        its_reader, its_writer = await asyncio.open_connection("127.0.0.1", store.port)
        await asyncio.gather(pass_on(reader, its_writer), pass_on(its_reader, writer), return_exceptions=True)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_who_is_believed_is_shared_with_and_who_is_not_is_away(store: Store, tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    async with ended(store, authority) as port:
        for host, ca, is_believed in (
            ("localhost", "ca.pem", True),
            ("localhost", "other.pem", False),
            ("127.0.0.1", "ca.pem", False),  # Which the certificate is not for.
        ):
            url = f"rediss://{host}:{port}/0?ssl_ca_certs={tmp_path / ca}"
            record, state = RedisRecord(url), RedisState(url, time.monotonic, PATIENT_S)
            with contextlib.closing(record):
                if is_believed:
                    first = kept(1, FIRST)
                    assert await asyncio.to_thread(record.seed, first.revision, first.text)
                else:
                    with pytest.raises(AwayError, match="certificate verify failed"):
                        await asyncio.to_thread(record.latest)
            keeping = asyncio.create_task(state.keep())
            await state.begun()
            assert state.is_degraded is not is_believed
            state.stop()
            await keeping
