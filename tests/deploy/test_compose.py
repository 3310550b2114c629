"""docker-compose.yml with a real engine: built, brought up, asked, and robbed of its resolver."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.deploy.deploying import KEY, MANAGEMENT_KEY, Deployment, deploy, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

UID = 10001

CONFIG = """\
providers:
  - id: scripted
    dialect: openai
    base-url: http://provider:8080/v1
    credentials: [env:OPENAI_API_KEY]
    allow-private: true
    models: [m]
model-pools:
  pools:
    - {id: NAME, members: [{provider: scripted, model: m}]}
"""


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("config"), CONFIG.replace("NAME", "pool"), request) as services:
        yield services


def test_it_answers_with_the_key_that_the_edge_has(deployed: Deployment) -> None:
    response = deployed.chat("pool")
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["message"]["content"] == f"Bearer {KEY}"
    assert response.headers["x-forebay-target"] == "scripted/m#0"


@pytest.mark.parametrize("service", ["resolver", "edge"])
def test_nobody_is_root_or_can_write(deployed: Deployment, service: str) -> None:
    status = dict(line.split(":\t", 1) for line in deployed.execute(service, "cat", "/proc/1/status").splitlines())
    assert status["Uid"].split() == status["Gid"].split() == [str(UID)] * 4
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"
    host = deployed.inspect(service)["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert not host["Privileged"]
    with pytest.raises(AssertionError, match="Read-only file system"):
        deployed.execute(service, "touch", "/opt/forebay/x")


def test_each_secret_is_in_one_place(deployed: Deployment) -> None:
    resolver, edge = deployed.inspect("resolver"), deployed.inspect("edge")
    assert KEY not in json.dumps(resolver)
    assert not [variable for variable in resolver["Config"]["Env"] if "_API_KEY" in variable]
    assert MANAGEMENT_KEY not in json.dumps(edge)
    assert f"FOREBAY_MANAGEMENT_KEY={MANAGEMENT_KEY}" in resolver["Config"]["Env"]
    assert f"OPENAI_API_KEY={KEY}" in edge["Config"]["Env"]


def test_the_resolver_alone_has_the_configuration_and_the_state(deployed: Deployment) -> None:
    resolver, edge = deployed.inspect("resolver"), deployed.inspect("edge")
    mounts = {mount["Destination"]: (mount["Type"], mount["RW"]) for mount in resolver["Mounts"]}
    assert mounts == {"/etc/forebay": ("bind", True), "/var/lib/forebay": ("volume", True)}
    assert edge["Mounts"] == []


def test_the_edge_alone_is_reached_from_outside_and_by_loopback(deployed: Deployment) -> None:
    published = {s: deployed.inspect(s)["NetworkSettings"]["Ports"] for s in ("resolver", "edge")}
    assert not any(published["resolver"].values())
    assert published["edge"]["8400/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": str(deployed.port)}]
    assert list(deployed.inspect("resolver")["NetworkSettings"]["Networks"]) == [f"{deployed.project}_control"]


def test_the_resolver_asks_for_the_token(deployed: Deployment) -> None:
    assert "pool" in deployed.execute("resolver", "forebay", "models")
    with pytest.raises(AssertionError, match="FOREBAY_TOKEN"):
        deployed.execute("resolver", "env", "FOREBAY_TOKEN=", "forebay", "models")


@pytest.mark.parametrize(("service", "port"), [("resolver", 8403), ("edge", 8402)])
def test_metrics_are_for_the_networks_of_the_containers(deployed: Deployment, service: str, port: int) -> None:
    """From the edge, as a Prometheus on its networks would ask; what is published was looked at above."""
    ask = f"import urllib.request; print(urllib.request.urlopen('http://{service}:{port}/metrics').read().decode())"
    assert "\nforebay_re" in deployed.execute("edge", "python", "-c", ask)


def test_a_configuration_replaced_by_a_rename_takes_effect(deployed: Deployment) -> None:
    """From inside, as the resolver's own user, and from outside, as an editor does it."""
    replace = "import os, sys; open('new', 'w').write(sys.argv[1]); os.replace('new', 'forebay.yaml')"
    text = CONFIG.replace("NAME", "pool-of-the-resolver")
    deployed.compose("exec", "-T", "--workdir", "/etc/forebay", "resolver", "python", "-c", replace, text)
    eventually(lambda: "pool-of-the-resolver" in deployed.models(), "the resolver's own change is in effect")

    new = deployed.config / "new"
    new.write_text(CONFIG.replace("NAME", "pool"))
    new.chmod(0o644)
    new.replace(deployed.config / "forebay.yaml")
    eventually(lambda: deployed.models() == {"pool", "m"}, "the change from outside is in effect")


def test_a_resolver_that_is_killed_comes_back(deployed: Deployment) -> None:
    def started() -> tuple[str, int]:
        state = deployed.inspect("resolver")
        return state["State"]["StartedAt"], state["RestartCount"]

    at, restarts = started()
    # From inside, as a crash looks like: what `docker kill` ends was ended on purpose, and no restart policy undoes it.
    kill = "import os; [os.kill(int(pid), 9) for pid in open('/proc/1/task/1/children').read().split()]"
    # The killer lives in the container that it ends, and may or may not see the end of it.
    deployed.compose("exec", "-T", "resolver", "python", "-c", kill, check=False)
    eventually(lambda: started()[0] != at, "the resolver has started again")
    assert started()[1] == restarts + 1
    eventually(lambda: deployed.chat("pool").status_code == 200, "it answers again")
    eventually(lambda: deployed.get("/readyz").status_code == 200, "it is ready again")
    # An edge that remembers plans says so before.
    models = ("exec", "-T", "resolver", "forebay", "models")
    eventually(lambda: "pool" in deployed.compose(*models, check=False), "the resolver answers again")


def test_a_drain_outlives_the_containers(deployed: Deployment) -> None:
    """A restart, then other containers, run by another user, over the same volume."""

    def is_drained() -> bool:
        return "drained" in deployed.execute("resolver", "forebay", "explain", "pool")

    def up(it: Deployment) -> None:
        it.compose("up", "--detach", "--wait", "--wait-timeout", "120")

    deployed.execute("resolver", "forebay", "drain", "scripted/m#0")
    deployed.compose("restart", "resolver")
    up(deployed)
    assert is_drained()
    # Until the edge has found it again, it walks the plan that it remembers.
    eventually(lambda: deployed.chat("pool").status_code == 503, "the edge is told so too")

    deployed.compose("down", "--timeout", "5")
    other = replace(deployed, environment={**deployed.environment, "FOREBAY_UID": "12345", "FOREBAY_GID": "12345"})
    up(other)
    try:
        assert is_drained()
        other.execute("resolver", "forebay", "undrain", "scripted/m#0")
        eventually(lambda: other.chat("pool").status_code == 200, "it serves again")
        assert "state_not_kept" not in other.compose("logs", "resolver")
    finally:
        up(deployed)
    assert not is_drained()
    assert "state_not_kept" not in deployed.compose("logs", "resolver")


def test_stopping_is_clean_and_does_not_wait_for_the_kill(deployed: Deployment) -> None:
    began_at = time.monotonic()
    deployed.compose("stop", "resolver", "edge")
    assert time.monotonic() - began_at < 8, "with nothing under way there is nothing to wait for"
    assert [deployed.inspect(service)["State"]["ExitCode"] for service in ("resolver", "edge")] == [0, 0]
    deployed.compose("up", "--detach", "--wait", "--wait-timeout", "120")
    assert deployed.chat("pool").status_code == 200
