from __future__ import annotations

import gc
import sys

from resolver_service.app.considerate import SWITCH_S, considerate


def test_threads_take_shorter_turns_and_nothing_is_looked_through_meanwhile() -> None:
    usual_s = sys.getswitchinterval()
    with considerate():
        with considerate():
            assert not gc.isenabled()
        assert not gc.isenabled(), "the outer one goes on"
        assert sys.getswitchinterval() <= SWITCH_S * 1.01
    assert gc.isenabled()
    assert sys.getswitchinterval() == usual_s
    assert gc.get_freeze_count() > 0
    gc.unfreeze()
