from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from edge_service import settings
from edge_service.settings import Settings


def load(*arguments: str, **environment: str) -> Settings:
    return settings.load(arguments, environment)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, **environment: str) -> str:
    """What the edge says when it exits."""
    with pytest.raises(SystemExit) as raised:
        load(*arguments, **environment)
    assert raised.value.code == 2
    return capsys.readouterr().err.splitlines()[-1].removeprefix("forebay-edge: error: ")


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        load("--version")
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"forebay-edge {version('forebay')}\n"


def test_without_a_word_everything_is_on_loopback() -> None:
    given = load()
    assert (given.resolvers, given.host, given.port) == (("127.0.0.1:8401",), "127.0.0.1", 8400)
    assert given.credential_names == ("*_API_KEY", "*_API_KEY_*")
    assert (given.drain_s, given.drain_delay_s, given.token) == (30.0, 0.0, "")
    assert given.heartbeat_s == 0.0


# For each flag a value, and the field it ends up in.
FLAGS: dict[str, tuple[str | None, str, object]] = {
    "--resolver": ("127.0.0.1:1, unix:/run/r.sock", "resolvers", ("127.0.0.1:1", "unix:/run/r.sock")),
    "--listen": ("127.0.0.2:99", "port", 99),
    "--ops-listen": ("[::1]:99", "ops", ("::1", 99)),
    "--allow-open": (None, "host", "0.0.0.0"),
    "--plaintext-network": (None, "resolvers", ("resolver:8401",)),
    "--cors-origins": (
        "https://app.example.com, http://localhost:3000",
        "cors_origins",
        {"https://app.example.com", "http://localhost:3000"},
    ),
    "--credential-env": ("A_*, B,", "credential_names", ("A_*", "B")),
    "--tls-cert": ("/etc/cert.pem", "tls", (Path("/etc/cert.pem"), Path("key"))),
    "--tls-key": ("/etc/key.pem", "tls", (Path("cert"), Path("/etc/key.pem"))),
    "--resolver-ca": ("/etc/ca.pem", "resolver_ca", Path("/etc/ca.pem")),
    "--resolver-cert": ("/etc/cert.pem", "resolver_pair", (Path("/etc/cert.pem"), Path("key"))),
    "--resolver-key": ("/etc/key.pem", "resolver_pair", (Path("cert"), Path("/etc/key.pem"))),
    "--resolver-name": ("resolver.example", "resolver_name", "resolver.example"),
    "--upstream-ca": ("/etc/ca.pem", "upstream_ca", Path("/etc/ca.pem")),
    "--upstream-proxy": ("http://u:p@proxy:3128", "upstream_proxy", "http://u:p@proxy:3128"),
    "--drain": ("2.5", "drain_s", 2.5),
    "--drain-delay": ("1.5", "drain_delay_s", 1.5),
    "--client-stall": ("1.5", "client_stall_s", 1.5),
    "--heartbeat": ("1.5", "heartbeat_s", 1.5),
    "--max-concurrent": ("7", "max_concurrent", 7),
    "--max-concurrent-per-key": ("7", "max_concurrent_per_key", 7),
    "--workers": ("3", "workers", 3),
}
# What makes a switch show.
NEEDS_CONSENT = {
    "--allow-open": {"FOREBAY_EDGE_LISTEN": "0.0.0.0:8400"},
    "--plaintext-network": {"FOREBAY_EDGE_RESOLVER": "resolver:8401"},
}
# What a flag cannot be without.
NEEDS = {
    **NEEDS_CONSENT,
    "--tls-cert": {"FOREBAY_EDGE_TLS_KEY": "key"},
    "--tls-key": {"FOREBAY_EDGE_TLS_CERT": "cert"},
    "--resolver-cert": {"FOREBAY_EDGE_RESOLVER_CA": "ca", "FOREBAY_EDGE_RESOLVER_KEY": "key"},
    "--resolver-key": {"FOREBAY_EDGE_RESOLVER_CA": "ca", "FOREBAY_EDGE_RESOLVER_CERT": "cert"},
    "--resolver-name": {"FOREBAY_EDGE_RESOLVER_CA": "ca"},
}


def test_no_address_for_operations_is_none() -> None:
    assert load("--ops-listen", "").ops is None


def variable(flag: str) -> str:
    return "FOREBAY_EDGE_" + flag[2:].upper().replace("-", "_")


def test_every_flag_is_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load("--help")
    told = set(re.findall(r"^ +(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    assert told == {*FLAGS, "--version"}


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_has_an_environment_variable_of_the_same_name(flag: str) -> None:
    value, field, expected = FLAGS[flag]
    around: Any = NEEDS.get(flag, {})
    by_flag = load(flag, *([] if value is None else [value]), **around)
    by_variable = load(**{variable(flag): value or "1"}, **around)
    assert getattr(by_flag, field) == getattr(by_variable, field) == expected
    assert getattr(load(), field) != expected


@pytest.mark.parametrize("flag", ["--resolver", "--listen", "--credential-env", "--drain"])
def test_a_flag_outweighs_its_variable(flag: str) -> None:
    value, field, expected = FLAGS[flag]
    other = {"--resolver": "127.0.0.1:5", "--listen": "127.0.0.1:5", "--credential-env": "X", "--drain": "5"}[flag]
    assert value is not None
    assert getattr(load(flag, value, **{variable(flag): other}), field) == expected


@pytest.mark.parametrize("flag", NEEDS_CONSENT)
@pytest.mark.parametrize("value", ["1", "true", "TRUE", "yes", "on"])
def test_a_switch_is_on_by_a_word_that_says_so(flag: str, value: str) -> None:
    assert not load(**{variable(flag): value}, **NEEDS_CONSENT[flag]).key_required


@pytest.mark.parametrize("value", ["", "0", "false", "no", "off", "ture", " "])
def test_a_switch_is_off_by_any_other_word(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    flag = "--plaintext-network"
    assert f"add {flag} to consent" in refused(capsys, **{variable(flag): value}, **NEEDS_CONSENT[flag])
    flag = "--allow-open"
    assert load(**{variable(flag): value}, **NEEDS_CONSENT[flag]).key_required


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("FOREBAY_EDGE_LISTN", "did you mean FOREBAY_EDGE_LISTEN?"),
        ("FOREBAY_EGDE_LISTEN", "did you mean FOREBAY_EDGE_LISTEN?"),
        ("FOREBAY_LISTEN", "did you mean FOREBAY_EDGE_LISTEN?"),
        ("FOREBAY_EDGE_RESOLVERS", "did you mean FOREBAY_EDGE_RESOLVER?"),
        ("FOREBAY_TOKN", "did you mean FOREBAY_TOKEN?"),
        ("FOREBAY_EDGE_TOKEN", "did you mean FOREBAY_TOKEN?"),
        ("FOREBAY_EDGE_PORT", "--help has what does"),
    ],
)
def test_a_variable_that_means_nothing_is_told_of_by_its_name(
    name: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    load(**{name: "127.0.0.1:9999"})
    assert capsys.readouterr().err == f"forebay-edge: warning: {name} means nothing here; {meant}\n"
    load("--as-worker", "0,1,2,3", **{name: "127.0.0.1:9999"})
    assert not capsys.readouterr().err  # Its supervisor has said so.


OTHERS_VARIABLES = {
    # Of docker-compose and its containers, of the command and of the other service.
    **dict.fromkeys(("FOREBAY_PORT", "FOREBAY_PROMETHEUS_PORT", "FOREBAY_UID", "FOREBAY_CONFIG_DIR"), "1"),
    **dict.fromkeys(("FOREBAY_STORE_PASSWORD", "FOREBAY_CERTIFICATES_DIR", "FOREBAY_CLIENT_KEY"), "1"),
    **dict.fromkeys(("FOREBAY_RESOLVER", "FOREBAY_RESOLVER_CA", "FOREBAY_PLAINTEXT_NETWORK", "FOREBAY_TIMEOUT"), "1"),
    **dict.fromkeys(("FOREBAY_RESOLVER_LISTEN", "FOREBAY_MANAGEMENT_KEY", "EDGE_LISTN"), "1"),
    # Of Kubernetes, for services called forebay-edge and forebay-edge-ops.
    **dict.fromkeys(("FOREBAY_EDGE_SERVICE_HOST", "FOREBAY_EDGE_PORT_8400_TCP_ADDR"), "10.0.0.1"),
    **dict.fromkeys(("FOREBAY_EDGE_SERVICE_PORT", "FOREBAY_EDGE_SERVICE_PORT_HTTP"), "8400"),
    **dict.fromkeys(
        ("FOREBAY_EDGE_PORT", "FOREBAY_EDGE_PORT_8400_TCP", "FOREBAY_EDGE_OPS_PORT"), "tcp://10.0.0.1:8400"
    ),
    "FOREBAY_EDGE_PORT_8400_TCP_PROTO": "tcp",
    "FOREBAY_EDGE_PORT_8400_TCP_PORT": "8400",
}


def test_nothing_is_said_of_the_variables_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    load(**OTHERS_VARIABLES)
    assert not capsys.readouterr().err


LOOPBACK = ["127.0.0.1:8400", "127.8.9.10:8400", "localhost:8400", "[::1]:8400", "127.0.0.1:0"]
NETWORK = [
    "0.0.0.0:8400",
    "10.0.0.1:8400",
    "192.168.0.1:8400",
    "169.254.169.254:80",
    "[::]:8400",
    "[fe80::1]:8400",
    "[::ffff:10.0.0.1]:8400",
    "resolver:8401",
    "localhost.evil.example:8401",
    "127.0.0.1.nip.io:8401",
    "127.1:8401",
    "0:8401",
]


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_needs_no_consent(address: str) -> None:
    host, _, port = address.rpartition(":")
    given = load("--listen", address, "--resolver", address)
    assert (given.host, given.port, given.resolvers) == (host.strip("[]"), int(port), (address,))
    assert not given.key_required


@pytest.mark.parametrize("address", NETWORK)
def test_at_any_other_address_keys_are_required_unless_words_say_otherwise(address: str) -> None:
    given = load("--listen", address)
    assert (given.port, given.key_required) == (int(address.rpartition(":")[2]), True)
    assert not load("--listen", address, "--allow-open").key_required


@pytest.mark.parametrize("address", NETWORK)
def test_a_resolver_at_any_other_address_needs_consent_in_words(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "add --plaintext-network to consent" in refused(capsys, "--resolver", address)
    assert load("--resolver", address, "--plaintext-network").resolvers == (address,)


@pytest.mark.parametrize("address", NETWORK)
def test_tls_needs_no_consent(address: str) -> None:
    assert load("--resolver", address, "--resolver-ca", "ca.pem").resolvers == (address,)


def test_https_is_no_client_key() -> None:
    https = ("--tls-cert", "cert.pem", "--tls-key", "key.pem")
    assert load("--listen", "0.0.0.0:8400", *https).key_required


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--tls-cert", "--tls-cert and --tls-key go together"),
        ("--tls-key", "--tls-cert and --tls-key go together"),
        ("--resolver-cert", "--resolver-cert and --resolver-key go together"),
        ("--resolver-key", "--resolver-cert and --resolver-key go together"),
        ("--resolver-name", "need --resolver-ca: without it there is no TLS"),
    ],
)
def test_half_of_tls_is_refused(flag: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in refused(capsys, flag, "x")


def test_a_certificate_for_resolvers_is_nothing_without_tls(capsys: pytest.CaptureFixture[str]) -> None:
    assert "need --resolver-ca" in refused(capsys, "--resolver-cert", "x", "--resolver-key", "y")


def test_one_consent_does_not_stand_for_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert load("--listen", "0.0.0.0:1", "--plaintext-network").key_required
    assert "--plaintext-network" in refused(capsys, "--resolver", "resolver:1", "--allow-open")


def test_every_resolver_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--resolver resolver:1 is not on loopback" in refused(capsys, "--resolver", "127.0.0.1:1,resolver:1")


@pytest.mark.parametrize(
    "address",
    [
        "",
        ":",
        ":8400",
        "8400",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:http",
        "127.0.0.1:-1",
        "127.0.0.1:65536",
        "127.0.0.1:٨",
        "127.0.0.1: 80",
        "::1:8400",
        "::1",
        "[::1]",
        "[::1:8400",
        "::1]:8400",
        "http://127.0.0.1:80",
        "dns:127.0.0.1:80",
    ],
)
def test_what_is_no_address_is_refused(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    consent = ("--allow-open", "--plaintext-network")
    assert refused(capsys, "--listen", address, *consent) == f"--listen: '{address}' is not HOST:PORT"
    said = refused(capsys, "--resolver", f"127.0.0.1:1,{address},", *consent) if address else ""
    assert not address or said == f"--resolver: '{address}' is neither HOST:PORT nor unix:PATH"


@pytest.mark.parametrize("address", ["8402", "127.0.0.1:", "127.0.0.1:65536", "::1:8402", "unix:/run/ops.sock"])
def test_operations_need_an_address_of_that_kind_too(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "--ops-listen", address) == f"--ops-listen: '{address}' is not HOST:PORT"
    assert refused(capsys, **{variable("--ops-listen"): address}) == f"--ops-listen: '{address}' is not HOST:PORT"


@pytest.mark.parametrize("value", ["", ",", " , "])
def test_there_must_be_a_resolver(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "--resolver", value) == "--resolver needs at least one address"


def test_a_unix_socket_is_for_resolvers_and_needs_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert load("--resolver", "unix:/run/forebay.sock").resolvers == ("unix:/run/forebay.sock",)
    assert "neither HOST:PORT nor unix:PATH" in refused(capsys, "--resolver", "unix:")
    assert "is not HOST:PORT" in refused(capsys, "--listen", "unix:/run/forebay.sock")


@pytest.mark.parametrize("flag", ["--drain", "--drain-delay", "--heartbeat"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "soon", "", "1m"])
def test_what_may_be_none_is_a_number_of_seconds(flag: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = f"{flag}: '{value}' is not a number of seconds"
    assert said in refused(capsys, f"{flag}={value}")
    assert said in refused(capsys, **{variable(flag): value})


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--client-stall", each) for each in ("nan", "inf", "0", "-1", "soon")]
    + [(flag, each) for flag in ("--max-concurrent", "--workers") for each in ("0", "-1", "1.5", "many", "9" * 5000)],
)
def test_a_bound_is_a_number_above_0(flag: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, f"{flag}={value}")
    assert f"{flag}: " in said
    assert "is not a " in said


@pytest.mark.parametrize("value", ["-1", "1.5", "many"])
def test_the_bound_for_a_key_is_a_number_or_none(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--max-concurrent-per-key" in refused(capsys, f"--max-concurrent-per-key={value}")
    assert load("--max-concurrent-per-key", "0").max_concurrent_per_key == 0


def test_the_grace_may_be_none() -> None:
    assert load("--drain", "0").drain_s == 0.0


def test_the_token_comes_from_the_environment_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert load(FOREBAY_TOKEN="s3cret").token == "s3cret"
    assert "unrecognized arguments" in refused(capsys, "--token", "s3cret")


@pytest.mark.parametrize("token", ["s3cret\n", "s3\x00cret", "s3crét", "\t"])
def test_a_token_that_cannot_stand_in_a_header_is_refused_and_not_shown(
    token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, FOREBAY_TOKEN=token)
    assert said == "FOREBAY_TOKEN has characters in it that cannot stand in a header"


def test_no_secret_is_in_the_representation() -> None:
    proxy = "http://u:hunter2@proxy:3128"
    given = load(FOREBAY_TOKEN="s3cret", OPENAI_API_KEY="sk-canary", FOREBAY_EDGE_UPSTREAM_PROXY=proxy)
    assert given.upstream_proxy == proxy
    assert "s3cret" not in repr(given)
    assert "hunter2" not in repr(given)
    assert "sk-canary" not in repr(given)
    assert given.environment["OPENAI_API_KEY"] == "sk-canary"


@pytest.mark.parametrize("argument", ["--list", "--resolv", "--allow", "stray"])
def test_flags_are_not_guessed(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "unrecognized arguments" in refused(capsys, argument)


@pytest.mark.parametrize("origin", ["*", "https://a.example", "http://[::1]:3000", "chrome-extension://abcdef", ""])
def test_origins_are_as_browsers_write_them(origin: str) -> None:
    assert load("--cors-origins", origin).cors_origins == ({origin} if origin else set())


@pytest.mark.parametrize(
    "origin",
    [
        "https://a.example/",
        "https://A.example",
        "https://a.example:443",
        "http://a.example:80",
        "a.example",
        "https://*.example",
        "https://u@a.example",
        "null",
        "https://",
    ],
)
def test_what_no_browser_would_write_is_refused(capsys: pytest.CaptureFixture[str], origin: str) -> None:
    assert f"'{origin}' is no origin" in refused(capsys, "--cors-origins", origin)


def test_everyone_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert "stands alone" in refused(capsys, "--cors-origins", "*,https://a.example")


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http://:3128",
        "http://u:hunt/er2@proxy:3128",
        "http://u:hunter2@proxy:65536",
        "http://u:hunter2@proxy:0",
        "socks5://u:hunter2@proxy:3128",
        "hunter2@proxy:3128",
    ],
)
def test_a_proxy_needs_an_address_and_the_wrong_one_is_not_quoted(capsys: pytest.CaptureFixture[str], url: str) -> None:
    said = refused(capsys, FOREBAY_EDGE_UPSTREAM_PROXY=url)
    assert "--upstream-proxy: not an address" in said
    assert "hunt" not in said


def test_a_port_of_thousands_of_digits_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not HOST:PORT" in refused(capsys, "--listen", "127.0.0.1:" + "9" * 5000)
