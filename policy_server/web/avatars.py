"""Pictures cut to the size that a node asks for (reference: pexip-policy-responses.md, section 14)."""

from functools import lru_cache
from io import BytesIO

from PIL import Image, ImageOps


@lru_cache(maxsize=256)
def render_avatar(picture: bytes, width: int, height: int) -> bytes:
    """A JPEG in RGB of exactly ``width`` by ``height`` pixels: scaled to cover it, the middle kept.

    Transparent parts become white. Takes milliseconds, so call it in a thread.
    """
    with Image.open(BytesIO(picture)) as opened:
        upright = ImageOps.exif_transpose(opened)
        colours = upright.convert("RGBA")
    white = Image.new("RGBA", colours.size, "white")
    flat = Image.alpha_composite(white, colours).convert("RGB")
    fitted = ImageOps.fit(flat, (width, height), method=Image.Resampling.LANCZOS)
    out = BytesIO()
    fitted.save(out, "JPEG", quality=88)
    return out.getvalue()
