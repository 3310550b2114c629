from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks import picture
from benchmarks.picture import Bars

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*rows: Bars) -> ElementTree.Element:
    return ElementTree.fromstring(picture.svg("Costs & more", "note", rows))  # noqa: S314 - written here


def bars(root: ElementTree.Element) -> list[ElementTree.Element]:
    """The first rectangle is the ground."""
    return root.findall(f"{SVG}rect")[1:]


def test_a_bar_is_as_long_as_the_logarithm_of_its_ratio() -> None:
    ten, hundred = bars(drawn(Bars("a load", [("Forebay", 10.0), ("LiteLLM", 100.0)])))
    assert float(hundred.attrib["width"]) == pytest.approx(2 * float(ten.attrib["width"]), abs=0.2)


def test_less_than_nginx_goes_to_the_other_side() -> None:
    less, more = bars(drawn(Bars("a load", [("Forebay", 0.7), ("smg", 3.0)])))
    assert float(less.attrib["x"]) < float(more.attrib["x"])


def test_nothing_lies_outside_the_picture_and_the_goal_is_drawn() -> None:
    root = drawn(Bars("a load", [("Forebay", 4000.0)], goal=8.0), Bars("another", [("Forebay", 0.01)]))
    width = float(root.attrib["width"])
    for rect in bars(root):
        assert 0 <= float(rect.attrib["x"]) <= float(rect.attrib["x"]) + float(rect.attrib["width"]) <= width
    assert [line.attrib["stroke"] for line in root.findall(f"{SVG}line")].count("#dc2626") == 1


def test_labels_are_escaped() -> None:
    text = picture.svg("Costs & more", "", [Bars("<load>", [("Forebay", 2.0)])])
    assert "Costs &amp; more" in text
    assert re.search("&lt;load&gt;", text)


def test_what_is_told_stands_behind_bar_and_goal() -> None:
    root = drawn(Bars("a load", [("Forebay", 0.7)], goal=1.2))
    (goal,) = [line for line in root.iter() if line.get("stroke") == "#dc2626"]
    (told,) = [text for text in root.iter() if text.text == "0.7x"]
    assert float(told.get("x", "0")) > float(goal.get("x1", "0"))
