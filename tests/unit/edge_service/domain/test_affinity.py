from __future__ import annotations

import itertools

from edge_service.domain.affinity import AffinityKeys, Made

OWNER, OTHER = b"o" * 32, b"x" * 32


def test_every_edge_makes_the_same_key() -> None:
    made = Made("resp_1", OWNER)
    assert AffinityKeys("token").of(made) == AffinityKeys("token").of(made)
    assert len(AffinityKeys("token").of(made)) == 32


def test_it_is_another_one_for_another_token_owner_or_id() -> None:
    each = [
        AffinityKeys(token).of(Made(made_id, owner))
        for token in ("", "token", "tokem")
        for made_id in ("resp_1", "resp_2", "", "o" * 32 + "resp_1", "\U0001f600")
        for owner in (b"", OWNER, OTHER)
    ]
    assert all(one != another for one, another in itertools.combinations(each, 2))
