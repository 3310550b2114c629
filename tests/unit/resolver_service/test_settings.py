from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from resolver_service.settings import Settings, is_address, is_local, load

CONFIG = ["--config", "forebay.yaml"]


def refusal(capsys: pytest.CaptureFixture[str], arguments: list[str], environment: dict[str, str] | None = None) -> str:
    """The message with which it exits."""
    with pytest.raises(SystemExit) as caught:
        load(arguments, environment or {})
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_a_configuration_is_all_that_must_be_told() -> None:
    assert load(CONFIG, {}) == Settings(
        config=Path("forebay.yaml"),
        listen="127.0.0.1:8401",
        ops=("127.0.0.1", 8403),
        token="",
        management_key="",
        reflection=True,
        drain_s=1,
        check=False,
        state_dir=None,
        store="",
        tls=None,
        client_ca=None,
        provider_edits=False,
    )


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        load(["--version"], {})
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"forebay-resolver {version('forebay')}\n"


def test_without_a_configuration_it_does_not_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--config FILE (or FOREBAY_RESOLVER_CONFIG) is required" in refusal(capsys, [])


def test_every_flag_can_be_told_by_the_environment() -> None:
    environment = {
        "FOREBAY_RESOLVER_CONFIG": "/etc/forebay.yaml",
        "FOREBAY_RESOLVER_LISTEN": "0.0.0.0:9000",
        "FOREBAY_RESOLVER_OPS_LISTEN": "[::1]:9001",
        "FOREBAY_RESOLVER_PLAINTEXT_NETWORK": "true",
        "FOREBAY_RESOLVER_NO_REFLECTION": "1",
        "FOREBAY_RESOLVER_DRAIN": "2.5",
        "FOREBAY_RESOLVER_STATE_DIR": "/var/lib/forebay",
        "FOREBAY_RESOLVER_TLS_CERT": "/etc/cert.pem",
        "FOREBAY_RESOLVER_TLS_KEY": "/etc/key.pem",
        "FOREBAY_RESOLVER_TLS_CLIENT_CA": "/etc/ca.pem",
        "FOREBAY_RESOLVER_ALLOW_PROVIDER_EDITS": "true",
        "FOREBAY_TOKEN": "secret",
        "FOREBAY_MANAGEMENT_KEY": "another",
    }
    assert load([], environment) == Settings(
        config=Path("/etc/forebay.yaml"),
        listen="0.0.0.0:9000",
        ops=("::1", 9001),
        token="secret",
        management_key="another",
        reflection=False,
        drain_s=2.5,
        check=False,
        state_dir=Path("/var/lib/forebay"),
        store="",
        tls=(Path("/etc/cert.pem"), Path("/etc/key.pem")),
        client_ca=Path("/etc/ca.pem"),
        provider_edits=True,
    )


def test_what_is_shared_is_at_an_address_that_is_not_shown() -> None:
    settings = load(CONFIG, {"FOREBAY_RESOLVER_STORE": "rediss://:hunter2@store:6379/0"})
    assert settings.store == "rediss://:hunter2@store:6379/0"
    assert "hunter2" not in repr(settings)


def test_with_a_store_a_file_is_not_needed(capsys: pytest.CaptureFixture[str]) -> None:
    store = ["--store", "redis://localhost/0"]
    assert load(store, {}).config is None
    assert load([*store, "--state-dir", "state"], {}).state_dir == Path("state")
    assert "--config FILE" in refusal(capsys, [*store, "--check"])
    assert "not an address such as redis://" in refusal(capsys, [*CONFIG, "--store", "localhost:6379"])


def test_a_flag_wins_over_the_environment() -> None:
    environment = {"FOREBAY_RESOLVER_CONFIG": "other.yaml", "FOREBAY_RESOLVER_LISTEN": "127.0.0.1:1"}
    settings = load([*CONFIG, "--listen", "unix:/run/forebay.sock", "--drain", "0", "--check"], environment)
    assert (settings.config, settings.listen, settings.drain_s, settings.check) == (
        Path("forebay.yaml"),
        "unix:/run/forebay.sock",
        0,
        True,
    )


@pytest.mark.parametrize("word", ["1", "true", "YES", "On"])
def test_a_switch_is_on_by_any_word_for_it(word: str) -> None:
    assert not load(CONFIG, {"FOREBAY_RESOLVER_NO_REFLECTION": word}).reflection


@pytest.mark.parametrize("word", ["", "0", "false", "no", "off"])
def test_a_switch_is_off_by_any_other_word(word: str) -> None:
    assert load(CONFIG, {"FOREBAY_RESOLVER_NO_REFLECTION": word}).reflection


@pytest.mark.parametrize("listen", ["0.0.0.0:8401", "[::]:8401", "192.168.0.7:8401", "resolver:8401"])
def test_plaintext_beyond_this_machine_takes_consent(listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "add --plaintext-network to consent" in refusal(capsys, [*CONFIG, "--listen", listen])
    assert load([*CONFIG, "--listen", listen, "--plaintext-network"], {}).listen == listen


TLS = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"]


@pytest.mark.parametrize("listen", ["0.0.0.0:8401", "[::]:8401", "resolver:8401"])
def test_tls_beyond_this_machine_takes_none(listen: str) -> None:
    assert load([*CONFIG, *TLS, "--listen", listen], {}).tls == (Path("cert.pem"), Path("key.pem"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (TLS[:2], "--tls-cert and --tls-key go together"),
        (TLS[2:], "--tls-cert and --tls-key go together"),
        (["--tls-client-ca", "ca.pem"], "--tls-client-ca needs --tls-cert and --tls-key"),
    ],
)
def test_half_of_tls_is_refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in refusal(capsys, [*CONFIG, *arguments])


@pytest.mark.parametrize("listen", ["8401", ":8401", "localhost", "a:", "a:x", "a:65536", "a:-1", "unix:"])
def test_an_address_that_is_none_is_refused(listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not is_address(listen)
    assert "is neither HOST:PORT nor unix:PATH" in refusal(capsys, [*CONFIG, f"--listen={listen}"])


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.9.9.9:1", "localhost:8401", "[::1]:8401", "unix:relative.sock"])
def test_loopback_and_sockets_are_local(listen: str) -> None:
    assert is_address(listen)
    assert is_local(listen)


@pytest.mark.parametrize("listen", ["10.0.0.1:1", "[2001:db8::1]:1", "localhost.example:1", "127.0.0.1.example:1"])
def test_everything_else_is_not(listen: str) -> None:
    assert not is_local(listen)


@pytest.mark.parametrize("arguments", [["--token", "secret"], ["--conf", "forebay.yaml"], ["extra"]])
def test_what_is_not_a_flag_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "error:" in refusal(capsys, [*CONFIG, *arguments])


@pytest.mark.parametrize("seconds", ["soon", "-1", "nan", "inf", ""])
def test_a_time_that_is_none_is_refused(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "argument --drain: " in refusal(capsys, [*CONFIG, f"--drain={seconds}"])
    assert "argument --drain: " in refusal(capsys, CONFIG, {"FOREBAY_RESOLVER_DRAIN": seconds})


def test_the_token_is_never_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        load(["--help"], {"FOREBAY_TOKEN": "canary-7391"})
    assert caught.value.code == 0
    shown = capsys.readouterr()
    assert "canary-7391" not in shown.out + shown.err
    assert "canary-7391" not in repr(load(CONFIG, {"FOREBAY_TOKEN": "canary-7391"}))


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://:6379/0",
        "redis://:hunt/er2@store:6379/0",
        "redis://:hunter2@store:65536/0",
        "redis://:hunter2@store:six/0",
        "http://:hunter2@store/0",
        "redis://:hunter2@localhost/zero",
        "unix://",
    ],
)
def test_a_store_needs_an_address_and_the_wrong_one_is_not_quoted(capsys: pytest.CaptureFixture[str], url: str) -> None:
    said = refusal(capsys, CONFIG, {"FOREBAY_RESOLVER_STORE": url})
    assert "--store: not an address" in said
    assert "hunt" not in said


@pytest.mark.parametrize("url", ["redis://store", "rediss://:hunt%2Fer2@[::1]:6379/0", "unix:///run/valkey.sock?db=1"])
def test_where_a_store_may_be(url: str) -> None:
    assert load([*CONFIG, "--store", url, "--plaintext-store"], {}).store == url


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("colour=hunter2", "behind its '?' it takes db, ssl_ca_certs"),
        ("decode_responses=yes", "behind its '?' it takes db, ssl_ca_certs"),
        ("ssl_ca_certs=ca.pem&ssl_cert_reqs=none", "behind its '?' it takes db, ssl_ca_certs"),
        ("db=hunter2", "its db is not a number"),
    ],
)
@pytest.mark.parametrize("store", ["rediss://:hunter2@store/0", "unix:///run/valkey.sock"])
def test_a_store_is_asked_for_nothing_odd(
    store: str, query: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(capsys, CONFIG, {"FOREBAY_RESOLVER_STORE": f"{store}?{query}"})
    assert words in said or "ssl_ca_certs is for rediss://" in said
    assert "hunt" not in said


def test_files_of_certificates_are_for_tls(capsys: pytest.CaptureFixture[str]) -> None:
    files = "ssl_ca_certs=ca.pem&ssl_certfile=cert.pem&ssl_keyfile=key.pem"
    assert load([*CONFIG, "--store", f"rediss://store/0?{files}"], {}).store.endswith(files)
    said = refusal(capsys, [*CONFIG, "--store", f"redis://localhost/0?{files}"])
    assert "ssl_ca_certs is for rediss://" in said


@pytest.mark.parametrize("host", ["store", "10.0.0.7:6379", "[2001:db8::7]", ":hunter2@0.0.0.0", "localhost.example"])
def test_a_store_elsewhere_takes_tls_or_consent(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(capsys, CONFIG, {"FOREBAY_RESOLVER_STORE": f"redis://{host}/0"})
    assert "add --plaintext-store to consent" in said
    assert "hunt" not in said
    assert load([*CONFIG, "--store", f"redis://{host}/0", "--plaintext-store"], {}).store
    assert load([*CONFIG, "--store", f"rediss://{host}/0"], {}).store


@pytest.mark.parametrize(
    "store", ["redis://localhost", "redis://127.0.0.2:6379/3", "redis://[::1]/0", "unix:///s?db=2"]
)
def test_a_store_on_this_machine_takes_none(store: str) -> None:
    assert load([*CONFIG, "--store", store], {}).store == store


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("FOREBAY_RESOLVER_STATEDIR", "did you mean FOREBAY_RESOLVER_STATE_DIR?"),
        ("FOREBAY_RESLOVER_LISTEN", "did you mean FOREBAY_RESOLVER_LISTEN?"),
        ("FOREBAY_MANAGMENT_KEY", "did you mean FOREBAY_MANAGEMENT_KEY?"),
        ("FOREBAY_RESOLVER_MANAGEMENT_KEY", "did you mean FOREBAY_MANAGEMENT_KEY?"),
        ("FOREBAY_RESOLVER_PORT", "--help has what does"),
    ],
)
def test_a_variable_that_means_nothing_is_told_of_by_its_name(
    name: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    load(CONFIG, {name: "hunter2"})
    assert capsys.readouterr().err == f"forebay-resolver: warning: {name} means nothing here; {meant}\n"


def test_a_misspelt_variable_is_told_of_before_what_it_leaves_unsaid(capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(capsys, [], {"FOREBAY_RESOLVER_CONFG": "forebay.yaml"})
    assert "did you mean FOREBAY_RESOLVER_CONFIG?" in said
    assert "is required" in said


def test_nothing_is_said_of_the_variables_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    compose = ("PORT", "PROMETHEUS_PORT", "UID", "CONFIG_DIR", "STORE_PASSWORD", "CERTIFICATES_DIR")
    command = ("CLIENT_KEY", "RESOLVER", "RESOLVER_CA", "RESOLVER_CERT", "RESOLVER_NAME", "PLAINTEXT_NETWORK")
    names = (*compose, *command, "EDGE_LISTEN", "EDGE_RESOLVER")
    kubernetes = {"FOREBAY_RESOLVER_PORT": "tcp://10.0.0.1:8401", "FOREBAY_RESOLVER_SERVICE_PORT_GRPC": "8401"}
    load(CONFIG, {**{f"FOREBAY_{name}": "1" for name in names}, **kubernetes, "RESOLVER_CONFG": "1"})
    assert not capsys.readouterr().err
