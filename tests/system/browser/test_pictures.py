"""The pictures of the admin's pages in the READMEs can be taken again."""

import asyncio
from pathlib import Path

import pytest
from PIL import Image

from tests.system.browser.pictures import LARGE, main, of_few_colours
from tests.system.browser.stage import SCREENSHOTS

pytestmark = pytest.mark.slow


def test_pictures_are_taken(tmp_path: Path) -> None:
    """Of a quiet afternoon, the same as those of the READMEs by name, and small."""
    assert asyncio.run(main(tmp_path, visits=2)) == 0
    taken = {path.name for path in tmp_path.iterdir()}
    assert taken == {path.name for path in SCREENSHOTS.glob("admin-*.png")}
    assert all(path.stat().st_size < LARGE for path in tmp_path.iterdir())


def test_fewer_colours() -> None:
    """What there is much of stays as it is, and what there is little of becomes the nearest of that."""
    picture = Image.new("RGB", (300, 300), (255, 255, 255))
    picture.paste((179, 38, 30), (0, 0, 20, 20))
    for number in range(300):
        picture.putpixel((number, 299), (number % 250, 200, number // 250))
    few = of_few_colours(picture).convert("RGB")
    assert few.getpixel((5, 5)) == (179, 38, 30)
    assert few.getpixel((100, 100)) == (255, 255, 255)
    assert len(few.getcolors(90_000) or ()) == 256
