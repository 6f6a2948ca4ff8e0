"""Pictures cut to the size that a node asks for (pexip/README.md: Avatar)."""

from functools import lru_cache
from io import BytesIO

from PIL import Image, ImageOps

from policy_server.rulefiles.pictures import PICTURE_FORMATS


@lru_cache(maxsize=64)
def render_avatar(picture: bytes, width: int, height: int) -> bytes:
    """A JPEG in RGB of exactly ``width`` by ``height`` pixels: scaled to cover it, the middle kept.

    Transparent parts become white. Takes milliseconds, so call it in a thread.
    """
    with Image.open(BytesIO(picture), formats=PICTURE_FORMATS) as opened:
        colours = ImageOps.exif_transpose(opened).convert("RGBA")
    # Scaled first: a large picture is not copied once more for each of the next steps.
    fitted = ImageOps.fit(colours, (width, height), method=Image.Resampling.LANCZOS)
    white = Image.new("RGBA", fitted.size, "white")
    out = BytesIO()
    Image.alpha_composite(white, fitted).convert("RGB").save(out, "JPEG", quality=88)
    return out.getvalue()
