"""The eleven scenarios that every resolver of model pools must pass, from the text of a configuration to the answer."""

from __future__ import annotations

import pytest

from resolver_service.app.refusals import UnknownModelError
from resolver_service.domain.catalog import Group, Strategy
from tests.support.resolving import Resolving

PROVIDERS = """
providers:
  - {id: kiro,   dialect: anthropic, base-url: "https://kiro.example", models: [claude-sonnet-4]}
  - {id: claude, dialect: anthropic, base-url: "https://claude.example", models: [claude-sonnet-4-20250514]}
  - {id: openai, dialect: openai, base-url: "https://openai.example/v1", models: [gpt-4.1, gpt-4.1-mini]}
"""
SONNET = """
    - id: claude-sonnet-4
      strategy: priority
      members:
        - {provider: kiro,   model: claude-sonnet-4,          priority: 0, weight: 2}
        - {provider: claude, model: claude-sonnet-4-20250514, priority: 1, weight: 3}
"""
GPT = """
    - id: gpt
      members:
        - {provider: openai, model: gpt-4.1}
        - {provider: openai, model: gpt-4.1-mini}
"""
KIRO, CLAUDE = "kiro/claude-sonnet-4#0", "claude/claude-sonnet-4-20250514#0"
GPT_41, GPT_MINI = "openai/gpt-4.1#0", "openai/gpt-4.1-mini#0"


def resolving(pools: str = "", clusters: str = "", more: str = "") -> Resolving:
    return Resolving(
        f"{PROVIDERS}\nmodel-pools:{more or ' '}\n  pools:{pools or ' []'}\n  clusters:{clusters or ' []'}\n"
    )


def group(made: Resolving, name: str) -> Group:
    found = made.configuration.current.catalog.find(name)
    assert isinstance(found, Group)
    return found


@pytest.mark.parametrize("text", ["{}", "model-pools:\n", "model-pools: {pools: null, clusters: []}"])
def test_nil_config(text: str) -> None:
    made = Resolving(text)
    catalog = made.configuration.current.catalog
    assert not catalog.is_virtual("claude-sonnet-4")
    assert catalog.virtual_models() == ()
    with pytest.raises(UnknownModelError):
        made.plan("claude-sonnet-4")


def test_disabled() -> None:
    made = resolving(
        SONNET + GPT, clusters=" [{id: coding, members: [{pool: claude-sonnet-4}]}]", more="\n  enabled: false"
    )
    catalog = made.configuration.current.catalog
    assert catalog.virtual_models() == ()
    assert not any(catalog.is_virtual(name) for name in ("claude-sonnet-4", "gpt", "coding"))
    for name in ("gpt", "coding"):
        with pytest.raises(UnknownModelError):
            made.plan(name)
    # What a provider lists can be called all the same, and is no pool of that name.
    assert made.plan("claude-sonnet-4") == [KIRO]


def test_pool_basics() -> None:
    made = resolving(SONNET)
    pool = group(made, "claude-sonnet-4")
    assert (pool.id, pool.kind, pool.strategy) == ("claude-sonnet-4", "pool", Strategy.PRIORITY)
    members = [member for tier in pool.tiers for member in tier.members]
    assert [m.sources[0].targets[0].id for m in members] == [KIRO, CLAUDE]
    assert [(m.priority, m.weight) for m in members] == [(0, 2), (1, 3)]
    assert [made.plan("claude-sonnet-4") for _ in range(3)] == [[KIRO, CLAUDE]] * 3


@pytest.mark.parametrize("name", ["claude-sonnet-4", "CLAUDE-SONNET-4", "Claude-Sonnet-4", "  claude-SONNET-4\t"])
def test_case_insensitive_id(name: str) -> None:
    made = resolving(SONNET.replace("id: claude-sonnet-4", "id: Claude-SONNET-4"))
    assert made.plan(name) == [KIRO, CLAUDE]
    assert made.decide(name).course.name == "Claude-SONNET-4"


@pytest.mark.parametrize("weight", ["", ", weight: 0", ", weight: 1", ", weight: null"])
def test_default_weight(weight: str) -> None:
    made = resolving(
        f"""
    - id: gpt
      strategy: round-robin
      members:
        - {{provider: openai, model: gpt-4.1{weight}}}
        - {{provider: openai, model: gpt-4.1-mini, weight: 1}}
"""
    )
    assert [member.weight for tier in group(made, "gpt").tiers for member in tier.members] == [1, 1]
    assert [made.plan("gpt")[0] for _ in range(4)] == [GPT_41, GPT_MINI, GPT_41, GPT_MINI]


def test_cluster_of_two_pools() -> None:
    made = resolving(
        SONNET + GPT,
        clusters="""
    - id: coding-high
      members:
        - {pool: gpt,             priority: 1}
        - {pool: claude-sonnet-4, priority: 0}
""",
    )
    assert group(made, "coding-high").strategy is Strategy.PRIORITY
    # The cluster's order first; inside each band the pool's own.
    assert made.plan("coding-high") == [KIRO, CLAUDE, GPT_41, GPT_MINI]
    made.fail(KIRO)
    made.fail(CLAUDE)
    assert [made.plan("coding-high") for _ in range(2)] == [[GPT_41, GPT_MINI], [GPT_MINI, GPT_41]]


def test_cluster_with_a_raw_model() -> None:
    made = resolving(
        SONNET,
        clusters="""
    - id: coding-high
      members:
        - {pool: claude-sonnet-4, priority: 0}
        - {model: gpt-4.1,        priority: 1}
    - id: raw
      members: [{model: claude-sonnet-4}]
""",
    )
    assert made.plan("coding-high") == [KIRO, CLAUDE, GPT_41]
    # The raw model, not the pool of that name.
    assert made.plan("raw") == [KIRO]


def test_is_it_virtual() -> None:
    made = resolving(SONNET, clusters=" [{id: coding-high, members: [{pool: claude-sonnet-4}]}]")
    catalog = made.configuration.current.catalog
    assert catalog.is_virtual("claude-sonnet-4")
    assert catalog.is_virtual(" Coding-HIGH ")
    assert not catalog.is_virtual("gpt-4.1")
    assert not catalog.is_virtual("unknown")


def test_list_of_virtual_models() -> None:
    made = resolving(
        SONNET + GPT,
        clusters="""
    - {id: Coding-High, description: best available, members: [{pool: claude-sonnet-4}]}
    - {id: chat, members: [{pool: gpt}]}
""",
    )
    listed = made.configuration.current.catalog.virtual_models()
    assert [(g.kind, g.id, g.description) for g in listed] == [
        ("pool", "claude-sonnet-4", ""),
        ("pool", "gpt", ""),
        ("cluster", "Coding-High", "best available"),
        ("cluster", "chat", ""),
    ]


async def test_reload() -> None:
    made = resolving(SONNET)
    assert made.plan("claude-sonnet-4") == [KIRO, CLAUDE]
    assert await made.configuration.offer(f"{PROVIDERS}\nmodel-pools:\n  pools:{GPT}".encode())
    catalog = made.configuration.current.catalog
    assert [g.id for g in catalog.virtual_models()] == ["gpt"]
    # Gone: what is left of that name is the raw model.
    assert not catalog.is_virtual("claude-sonnet-4")
    assert made.plan("claude-sonnet-4") == [KIRO]
    # New.
    assert made.plan("gpt") == [GPT_41, GPT_MINI]
    assert await made.configuration.offer(b"{}")
    with pytest.raises(UnknownModelError):
        made.plan("gpt")


def test_pool_without_id() -> None:
    made = resolving(
        """
    - members:
        - {provider: claude, model: claude-sonnet-4-20250514}
        - {provider: kiro, model: claude-sonnet-4}
"""
    )
    assert [g.id for g in made.configuration.current.catalog.virtual_models()] == ["claude-sonnet-4-20250514"]
    assert made.plan("claude-sonnet-4-20250514") == [CLAUDE, KIRO]
