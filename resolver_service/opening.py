"""What a resolver starts from: its configuration, which is in a file or in the store that resolvers share."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resolver_service.adapters import config_file, config_yaml
from resolver_service.adapters.history_memory import MemoryHistory
from resolver_service.app.configure import FILE, Configuration, digest_of
from resolver_service.app.considerate import considerate
from resolver_service.app.ports import History, Kept, PastRevision, ReadOnlyError
from resolver_service.app.watch import Bell
from resolver_service.domain.config import ConfigError
from resolver_service.domain.config_advice import advice
from resolver_service.settings import Settings

if TYPE_CHECKING:  # 7 MB that only a resolver with a store needs.
    from resolver_service.adapters.record_copy import ConfigCopy
    from resolver_service.adapters.stores_redis.beginning import Beginning
    from resolver_service.adapters.stores_redis.record import RedisRecord


class UnreadableError(Exception):
    """The configuration, or what else the settings name, cannot be read. The text says what to do."""

    code = "config_unreadable"


@dataclass(frozen=True, slots=True)
class Shared:
    """The configuration, where resolvers share it."""

    record: RedisRecord
    copy: ConfigCopy
    beginning: Beginning


@dataclass(frozen=True, slots=True)
class Opened:
    """The configuration in effect at the start, and where it came from."""

    configuration: Configuration
    history: History
    """Of a resolver by itself; unused where `shared` is set."""
    shared: Shared | None
    """None for a resolver by itself."""


def check(settings: Settings) -> str:
    """A line that counts what is in the configuration, and a warning for each thing in it that was hardly meant. Raises
    `ConfigError` or `UnreadableError`."""
    text = _text(settings.config)
    catalog = config_yaml.load(text)
    parts = {
        "provider": catalog.providers,
        "model": catalog.models,
        "pool": catalog.pools,
        "cluster": catalog.clusters,
    }
    told = ", ".join(f"{len(part)} {noun}{'' if len(part) == 1 else 's'}" for noun, part in parts.items())
    warnings = config_yaml.located(text, list(advice(catalog)))
    return "\n".join([f"{settings.config}: valid: {told}", *(f"warning: {each.in_text()}" for each in warnings)])


async def open_configuration(
    settings: Settings, bell: Bell, told_to_stop: asyncio.Event, stack: contextlib.ExitStack
) -> Opened | None:
    """The configuration; None if the resolver is told to stop before the store can be reached. `bell` rings after each
    change of it, and `stack` closes what was opened. Raises `ConfigError` or `UnreadableError`."""
    history: History = MemoryHistory()
    shared = await _begun(settings, told_to_stop, stack) if settings.store else None
    if told_to_stop.is_set():
        return None
    with considerate():
        if shared:
            return Opened(_as_of_record(shared.beginning.kept, bell), history, shared)
        if settings.state_dir:
            from resolver_service.adapters.history_sqlite import SqliteHistory
            from resolver_service.adapters.state_directory import claimed

            history = stack.enter_context(contextlib.closing(SqliteHistory(settings.state_dir, time.time)))
            stack.enter_context(claimed(settings.state_dir))
        text, read = _text(settings.config), config_yaml.Reader().parsed
        return Opened(Configuration(read, time.time, text, history, bell.ring), history, None)


async def done_or_stopped(task: asyncio.Task[Any], told_to_stop: asyncio.Event) -> None:
    """Waits until the task is done, or the resolver is told to stop."""
    stopping = asyncio.create_task(told_to_stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()


def given(path: Path | None) -> Path:
    """The path, of which `settings` has made sure where there is no store."""
    if path is None:
        raise UnreadableError("--config FILE is required")
    return path


async def _begun(settings: Settings, told_to_stop: asyncio.Event, stack: contextlib.ExitStack) -> Shared | None:
    """None if it was told to stop before the store could be reached."""
    from resolver_service.adapters.record_copy import ConfigCopy
    from resolver_service.adapters.stores_redis.beginning import begin
    from resolver_service.adapters.stores_redis.record import RedisRecord

    try:
        record = stack.enter_context(contextlib.closing(RedisRecord(settings.store)))
    except ValueError:
        raise UnreadableError("--store: not an address such as redis://127.0.0.1:6379/0") from None
    copy = ConfigCopy(settings.state_dir)
    beginning = asyncio.create_task(begin(record, lambda: _seed(settings.config), copy.read))
    await done_or_stopped(beginning, told_to_stop)
    if not beginning.done():
        beginning.cancel()
        return None
    try:
        began = await beginning
    except ReadOnlyError as error:
        raise UnreadableError(str(error)) from None
    if settings.config:
        config_file.compare(settings.config, began.kept.text)
    return Shared(record, copy, began)


def _seed(path: Path | None) -> Kept | None:
    """What an empty store begins with. Raises `ConfigError` or `UnreadableError`."""
    if path is None:
        return None
    text = _text(path)
    config_yaml.parsed(text)
    return Kept(PastRevision(1, int(time.time()), FILE, "the first configuration", "", digest_of(text)), text)


def _as_of_record(kept: Kept, bell: Bell) -> Configuration:
    try:
        return Configuration(config_yaml.Reader().parsed, time.time, kept.text, None, bell.ring, kept.revision)
    except ConfigError as error:
        words = (
            f"revision {kept.revision.number} of the configuration, which the store has, is not valid for this resolver"
        )
        raise UnreadableError(f"{words}:\n{error}") from None


def _text(path: Path | None) -> bytes:
    path = given(path)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadableError(
            f"there is no file {path}: name the configuration's, or begin with a copy of config.example.yaml"
        ) from None
    except IsADirectoryError:
        raise UnreadableError(f"{path} is a directory: name the configuration file in it") from None
    except PermissionError:
        raise UnreadableError(f"{path} may not be read: give the user that this runs as leave to read it") from None
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read: {error.strerror}") from None
