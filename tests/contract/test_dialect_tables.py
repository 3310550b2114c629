"""docs/dialects.md says for every client and every provider what becomes of all that can be asked and answered. Each
cell is compared with what the edge's own code does. FOREBAY_GOLDEN=write writes the tables anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.support.features import ANSWERED, ASKED, CLIENTS, NONE, PROVIDERS, of_answer, of_request

DOCUMENT = Path(__file__).parents[2] / "docs" / "dialects.md"
WRITE = os.environ.get("FOREBAY_GOLDEN") == "write"


def heading(client: str) -> str:
    return f"### Clients of {CLIENTS[client]}\n"


def done(client: str) -> dict[str, list[str]]:
    """The cells of each row. One that says nothing of any provider is left out."""
    rows = {
        f"{name}": [of_request(feature, client, provider) for provider in PROVIDERS] for name, feature in ASKED.items()
    }
    rows |= {
        f"*{name}*": [of_answer(feature, client, provider) for provider in PROVIDERS]
        for name, feature in ANSWERED.items()
    }
    return {name: cells for name, cells in rows.items() if set(cells) != {NONE}}


def table(client: str) -> str:
    head = ["to", *PROVIDERS.values()]
    rows = [head, ["---"] * len(head), *([name, *cells] for name, cells in done(client).items())]
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def written(client: str) -> str:
    """The table that stands in the document."""
    _, _, behind = DOCUMENT.read_text().partition(heading(client))
    found = re.match(r"\n(?:\|.*\n)+", behind)
    assert found is not None, client
    return found[0]


@pytest.mark.parametrize("client", CLIENTS)
def test_every_cell_is_what_becomes_of_it(client: str) -> None:
    now = table(client)
    if WRITE:
        DOCUMENT.write_text(DOCUMENT.read_text().replace(heading(client) + written(client), heading(client) + now))
    assert written(client) == now


@pytest.mark.parametrize("client", CLIENTS)
def test_nothing_is_translated_where_the_client_s_own_api_is_spoken(client: str) -> None:
    assert {cells[list(PROVIDERS).index(client)] for cells in done(client).values()} <= {"passed", NONE}
