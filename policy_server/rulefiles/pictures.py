"""Checking the pictures that directory entries name."""

from collections.abc import Mapping
from io import BytesIO
from typing import Final

from PIL import Image

from policy_server.rulefiles.reader import near_hint
from policy_server.wording.values import shown

PICTURE_ENDINGS: Final = (".jpg", ".jpeg", ".png", ".webp", ".gif")
PICTURE_BYTES: Final = 5 * 1024 * 1024
PICTURE_SIDE: Final = 6000
"""Pixels of a side that a picture may have at most."""
PICTURE_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF")
"""What a picture is read as, whatever its name: Pillow knows formats that start other programs."""


def picture_fault(name: str, pictures: Mapping[str, bytes]) -> str:
    """Why a picture cannot be shown; ``""`` when it can."""
    if not name.lower().endswith(PICTURE_ENDINGS):
        return f"avatar must be a picture ({', '.join(PICTURE_ENDINGS)}) but is {shown(name)}"
    data = pictures.get(name)
    if data is None:
        hint = near_hint(name, pictures) or "; put the file there"
        return f"avatar {shown(name)} is not a file below the rules folder{hint}"
    if len(data) > PICTURE_BYTES:
        return (
            f"avatar {shown(name)} is larger than {PICTURE_BYTES // 1024 // 1024} MiB; a picture of 500 pixels will do"
        )
    try:
        with Image.open(BytesIO(data), formats=PICTURE_FORMATS) as picture:
            width, height = picture.size
            if max(width, height) > PICTURE_SIDE:
                return f"avatar {shown(name)} has {width} by {height} pixels; the most is {PICTURE_SIDE} a side"
            # Only decoding shows that a file was cut off; of a JPEG a small copy does.
            picture.draft("RGB", (64, 64))
            picture.load()
    except Exception as error:  # Pillow's decoders raise nearly anything on bytes that are no picture.
        return f"avatar {shown(name)} is not a picture that can be read ({type(error).__name__}); save it anew as JPEG"
    return ""
