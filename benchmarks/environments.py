"""Programs of others that are measured or measure, each in an environment of its own below `benchmarks/environments`:
none is a dependency of Forebay. Which versions is settled in `benchmarks/pins`, with hashes."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.debian import NODE, MissingToolError, find

PINS = Path(__file__).parent / "pins"
ENVIRONMENTS = Path(__file__).parent / "environments"
INSTALL_S = 600.0


def of_python(name: str) -> Path:
    """The programs of a Python environment with what `pins/NAME.lock` says. Raises `MissingToolError`."""
    lock = PINS / f"{name}.lock"
    directory = ENVIRONMENTS / name
    pip = [str(directory / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    commands = [
        [sys.executable, "-m", "venv", "--clear", str(directory)],
        [*pip, "--only-binary", ":all:", "--require-hashes", "-r", str(lock)],
    ]
    _install(name, directory, lock, f"{Path(sys.executable).resolve()} {sys.version}", commands)
    return directory / "bin"


def of_node(name: str) -> Path:
    """A directory of `node_modules` with what `pins/NAME/package-lock.json` says. Raises `MissingToolError`."""
    for program in (NODE, "npm"):
        if find(program) is None:
            raise MissingToolError(f"{program} is missing (Debian's nodejs and npm, or those of nodejs.org)")
    pins, directory = PINS / name, ENVIRONMENTS / name
    # What it would run after installing is of no use here.
    command = ["npm", "ci", "--prefix", str(directory), "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(pins / file, directory / file)
    except OSError as error:
        raise MissingToolError(f"{name} could not be installed: {error}") from error
    _install(name, directory, pins / "package-lock.json", "npm", [command])
    return directory / "node_modules"


def _install(name: str, directory: Path, lock: Path, made_by: str, commands: list[list[str]]) -> None:
    """Unless it is there already, as the lock has it, and made by the same."""
    try:
        wanted = f"{hashlib.sha256(lock.read_bytes()).hexdigest()} by {made_by}"
        done = directory / ".installed"
        if done.exists() and done.read_text() == wanted:
            return
        print(f"installing {name}", flush=True)
        done.unlink(missing_ok=True)
        for command in commands:
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=INSTALL_S)
        done.write_text(wanted)
    except subprocess.CalledProcessError as error:
        raise MissingToolError(f"{name} could not be installed: {_reason(error) or error}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingToolError(f"{name} could not be installed: {error}") from error


def _reason(error: subprocess.CalledProcessError) -> str:
    """The last line, which is pip's; npm begins with what it is, and ends with where it has written it down."""
    lines = (error.stderr or error.stdout).strip().splitlines()
    return next(iter([line for line in lines if line.startswith(("npm error", "npm ERR!"))] or lines[-1:]), "")


def version(name: str) -> str:
    """What the pins say."""
    lock = PINS / f"{name}.lock"
    if lock.exists():
        wanted = f"{name}=="
        line = next(line for line in lock.read_text().splitlines() if line.startswith(wanted))
        return line.removeprefix(wanted).split()[0]
    return str(*json.loads((PINS / name / "package.json").read_text())["dependencies"].values())
