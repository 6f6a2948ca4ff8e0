"""Checking the pictures that directory entries name."""

from collections.abc import Mapping
from io import BytesIO
from typing import Final

from PIL import Image, UnidentifiedImageError

from policy_server.rulefiles.problems import nearest, shown

PICTURE_ENDINGS: Final = (".jpg", ".jpeg", ".png", ".webp", ".gif")
PICTURE_BYTES: Final = 5 * 1024 * 1024
PICTURE_SIDE: Final = 6000
"""Pixels of a side that a picture may have at most."""


def picture_fault(name: str, pictures: Mapping[str, bytes]) -> str:
    """Why a picture cannot be shown; ``""`` when it can."""
    if not name.lower().endswith(PICTURE_ENDINGS):
        return f"avatar must be a picture ({', '.join(PICTURE_ENDINGS)}) but is {shown(name)}"
    data = pictures.get(name)
    if data is None:
        near = nearest(name, pictures)
        hint = f" (did you mean {shown(near)}?)" if near else "; put the file there"
        return f"avatar {shown(name)} is not a file below the rules folder{hint}"
    if len(data) > PICTURE_BYTES:
        return (
            f"avatar {shown(name)} is larger than {PICTURE_BYTES // 1024 // 1024} MiB; a picture of 500 pixels will do"
        )
    try:
        with Image.open(BytesIO(data)) as picture:
            width, height = picture.size
            if max(width, height) > PICTURE_SIDE:
                return f"avatar {shown(name)} has {width} by {height} pixels; the most is {PICTURE_SIDE} a side"
            picture.verify()
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        return f"avatar {shown(name)} is not a picture that can be read ({type(error).__name__})"
    return ""
