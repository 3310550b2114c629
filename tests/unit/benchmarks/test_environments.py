from __future__ import annotations

import subprocess

import pytest

from benchmarks import environments
from benchmarks.debian import MissingToolError
from benchmarks.peers import PEERS


@pytest.mark.parametrize("package", [*(peer.package for peer in PEERS), "k6"])
def test_every_program_of_others_is_of_one_version(package: str) -> None:
    assert environments.version(package)[0].isdigit()


def test_what_cannot_be_installed_is_missing_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def fails(command: list[str], **_: object) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="one line\nNo matching distribution found\n")

    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path_factory.mktemp("environments"))
    monkeypatch.setattr(subprocess, "run", fails)
    with pytest.raises(MissingToolError, match="k6 could not be installed: No matching distribution found"):
        environments.of_python("k6")
