from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from resolver_service.adapters import config_file, config_yaml
from resolver_service.app.configure import Configuration
from resolver_service.domain.config import ConfigError
from tests.support.resolving import Clock

PROVIDERS = 'providers:\n  - {id: one, dialect: openai, base-url: "https://one.example/v1"}\n'


def config(*pools: str) -> str:
    """A configuration with these pools."""
    entries = "".join(f"    - {{id: {name}, members: [{{provider: one, model: m}}]}}\n" for name in pools)
    return f"{PROVIDERS}model-pools:\n  pools:\n{entries}"


FIRST = config("first")


class Watched(Configuration):
    """Remembers what became of everything that it was offered, and which pools were ever in effect."""

    def __init__(self, text: str) -> None:
        super().__init__(config_yaml.parsed, Clock(), text.encode())
        self.outcomes: list[str] = []
        self.seen = [self.pools]

    @property
    def pools(self) -> tuple[str, ...]:
        return tuple(self.current.catalog.pools)

    async def offer(self, text: bytes, is_there_still: Callable[[], bool] = lambda: True) -> bool:
        try:
            changed = await super().offer(text, is_there_still)
        except ConfigError:
            self.outcomes.append("rejected")
            raise
        self.outcomes.append("changed" if changed else "same")
        if changed:
            self.seen.append(self.pools)
        return changed

    async def until(self, condition: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(20):
                while not condition():  # files and the threads that watch them set no event
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"this did not come: {self.outcomes}, {self.seen}") from None


class File:
    """The configuration file, as others change it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def replace(self, text: str) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.path)

    def write_beside(self, text: str) -> None:
        self.path.with_name("neighbour.yaml").write_text(text)

    def remove(self) -> None:
        self.path.unlink()

    def become_directory(self) -> None:
        self.path.mkdir()

    def remove_directory(self) -> None:
        self.path.rmdir()


@contextlib.asynccontextmanager
async def following(file: File, text: str = FIRST) -> AsyncIterator[Watched]:
    """A configuration that follows the file, which has this text, with the watch in place."""
    watched = Watched(text)
    task = asyncio.create_task(config_file.follow(file.path, watched))
    # Nothing is awaited between the first offer of an unchanged file and the start of the watch.
    await watched.until(lambda: watched.outcomes)
    try:
        yield watched
        assert not task.done(), "the file is followed no longer"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Log:
    """Collects what is logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda event, **fields: self.lines.append((level, event, fields))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(config_file, "_log", log)
    return log


@pytest.fixture
def file(tmp_path: Path) -> File:
    file = File(tmp_path / "config.yaml")
    file.write(FIRST)
    return file


async def test_a_file_that_is_written_over_takes_effect(file: File) -> None:
    async with following(file) as watched:
        for name in ("second", "third"):
            file.write(config(name))
            await watched.until(lambda name=name: watched.pools == (name,))


async def test_a_file_that_is_replaced_by_a_rename_takes_effect(file: File) -> None:
    async with following(file) as watched:
        for name in ("second", "third"):
            file.replace(config(name))
            await watched.until(lambda name=name: watched.pools == (name,))


class Mounted(File):
    """As Kubernetes mounts a ConfigMap: a link to a link to the directory of the version."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "config.yaml")
        self.path.symlink_to("..data/config.yaml")

    def swap(self, version: str) -> None:
        directory = self.path.parent
        (directory / f"..{version}").mkdir()
        (directory / f"..{version}" / "config.yaml").write_text(config(version))
        (directory / "..data_tmp").symlink_to(f"..{version}")
        (directory / "..data_tmp").replace(directory / "..data")


async def test_a_symbolic_link_that_is_swapped_as_kubernetes_does_it_takes_effect(tmp_path: Path) -> None:
    mounted = Mounted(tmp_path)
    mounted.swap("first")
    async with following(mounted) as watched:
        for version in ("second", "third"):
            mounted.swap(version)
            await watched.until(lambda version=version: watched.pools == (version,))


async def test_an_invalid_file_keeps_the_last_good_one(file: File) -> None:
    async with following(file) as watched:
        file.write(config("second") + "polcy: {}\n")
        await watched.until(lambda: "rejected" in watched.outcomes)
        file.write("providers: [")
        await watched.until(lambda: watched.outcomes.count("rejected") >= 2)
        assert watched.pools == ("first",)
        file.write(config("third"))
        await watched.until(lambda: watched.pools == ("third",))
        assert watched.seen == [("first",), ("third",)]


async def test_a_half_written_file_never_takes_effect(file: File) -> None:
    whole = config("second", "third")
    async with following(file) as watched:
        file.write(whole[:-20])
        await watched.until(lambda: "rejected" in watched.outcomes)
        assert watched.pools == ("first",)
        file.write(whole)
        await watched.until(lambda: watched.pools == ("second", "third"))
        assert watched.seen == [("first",), ("second", "third")]


async def write_slowly(path: Path, lines: Sequence[str], gap_s: float) -> None:
    """As a program that truncates the file and then takes its time. What runs in the same event loop cannot see a pause
    that is longer: where the loop is late, it is late for both."""
    with path.open("w") as file:
        for line in lines:
            file.write(line)
            file.flush()
            await asyncio.sleep(gap_s)


@pytest.mark.parametrize("is_told", [True, False], ids=["told of each write", "looking once a second"])
async def test_a_file_that_is_written_bit_by_bit_takes_effect_when_it_is_whole(tmp_path: Path, is_told: bool) -> None:
    names = [f"pool-{i}" for i in range(15)]
    lines = config(*names).splitlines(keepends=True)
    assert config_yaml.load("".join(lines[:-1])).pools, "cut at the end of a line, it is valid"
    file = File(tmp_path / "config.yaml")
    if is_told:
        file.write(FIRST)
    else:
        # Only the directory of the link is watched.
        (tmp_path / "elsewhere").mkdir()
        file.path.symlink_to("elsewhere/config.yaml")
        file.write(FIRST)
    async with following(file) as watched:
        await write_slowly(file.path, lines, config_file.SETTLED_MS / 2000)
        await watched.until(lambda: watched.pools == tuple(names))
        assert watched.seen == [("first",), tuple(names)]
        assert "rejected" not in watched.outcomes


@pytest.mark.parametrize("text", ["", "# pools: []\n", "---\n", "~\n"])
async def test_a_file_that_says_nothing_is_invalid(file: File, log: Log, text: str) -> None:
    async with following(file) as watched:
        file.write(text)
        await watched.until(lambda: log.lines)
        assert watched.seen == [("first",)]
    ((level, event, fields),) = log.lines
    assert (level, event) == ("error", "config_rejected")
    assert fields["errors"] == ["the file says nothing; an empty configuration is written as {}"]


async def test_a_file_that_is_gone_or_cannot_be_read_keeps_the_last_good_one(file: File, log: Log) -> None:
    async with following(file) as watched:
        file.remove()
        await watched.until(lambda: log.lines)
        file.become_directory()
        await watched.until(lambda: len(log.lines) >= 2)
        assert {event for _, event, _ in log.lines} == {"config_unreadable"}
        file.remove_directory()
        file.write(config("second"))
        await watched.until(lambda: watched.pools == ("second",))
        assert watched.seen == [("first",), ("second",)]


async def test_a_pipe_in_its_place_is_not_waited_for(file: File, log: Log) -> None:
    async with following(file) as watched:
        file.remove()
        os.mkfifo(file.path)
        await watched.until(lambda: any("no regular file" in str(fields) for _, _, fields in log.lines))
        file.replace(config("second"))
        await watched.until(lambda: watched.pools == ("second",))


async def test_the_same_content_is_no_new_revision(file: File) -> None:
    async with following(file) as watched:
        file.write(config("first"))
        await watched.until(lambda: "same" in watched.outcomes)
        assert watched.current.number == 1


async def test_what_was_written_before_the_watch_began_takes_effect(file: File) -> None:
    file.write(config("second"))
    async with following(file, FIRST) as watched:
        await watched.until(lambda: watched.pools == ("second",))


async def test_what_was_in_the_file_before_a_change_takes_effect_when_it_is_put_back(file: File) -> None:
    async with following(file) as watched:
        await watched.offer(config("second").encode())  # A change, of which only the end is seen here.
        assert watched.pools == ("second",)
        file.write(FIRST)
        await watched.until(lambda: watched.pools == ("first",))


async def test_other_files_beside_it_change_nothing(file: File) -> None:
    async with following(file) as watched:
        file.write_beside(config("neighbour"))
        file.write(config("second"))
        await watched.until(lambda: watched.pools == ("second",))
        assert watched.seen == [("first",), ("second",)]


async def test_the_log_tells_what_was_done_and_everything_that_is_wrong(file: File, log: Log) -> None:
    async with following(file) as watched:
        file.write(config("second") + "polcy: {}\n")
        await watched.until(lambda: log.lines)
        (level, event, fields) = log.lines.pop()
        assert (level, event, fields["kept_revision"]) == ("error", "config_rejected", 1)
        (wrong,) = fields["errors"]
        assert wrong.startswith("line 6, polcy: unknown key")
        log.lines.clear()

        file.write(config("second"))
        await watched.until(lambda: log.lines)
        assert log.lines == [("info", "config_reloaded", {"path": str(file.path), "revision": 2})]
        log.lines.clear()

        file.remove()
        await watched.until(lambda: log.lines)
        (level, event, fields) = log.lines[0]
        assert (level, event, fields["kept_revision"]) == ("warning", "config_unreadable", 2)


async def test_a_bad_file_is_told_of_once(file: File) -> None:
    async with following(file) as watched:
        file.write("oops: 1")
        await watched.until(lambda: watched.outcomes.count("rejected") >= 1)
        file.write("oops: 1")
        file.write_beside("so that there is something to look at")
        await asyncio.sleep(1.5)  # Nothing happens, of which nobody tells.
        file.write(config("second"))
        await watched.until(lambda: watched.pools == ("second",))
    assert watched.outcomes.count("rejected") == 1
