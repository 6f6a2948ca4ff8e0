"""Pictures cut to size: a JPEG in RGB of exactly the pixels asked for, whatever the source is."""

from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from policy_server.simulator.judge import HttpAnswer, judge
from policy_server.web.avatars import render_avatar

RED = (255, 0, 0)
BLUE = (0, 0, 255)


def picture(mode: str, size: tuple[int, int] = (64, 48), file_format: str = "PNG", colour: Any = None) -> bytes:
    """A picture file of one colour."""
    out = BytesIO()
    Image.new(mode, size, colour if colour is not None else 0).save(out, file_format)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    """A rendered avatar."""
    image = Image.open(BytesIO(data), formats=["JPEG"])
    image.load()
    return image


def near(pixel: Any, colour: tuple[int, int, int]) -> bool:
    """Whether a pixel is that colour, but for what JPEG loses."""
    return all(abs(one - other) <= 12 for one, other in zip(pixel, colour, strict=True))


SOURCES = [
    pytest.param(picture("RGB", colour=RED), RED, id="RGB"),
    pytest.param(picture("RGB", (64, 48), "JPEG", RED), RED, id="JPEG"),
    pytest.param(picture("RGBA", colour=(255, 0, 0, 255)), RED, id="RGBA"),
    pytest.param(picture("RGBA", colour=(255, 0, 0, 0)), (255, 255, 255), id="transparent"),
    pytest.param(picture("RGBA", colour=(255, 0, 0, 128)), (255, 127, 127), id="half transparent"),
    pytest.param(picture("LA", colour=(0, 0)), (255, 255, 255), id="grey with transparency"),
    pytest.param(picture("L", colour=128), (128, 128, 128), id="grey"),
    pytest.param(picture("1", colour=1), (255, 255, 255), id="black and white"),
    pytest.param(picture("P", colour=0), (0, 0, 0), id="palette"),
    pytest.param(picture("P", (64, 48), "GIF"), (0, 0, 0), id="GIF"),
    pytest.param(picture("CMYK", (64, 48), "JPEG", (0, 255, 255, 0)), RED, id="CMYK"),
    pytest.param(picture("RGB", (64, 48), "WEBP", RED), RED, id="WebP"),
    pytest.param(picture("I;16", colour=65535), (255, 255, 255), id="16 bits"),
    pytest.param(picture("RGB", (1, 1), colour=RED), RED, id="one pixel"),
    pytest.param(picture("RGB", (1000, 1), colour=RED), RED, id="a line"),
    pytest.param(picture("RGB", (3, 700), colour=RED), RED, id="a column"),
]


@pytest.mark.parametrize(("source", "colour"), SOURCES)
@pytest.mark.parametrize("size", [(100, 100), (33, 77), (1, 1)], ids=str)
def test_any_source_becomes_that_jpeg(source: bytes, colour: tuple[int, int, int], size: tuple[int, int]) -> None:
    """Every kind of picture becomes a JPEG in RGB of exactly that size, with its colour, and the judge takes it."""
    body = render_avatar(source, *size)
    image = opened(body)
    assert (image.size, image.mode) == (size, "RGB")
    assert near(image.getpixel((size[0] // 2, size[1] // 2)), colour)
    query = f"width={size[0]}&height={size[1]}"
    verdict = judge("/policy/v1/participant/avatar/a", query, HttpAnswer(200, "image/jpeg", body))
    assert (verdict.outcome, verdict.used, verdict.objections) == ("picture", True, ())


def test_exif_rotation_is_applied() -> None:
    """A photo that a camera stored lying on its side stands upright."""
    image = Image.new("RGB", (80, 40), RED)
    image.paste(BLUE, (0, 0, 40, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # Turn right to see it upright: what is stored left is on top.
    out = BytesIO()
    image.save(out, "JPEG", exif=exif, quality=95)
    upright = opened(render_avatar(out.getvalue(), 40, 80))
    assert near(upright.getpixel((20, 10)), BLUE)
    assert near(upright.getpixel((20, 70)), RED)
    assert not upright.getexif()


def test_the_middle_is_kept_without_distortion() -> None:
    """A wide picture loses its sides, and nothing is squeezed."""
    image = Image.new("RGB", (300, 100), RED)
    image.paste(BLUE, (100, 0, 200, 100))
    out = BytesIO()
    image.save(out, "PNG")
    square = opened(render_avatar(out.getvalue(), 100, 100))
    assert all(near(square.getpixel((x, 50)), BLUE) for x in (4, 50, 95))


@pytest.mark.parametrize("file_format", ["BMP", "TIFF", "ICO", "PPM", "TGA"])
def test_other_formats_are_not_opened(file_format: str) -> None:
    """Only the formats that the rules may name are decoded, whatever else Pillow knows."""
    with pytest.raises(OSError, match="cannot identify image file"):
        render_avatar(picture("RGB", file_format=file_format), 10, 10)


def test_a_damaged_picture_raises() -> None:
    """Bytes that are no picture raise OSError, which the endpoint makes a failure of ours."""
    with pytest.raises(OSError, match="cannot identify image file"):
        render_avatar(b"not a picture", 10, 10)
