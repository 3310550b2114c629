from __future__ import annotations

import json

from edge_service.dialects import losses
from tests.support import golden

MADE_UP = {"futureField", "new_field", "shiny"}


def test_everything_that_the_files_lose_has_a_name() -> None:
    lost = set()
    for snapshot in golden.ROOT.glob("*/requests/*/*.json"):
        said = json.loads(snapshot.read_text())
        lost |= set(said.get("dropped", ()) if isinstance(said, dict) else ())
    assert len(lost) > 30
    assert lost - losses.NAMES == MADE_UP


def test_what_somebody_makes_up_is_not_repeated() -> None:
    assert losses.told(["seed", "shiny", "top_k", "x-secret", "seed"]) == ("seed", losses.OTHER, "top_k")
    assert losses.told([]) == ()
