from __future__ import annotations

import pytest

from edge_service.dialects import model_name
from edge_service.domain.errors import InvalidRequestError


@pytest.mark.parametrize("name", ["chat", "vendor/model(high)", "\u6a21" * model_name.MAX_CHARS])
def test_names_may_be_whatever_is_not_too_long(name: str) -> None:
    model_name.check(name)


@pytest.mark.parametrize(
    ("name", "wrong"), [("", "is empty"), (" \t", "is empty"), ("x" * (model_name.MAX_CHARS + 1), "longer than 512")]
)
def test_no_name_is_a_mistake_of_the_request(name: str, wrong: str) -> None:
    with pytest.raises(InvalidRequestError, match=wrong) as caught:
        model_name.check(name)
    assert caught.value.param == "model"
