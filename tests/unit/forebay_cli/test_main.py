from __future__ import annotations

import os
import subprocess
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import pytest

from forebay_cli import __main__ as cli
from forebay_cli.__main__ import is_address, is_local, main


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {}, "COMMAND"),
        (["frobnicate"], {}, "frobnicate"),
        (["resolve"], {}, "NAME"),
        (["check"], {}, "FILE"),
        (["check", ""], {}, "FILE is empty"),
        (["models", "--js"], {}, "--js"),
        (["models", "--resolver", "nonsense"], {}, "'nonsense' is neither HOST:PORT nor unix:PATH"),
        (["models"], {"FOREBAY_RESOLVER": "10.1.2.3:8401"}, "add --plaintext-network to consent"),
        (["models"], {"FOREBAY_RESOLVER": "10.1.2.3:1", "FOREBAY_PLAINTEXT_NETWORK": "0"}, "--plaintext-network"),
        (["models", "--resolver-cert", "c"], {}, "--resolver-cert and --resolver-key go together"),
        (["models", "--resolver-name", "r"], {}, "need --resolver-ca: without it there is no TLS"),
        (["models", "--timeout", "soon"], {}, "'soon' is not a positive number of seconds"),
        (["models", "--timeout", "inf"], {}, "'inf' is not a positive number of seconds"),
        (["models", "--timeout", "nan"], {}, "'nan' is not a positive number of seconds"),
        (["models"], {"FOREBAY_TIMEOUT": "0"}, "'0' is not a positive number of seconds"),
        (["models"], {"FOREBAY_TOKEN": "two\nlines"}, "FOREBAY_TOKEN: only printable ASCII"),
        (["clear", "p/m#0"], {"FOREBAY_TOKEN": "t"}, "FOREBAY_MANAGEMENT_KEY is not set"),
        (["status"], {}, "FOREBAY_MANAGEMENT_KEY is not set"),
        (["drain", "p/m#0"], {"FOREBAY_MANAGEMENT_KEY": "schlüssel"}, "FOREBAY_MANAGEMENT_KEY: only printable ASCII"),
        (["undrain"], {"FOREBAY_MANAGEMENT_KEY": "k"}, "TARGET"),
        (["models"], {"FOREBAY_TOKEN": "schlüssel"}, "FOREBAY_TOKEN: only printable ASCII"),
        # Bytes that are no UTF-8, as Python has them in arguments and in the environment.
        (["resolve", "m\udcff"], {}, "NAME: 'm\\udcff' is not UTF-8"),
        (["explain", "m\udcff"], {}, "NAME: 'm\\udcff' is not UTF-8"),
        (["clear", "p/m\udcff#0"], {"FOREBAY_MANAGEMENT_KEY": "k"}, "TARGET: 'p/m\\udcff#0' is not UTF-8"),
        (["drain", "p/m\udcff#0"], {"FOREBAY_MANAGEMENT_KEY": "k"}, "TARGET: 'p/m\\udcff#0' is not UTF-8"),
        (
            ["rollback", "1"],
            {"FOREBAY_MANAGEMENT_KEY": "k", "FOREBAY_AUTHOR": "\udcff"},
            "--author: '\\udcff' is not UTF-8",
        ),
        (["health", "--service", "\udcff"], {}, "--service: '\\udcff' is not UTF-8"),
        (["key", "new", "--id", "\udcff"], {}, "--id: '\\udcff' is not UTF-8"),
        (["models", "--resolver", "unix:/\udcff"], {}, "--resolver: 'unix:/\\udcff' is not UTF-8"),
        (["models", "--resolver-ca", "ca", "--resolver-name", "\udcff"], {}, "--resolver-name: '\\udcff' is not UTF-8"),
    ],
)
def test_what_is_not_understood_ends_with_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], environment: dict[str, str], message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments, environment)
    assert stopped.value.code == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert message in errors
    assert "schlüssel" not in errors


def test_the_token_is_no_flag(capsys: pytest.CaptureFixture[str]) -> None:
    """Everyone on the machine can read a process's arguments."""
    with pytest.raises(SystemExit):
        main(["models", "--token", "secret"], {})


@pytest.mark.parametrize("command", ["check", "resolve", "explain", "models", "health", "clear", "drain", "undrain"])
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"], {})
    assert stopped.value.code == 0
    assert "FOREBAY_TOKEN" in capsys.readouterr().out


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"], {})
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"forebay {version('forebay')}\n"


def test_the_help_of_resolve_says_that_it_takes_a_turn(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["resolve", "--help"], {})
    assert "takes a turn" in capsys.readouterr().out


def test_a_flag_wins_over_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def client(address: str, token: str, timeout_s: float | None, *, client_key_sha256: bytes) -> None:
        made.append((address, token, timeout_s, client_key_sha256))
        raise cli.CallError("enough")

    monkeypatch.setattr(cli, "ResolverClient", client)
    environment = {"FOREBAY_RESOLVER": "10.1.2.3:1", "FOREBAY_TIMEOUT": "9", "FOREBAY_TOKEN": "secret"}
    environment["FOREBAY_CLIENT_KEY"] = " fb-1\n"  # As it comes out of a file.
    hashed = sha256(b"fb-1").digest()
    assert main(["models"], {}) == 1
    assert main(["models"], {**environment, "FOREBAY_PLAINTEXT_NETWORK": "yes"}) == 1
    assert main(["models", "--resolver", "unix:/run/s", "--timeout", "1.5"], environment) == 1
    assert made == [
        ("127.0.0.1:8401", "", None, b""),
        ("10.1.2.3:1", "secret", 9.0, hashed),
        ("unix:/run/s", "secret", 1.5, hashed),
    ]


def test_a_clients_key_is_hashed_byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def client(*_: object, client_key_sha256: bytes) -> None:
        made.append(client_key_sha256)
        raise cli.CallError("enough")

    monkeypatch.setattr(cli, "ResolverClient", client)
    assert main(["models"], {"FOREBAY_CLIENT_KEY": os.fsdecode(b"fb-\xff")}) == 1
    assert made == [sha256(b"fb-\xff").digest()]


def test_with_tls_no_consent_is_needed_and_all_that_is_said_of_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def client(address: str, token: str, timeout_s: float | None, *, client_key_sha256: bytes, tls: cli.Tls) -> None:
        made.append(tls)
        raise cli.CallError("enough")

    monkeypatch.setattr(cli, "ResolverClient", client)
    by_flags = ["--resolver-ca", "ca", "--resolver-cert", "cert", "--resolver-key", "key", "--resolver-name", "r"]
    by_variables = {"FOREBAY_RESOLVER": "10.1.2.3:1", "FOREBAY_RESOLVER_CA": "ca"}
    assert main(["models", "--resolver", "10.1.2.3:1", *by_flags], {}) == 1
    assert main(["models"], by_variables) == 1
    assert made == [cli.Tls(Path("ca"), (Path("cert"), Path("key")), "r"), cli.Tls(Path("ca"))]


@pytest.mark.parametrize("argument", ["0", "-1", "many", "4294967296", "1" + "0" * 5000, "0" * 19 + "1" * 20, "²"])
def test_a_number_of_revisions_is_one(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["revisions", f"--most={argument}"], {"FOREBAY_MANAGEMENT_KEY": "k"})
    assert stopped.value.code == 2
    assert "is not a positive number" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["1", "true", "TRUE", "yes", "on"])
def test_a_switch_is_on_by_a_word_that_says_so(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    def client(*_: object, **__: object) -> None:
        raise cli.CallError("enough")

    monkeypatch.setattr(cli, "ResolverClient", client)
    assert main(["models"], {"FOREBAY_RESOLVER": "10.1.2.3:1", "FOREBAY_PLAINTEXT_NETWORK": word}) == 1


def test_files_that_cannot_be_used_are_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--resolver-ca", "/no/such/file"], {}) == 1
    out, errors = capsys.readouterr()
    assert (out, errors.count("\n")) == ("", 1)
    assert errors.startswith("forebay: --resolver-ca: /no/such/file is no file of PEM certificates")


def test_who_is_interrupted_says_so_by_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    assert main(["models"], {}) == 130


def test_a_check_that_was_killed_has_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = subprocess.CompletedProcess[bytes]([], -9)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: killed)
    assert main(["check", "file"], {}) == 1


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("127.0.0.1:8401", True),
        ("resolver.internal:1", True),
        ("[::1]:8401", True),
        ("unix:/run/forebay.sock", True),
        ("unix:", False),
        ("127.0.0.1", False),
        (":8401", False),
        ("127.0.0.1:0", False),
        ("127.0.0.1:65535", True),
        ("127.0.0.1:65536", False),
        ("127.0.0.1:+80", False),
        ("127.0.0.1: 80", False),
        ("[::1:8401", False),
        ("::1]:8401", False),
        ("127.0.0.1:" + "9" * 5000, False),
        ("127.0.0.1:²", False),
        ("::1:8401", False),
        ("http://127.0.0.1:8401", False),
        ("", False),
    ],
)
def test_an_address_is_a_host_and_a_port_or_a_socket(address: str, *, is_one: bool) -> None:
    assert is_address(address) is is_one


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("unix:/x", True),
        ("0.0.0.0:1", False),
        ("10.0.0.1:1", False),
        ("resolver:1", False),
        ("localhost.example.com:1", False),
        ("127.0.0.1.example.com:1", False),
    ],
)
def test_local_is_what_stays_on_this_machine(address: str, *, local: bool) -> None:
    assert is_local(address) is local
