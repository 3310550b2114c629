from __future__ import annotations

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from edge_service.adapters.credentials_local import SECRETS_DIRECTORY, LocalCredentials
from edge_service.app.ports import CredentialError

PATTERNS = ("*_API_KEY", "*_API_KEY_*")
SECRET = "sk-canary-8f2a"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    made.mkdir()
    return made


def from_environment(name: str, value: str = SECRET, patterns: tuple[str, ...] = PATTERNS) -> str:
    return LocalCredentials({name: value}, patterns).secret(f"env:{name}")


def test_secret_files_are_looked_for_where_docker_puts_them() -> None:
    assert Path("/run/secrets") == SECRETS_DIRECTORY


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "OPENAI_API_KEY_2", "_API_KEY", "my_API_KEY"])
def test_an_allowed_name_leads_to_its_secret(name: str) -> None:
    assert from_environment(name) == SECRET


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "DATABASE_PASSWORD",
        "OPENAI_API_KEYS",
        "openai_api_key",
        "FOREBAY_API_KEY",
        "FOREBAY_TOKEN",
        "FOREBAY_EDGE_API_KEY_2",
        "",
        "*_API_KEY",
    ],
)
def test_any_other_name_leads_nowhere(name: str) -> None:
    credentials = LocalCredentials({name: SECRET} if name != "*_API_KEY" else {"X_API_KEY": SECRET}, PATTERNS)
    with pytest.raises(CredentialError):
        credentials.secret(f"env:{name}")


@pytest.mark.parametrize("patterns", [("*",), ("FOREBAY_*",), ("FOREBAY_TOKEN",)])
def test_no_pattern_opens_what_is_the_gateways_own(patterns: tuple[str, ...]) -> None:
    with pytest.raises(CredentialError):
        from_environment("FOREBAY_TOKEN", patterns=patterns)


def test_without_patterns_no_name_is_allowed() -> None:
    with pytest.raises(CredentialError):
        from_environment("OPENAI_API_KEY", patterns=())


def test_the_environment_is_asked_at_every_call() -> None:
    environment = {"A_API_KEY": "one"}
    credentials = LocalCredentials(environment, PATTERNS)
    assert credentials.secret("env:A_API_KEY") == "one"
    environment["A_API_KEY"] = "two"
    assert credentials.secret("env:A_API_KEY") == "two"
    del environment["A_API_KEY"]
    with pytest.raises(CredentialError, match=r"^env:A_API_KEY is not set in the environment of this edge$"):
        credentials.secret("env:A_API_KEY")


@pytest.mark.parametrize(
    ("value", "secret"),
    [("key", "key"), (" key\n", "key"), ("two words", "two words"), ("!~", "!~"), ("x", "x"), ("a" * 4096, "a" * 4096)],
)
def test_white_space_around_a_secret_is_not_part_of_it(value: str, secret: str, directory: Path) -> None:
    assert from_environment("A_API_KEY", value) == secret
    (directory / "key").write_text(value)
    assert LocalCredentials({}, (), directory).secret(f"file:{directory}/key") == secret


@pytest.mark.parametrize(
    "value",
    ["", " \n", "key\r\nx-injected: 1", "key\nkey", "a\x00b", "a\tb", "a\x7fb", "schlüssel", "key\u2028", "\udcff"],
)
def test_what_cannot_stand_in_a_header_is_no_secret(value: str, directory: Path) -> None:
    with pytest.raises(CredentialError, match=r"^env:A_API_KEY is empty, or has characters in it that no key has$"):
        from_environment("A_API_KEY", value)
    (directory / "key").write_bytes(os.fsencode(value))
    with pytest.raises(CredentialError, match=r"characters in it that no key has$"):
        LocalCredentials({}, (), directory).secret(f"file:{directory}/key")


@pytest.mark.parametrize("reference", ["", SECRET, f"{SECRET}:x", "ENV:A_API_KEY", f"literal:{SECRET}", "//", ":"])
def test_a_reference_of_another_kind_is_not_repeated_for_it_may_be_a_secret(reference: str) -> None:
    with pytest.raises(CredentialError) as raised:
        LocalCredentials({}, PATTERNS).secret(reference)
    assert str(raised.value) == "a credential reference is neither env:NAME nor file:PATH"


def test_a_file_is_read_anew_when_it_changes(directory: Path) -> None:
    path = directory / "key"
    credentials = LocalCredentials({}, (), directory)
    path.write_text("one")
    assert credentials.secret(f"file:{path}") == "one"
    path.write_text("other")
    assert credentials.secret(f"file:{path}") == "other"


def test_a_file_that_has_not_changed_is_not_read_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = directory / "key"
    path.write_text("one")
    credentials = LocalCredentials({}, (), directory)
    assert credentials.secret(f"file:{path}") == "one"
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("read again"))
    assert credentials.secret(f"file:{path}") == "one"


def test_a_link_that_is_turned_to_another_file_is_followed_though_their_times_are_the_same(directory: Path) -> None:
    # As Kubernetes updates secrets: https://kubernetes.io/docs/concepts/configuration/secret/
    for name in ("one", "two"):
        (directory / name).write_text(name)
        os.utime(directory / name, ns=(1, 1))
    link = directory / "key"
    link.symlink_to("one")
    credentials = LocalCredentials({}, (), directory)
    assert credentials.secret(f"file:{link}") == "one"
    (directory / "new").symlink_to("two")
    (directory / "new").rename(link)
    assert credentials.secret(f"file:{link}") == "two"


def test_a_file_that_went_away_leads_nowhere(directory: Path) -> None:
    path = directory / "key"
    path.write_text("one")
    credentials = LocalCredentials({}, (), directory)
    credentials.secret(f"file:{path}")
    path.unlink()
    with pytest.raises(CredentialError, match=r"cannot be read: FileNotFoundError$"):
        credentials.secret(f"file:{path}")


def test_one_that_goes_missing_is_told_of_once_each_time(directory: Path) -> None:
    path = directory / "key"
    credentials = LocalCredentials({}, (), directory)
    with capture_logs() as logs:
        for _ in range(2):
            for _ in range(3):
                with pytest.raises(CredentialError):
                    credentials.secret(f"file:{path}")
            path.write_text("one")
            credentials.secret(f"file:{path}")
            path.unlink()
    assert [log["event"] for log in logs] == ["credential_unavailable"] * 2


def test_nothing_outside_the_directory_is_read(directory: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text(SECRET)
    beside = tmp_path / "secrets-of-another"
    beside.mkdir()
    (beside / "key").write_text(SECRET)
    (directory / "link").symlink_to(outside)
    (directory / "folder").symlink_to(tmp_path)
    places = [
        outside,
        beside / "key",
        directory / "link",
        directory / "folder" / "outside",
        directory / ".." / "outside",
        Path("/proc/self/environ"),
        Path("outside"),
    ]
    for place in places:
        with pytest.raises(CredentialError):
            LocalCredentials({}, (), directory).secret(f"file:{place}")


def test_a_link_within_the_directory_is_followed(directory: Path) -> None:
    (directory / "key").write_text(SECRET)
    (directory / "link").symlink_to("key")
    assert LocalCredentials({}, (), directory).secret(f"file:{directory}/link") == SECRET


@pytest.mark.parametrize("name", ["missing", "folder", "pipe", "loop", "a\x00b", "x" * 300, ""])
def test_what_is_no_file_leads_nowhere(name: str, directory: Path) -> None:
    (directory / "folder").mkdir()
    os.mkfifo(directory / "pipe")
    (directory / "loop").symlink_to("loop")
    with pytest.raises(CredentialError):
        LocalCredentials({}, (), directory).secret(f"file:{directory}/{name}")


def test_no_error_says_anything_of_a_secret(directory: Path) -> None:
    (directory / "key").write_text(f"{SECRET}\nä")
    environment = {"A_API_KEY": f"{SECRET}\nä", "PASSWORD": SECRET}
    credentials = LocalCredentials(environment, PATTERNS, directory)
    for reference in (f"file:{directory}/key", "env:A_API_KEY", "env:PASSWORD"):
        with pytest.raises(CredentialError) as raised:
            credentials.secret(reference)
        error: BaseException | None = raised.value
        while error is not None:
            assert SECRET not in repr(error)
            error = error.__cause__ or error.__context__
    assert SECRET not in repr(credentials)
