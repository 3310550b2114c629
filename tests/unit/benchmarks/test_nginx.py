from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import nginx
from benchmarks.debian import MissingToolError


def test_a_module_that_nginx_does_not_take_is_missing_and_why(tmp_path: Path) -> None:
    program = tmp_path / "nginx"
    program.write_text("#!/bin/sh\necho 'module is not binary compatible' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(MissingToolError, match="does not start with it: module is not binary compatible"):
        nginx.require_lua(str(program), tmp_path / "lua")
