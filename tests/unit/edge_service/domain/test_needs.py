from __future__ import annotations

from edge_service.domain.needs import NO_NEEDS, Capability, Needs
from resolver_service.domain import abilities


def test_requests_that_hardly_differ_need_roughly_the_same() -> None:
    one = Needs((Capability.VISION, Capability.TOOLS), 5000, 4096)
    other = Needs((Capability.TOOLS, Capability.VISION, Capability.TOOLS), 8191, 8000)
    assert one.roughly == other.roughly == ((Capability.TOOLS, Capability.VISION), 8192, 8192)
    assert NO_NEEDS.roughly == ((), 0, 0)
    assert Needs(estimated_input_tokens=8192).roughly != one.roughly


def test_both_services_use_the_same_words() -> None:
    assert {c.value for c in Capability} == {c.value for c in abilities.Capability}
