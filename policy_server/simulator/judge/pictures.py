"""Answers to participant avatar requests (pexip/README.md: Avatar)."""

import warnings
from io import BytesIO

from PIL import Image

from policy_server.simulator.judge.findings import Findings, shortened
from policy_server.simulator.judge.question import Question
from policy_server.simulator.judge.verdict import HttpAnswer, Outcome

_PLACEHOLDER = "so the node shows the placeholder"
_COLOURS = {"CMYK": "CMYK", "L": "grey levels"}


def judge_picture(answer: HttpAnswer, question: Question, findings: Findings) -> Outcome:
    """What the node does with the body of an avatar answer that came with HTTP 200."""
    media_type = answer.content_type.partition(";")[0].strip().lower()
    if media_type != "image/jpeg":
        findings.refuse(
            "AVA-1",
            "",
            f"The Content-Type must be image/jpeg but is '{shortened(media_type)}', {_PLACEHOLDER}.",
        )
    try:
        size, mode = _decoded(answer.body)
    except Exception:  # Pillow raises many kinds of exception on damaged or hostile data.
        hint = "; answer HTTP 404 when there is no picture" if answer.body.lstrip().startswith(b"{") else ""
        findings.refuse("AVA-1", "", f"The body is not a complete JPEG picture, {_PLACEHOLDER}{hint}.")
        return "picture"
    asked = question.value("width"), question.value("height")
    for what, pixels, wanted in zip(("wide", "high"), size, asked, strict=True):
        if wanted.isascii() and wanted.isdigit() and wanted.lstrip("0") != str(pixels):
            findings.refuse(
                "AVA-1",
                "",
                f"The picture is {pixels} pixels {what} but {shortened(wanted)} were asked for, {_PLACEHOLDER}.",
            )
    if mode != "RGB":
        findings.refuse(
            "AVA-1", "", f"The picture's colours must be RGB but are {_COLOURS.get(mode, mode)}, {_PLACEHOLDER}."
        )
    return "picture"


def _decoded(body: bytes) -> tuple[tuple[int, int], str]:
    # Damaged pictures make Pillow warn; a picture of absurd size is an error before it fills the memory.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(BytesIO(body), formats=["JPEG"]) as picture:
            picture.load()
            return picture.size, picture.mode
