"""Tests of the page's colours: contrast, in light and in dark, and that no other colour is used."""

from __future__ import annotations

import re

import pytest

from gundog.report import page, palette

SCHEMES = {"light": 0, "dark": 1}
RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")


def colour(name: str, scheme: str) -> str:
    return palette.COLOURS[name][SCHEMES[scheme]]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("words", "ground"), palette.TEXT)
def test_words_stand_out_from_their_ground(words: str, ground: str, scheme: str) -> None:
    """WCAG's 4.5 for text of any size."""
    assert palette.contrast(colour(words, scheme), colour(ground, scheme)) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("line", "ground"), palette.DRAWN)
def test_what_is_drawn_stands_out_from_its_ground(line: str, ground: str, scheme: str) -> None:
    """WCAG's 3 for pictures."""
    assert palette.contrast(colour(line, scheme), colour(ground, scheme)) >= 3


def test_every_colour_of_the_style_sheet_is_of_the_palette_and_checked() -> None:
    """Words on a ground are a pair that the tests above know."""
    rules = page.style_sheet().replace(palette.css(), "")
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b|rgba?\(|hsla?\(", rules) == []

    used = dict[str, str]()
    for selector, body in RULE.findall(rules):
        said = dict(part.split(":", 1) for part in body.split(";") if ":" in part)
        words = re.findall(r"^var\(--([\w-]+)\)$", said.get("color", ""))
        ground = re.findall(r"^var\(--([\w-]+)\)$", said.get("background", ""))
        for name in words or ["text"]:
            for surface in ground or palette.SURFACES:
                used[f"{name} on {surface}"] = selector
    unchecked = {
        pair: selector
        for pair, selector in used.items()
        if tuple(pair.split(" on ")) not in palette.TEXT
    }

    assert unchecked == {}


def test_contrast_is_that_of_the_standard() -> None:
    """Black on white is 21, a colour on itself 1, whichever comes first."""
    assert palette.contrast("#ffffff", "#000000") == pytest.approx(21)
    assert palette.contrast("#8a5a00", "#8a5a00") == 1
    assert palette.contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)
