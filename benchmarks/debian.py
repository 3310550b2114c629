"""The tools that the measurement stands on: found, or installed from Debian."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

NGINX = "nginx"
LUA = "libnginx-mod-http-lua"
WRK = "wrk"
K6 = "k6"
NODE = "node"
TASKSET = "taskset"
NGINX_MODULES = Path("/usr/lib/nginx/modules")

_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


class MissingToolError(Exception):
    """A tool is neither here nor can it be installed; the message says what to install."""


def find(tool: str) -> str | None:
    """Its path, if it is installed. Debian's nginx is in a directory that not everyone's PATH has."""
    if tool == LUA:
        module = NGINX_MODULES / "ngx_http_lua_module.so"
        return str(module) if module.exists() else None
    return shutil.which(tool, path=_PATH)


def require(*tools: str) -> dict[str, str]:
    """The paths of these tools, whose Debian packages have their names. Installs those that are missing, which needs
    root. Raises `MissingToolError`."""
    missing = [tool for tool in tools if find(tool) is None]
    if missing:
        _install(missing)
    return {tool: path for tool in tools if (path := find(tool)) is not None}


def _install(packages: list[str]) -> None:
    wanted = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0 or find("apt-get") is None:
        raise MissingToolError(f"{' and '.join(packages)} missing, and only root can install: run\n  {wanted}")
    print(f"installing: {wanted}", flush=True)
    # A nginx of the system's is not wanted, only the program: with runlevel 1, Debian does not start what it installs.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["apt-get", "update", "-qq"], [*wanted.split(), "--yes", "-qq"]):
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise MissingToolError(f"'{' '.join(command)}' failed; install {' and '.join(packages)}:\n{result.stderr}")
    if still := [package for package in packages if find(package) is None]:
        raise MissingToolError(f"{' and '.join(still)} cannot be found, though the package is installed")
