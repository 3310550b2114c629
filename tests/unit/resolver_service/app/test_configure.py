from __future__ import annotations

import asyncio
import hashlib
import threading
from dataclasses import replace

import pytest

from resolver_service.adapters.history_memory import MemoryHistory
from resolver_service.app import configure
from resolver_service.app.configure import FILE, Configuration, Proposal
from resolver_service.app.ports import ConflictError, Kept, Parsed, PastRevision
from resolver_service.domain.catalog import Catalog
from resolver_service.domain.config import ConfigError, Problem
from tests.support.resolving import Clock, Resolving

PROVIDERS = """
providers:
  - {id: one, dialect: openai, base-url: "https://one.example/v1"}
"""


def pool(*models: str, name: str = "pool") -> bytes:
    members = ", ".join(f"{{provider: one, model: {model}}}" for model in models)
    return f"{PROVIDERS}\nmodel-pools: {{pools: [{{id: {name}, members: [{members}]}}]}}".encode()


def empty(text: bytes) -> Parsed:
    if text.startswith(b"bad"):
        raise ConfigError([Problem("", text.decode())])
    return Parsed({}, Catalog((), {}, {}, {}))


def test_the_first_configuration_is_revision_one() -> None:
    current = Configuration(empty, lambda: 1234.9, b"first").current
    assert (current.number, current.loaded_at) == (1, 1234)
    assert current.digest == hashlib.sha256(b"first").hexdigest()


def test_without_a_first_configuration_there_is_nothing() -> None:
    with pytest.raises(ConfigError, match="bad one"):
        Configuration(empty, Clock(), b"bad one")


async def test_a_new_configuration_is_the_next_revision() -> None:
    clock = Clock(100)
    configuration = Configuration(empty, clock, b"first")
    clock.advance(50)
    assert await configuration.offer(b"second")
    assert (configuration.current.number, configuration.current.loaded_at) == (2, 150)
    assert (configuration.accepted, configuration.rejected) == (1, 0)


def test_what_is_new_in_the_file_at_the_start_is_a_revision() -> None:
    history, clock = MemoryHistory(), Clock(100.5)
    for text, number in ((b"one\n", 1), (b"one\n", 1), (b"two\n", 2), (b"two\n", 2), (b"one\n", 3)):
        configuration = Configuration(empty, clock, text, history)
        assert (configuration.current.number, configuration.accepted) == (number, 0)
    changed = "changed while no resolver was running"
    assert [(told.number, told.created_at, told.author, told.summary) for told in history.before(0, 9)] == [
        (3, 100, FILE, changed),
        (2, 100, FILE, changed),
        (1, 100, FILE, "the first configuration"),
    ]
    assert [{"-one", "+two"} <= set(told.diff.split("\n")) for told in history.before(0, 9)] == [False, True, False]
    assert history.text(2) == b"two\n"


def made_from(configuration: Configuration) -> Proposal:
    return Proposal(configuration.current, b"mine", empty(b"mine"), "me")


async def test_a_proposal_takes_effect_as_the_revision_that_it_was_written_as() -> None:
    configuration = Configuration(empty, Clock(), b"first")
    made = await configuration.accept(made_from(configuration), lambda told: replace(told, number=7))
    assert made is configuration.current
    assert (made.number, made.text) == (7, b"mine")


async def test_a_proposal_from_what_is_no_longer_in_effect_is_not_written() -> None:
    configuration = Configuration(empty, Clock(), b"first")
    proposal = made_from(configuration)
    await configuration.offer(b"by hand")

    def write(told: PastRevision) -> PastRevision:
        raise AssertionError("it was written")

    with pytest.raises(ConflictError):
        await configuration.accept(proposal, write)
    assert configuration.current.text == b"by hand"


async def test_an_end_right_after_a_change_is_a_quiet_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configure, "GONE_S", 0.0)
    loop, problems = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, problem: problems.append(problem))
    assert await Configuration(empty, Clock(), b"first").offer(b"second")
    await loop.shutdown_default_executor()
    await asyncio.sleep(0)
    assert problems == []


async def test_the_same_content_is_no_new_revision() -> None:
    configuration = Configuration(empty, Clock(), b"first")
    before = configuration.current
    assert not await configuration.offer(b"first")
    assert configuration.current is before
    assert await configuration.offer(b"second")
    assert await configuration.offer(b"first")
    assert configuration.current.number == 3


async def test_what_does_not_stand_in_the_file_any_more_is_not_taken_in() -> None:
    """The watch of the file reads it, waits, and offers what it read; meanwhile a change may have been written."""
    configuration = Configuration(empty, Clock(), b"first")
    assert not await configuration.offer(b"second", lambda: False)
    assert configuration.current.number == 1
    assert await configuration.offer(b"second", lambda: True)


async def test_what_is_of_record_elsewhere_is_adopted_with_its_number() -> None:
    def of_record(number: int, text: bytes) -> Kept:
        return Kept(PastRevision(number, 7, "ann", "", "", hashlib.sha256(text).hexdigest()), text)

    first = of_record(5, b"first")
    swapped: list[int] = []
    configuration = Configuration(empty, Clock(), b"first", None, lambda: swapped.append(1), first.revision)
    assert (configuration.current.number, configuration.current.loaded_at) == (5, 7)
    assert not await configuration.adopt(lambda: first)
    assert not await configuration.adopt(lambda: None)
    assert await configuration.adopt(lambda: of_record(8, b"second"))
    assert configuration.place == (8, hashlib.sha256(b"second").hexdigest())
    assert await configuration.adopt(lambda: of_record(9, b"second")), "another number is another revision"
    with pytest.raises(ConfigError):
        await configuration.adopt(lambda: of_record(10, b"bad"))
    assert (configuration.current.number, len(swapped), configuration.rejected) == (9, 2, 1)


async def test_a_bad_configuration_keeps_the_last_good_one() -> None:
    resolving = Resolving(pool("a", "b").decode())
    before = resolving.configuration.current
    for text in (b"providers: [", b"\xff", b"polcy: {}", pool("a").replace(b"one", b"two", 1)):
        with pytest.raises(ConfigError):
            await resolving.configuration.offer(text)
        assert resolving.configuration.current is before
    assert resolving.plan("pool") == ["one/a#0", "one/b#0"]
    assert not await resolving.configuration.offer(pool("a", "b"))


async def test_rotation_and_health_survive_a_reload() -> None:
    resolving = Resolving(pool("a", "b", "c").decode())
    assert [resolving.plan("pool")[0] for _ in range(2)] == ["one/a#0", "one/b#0"]
    resolving.fail("one/d#0")
    await resolving.configuration.offer(pool("a", "b", "c", "d"))
    assert resolving.plan("pool")[0] == "one/c#0"
    resolving.fail("one/a#0")
    await resolving.configuration.offer(pool("a", "b", "c", name="POOL"))
    assert resolving.plan("pool") == ["one/c#0", "one/b#0"]


async def test_turns_are_kept_for_a_pool_that_goes_and_comes_back() -> None:
    resolving = Resolving(pool("a", "b", "c").decode())
    resolving.plan("pool")
    await resolving.configuration.offer(pool("a", name="other"))
    await resolving.configuration.offer(pool("a", "b", "c"))
    assert resolving.plan("pool")[0] == "one/b#0"


async def test_a_plan_is_of_one_revision_whatever_comes_meanwhile() -> None:
    resolving = Resolving(pool("a").decode())
    old = resolving.decide("pool")
    await resolving.configuration.offer(pool("b"))
    assert (old.course.revision, old.attempts[0].target.id) == (1, "one/a#0")
    new = resolving.decide("pool")
    assert (new.course.revision, new.attempts[0].target.id) == (2, "one/b#0")


async def test_configurations_offered_at_the_same_time_are_taken_one_by_one() -> None:
    under_way = []

    def parse(text: bytes) -> Parsed:
        under_way.append(text)
        assert len(under_way) == 1
        under_way.remove(text)
        return empty(text)

    configuration = Configuration(parse, Clock(), b"first")
    texts = [b"second", b"third", b"third", b"bad", b"fourth", b"fourth", b"fourth", b"bad"]
    found = await asyncio.gather(*map(configuration.offer, texts), return_exceptions=True)
    assert [f if isinstance(f, bool) else type(f) for f in found] == [
        True,
        True,
        False,
        ConfigError,
        True,
        False,
        False,
        ConfigError,
    ]
    assert configuration.current.number == 4
    assert configuration.current.digest == hashlib.sha256(b"fourth").hexdigest()


async def test_while_a_configuration_is_read_the_running_one_answers() -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def parse(text: bytes) -> Parsed:
        if text == b"slow":
            loop.call_soon_threadsafe(begun.set)
            go_on.wait(10)
        return empty(text)

    configuration = Configuration(parse, Clock(), b"first")
    offering = asyncio.create_task(configuration.offer(b"slow"))
    async with asyncio.timeout(20):
        await begun.wait()
    assert configuration.current.number == 1
    go_on.set()
    assert await offering
    assert configuration.current.number == 2


async def test_an_offer_that_is_cancelled_changes_nothing_and_blocks_nobody() -> None:
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def parse(text: bytes) -> Parsed:
        if text == b"slow":
            loop.call_soon_threadsafe(begun.set)
            go_on.wait(10)
        return empty(text)

    configuration = Configuration(parse, Clock(), b"first")
    offering = asyncio.create_task(configuration.offer(b"slow"))
    async with asyncio.timeout(20):
        await begun.wait()
    offering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await offering
    go_on.set()
    assert configuration.current.number == 1
    assert await configuration.offer(b"second")
