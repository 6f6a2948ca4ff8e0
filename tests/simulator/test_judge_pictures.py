"""The judge looks at avatars as a node does."""

import pytest

from policy_server.simulator.judge import HttpAnswer, judge
from tests.simulator.judge_samples import AVATAR, http, jpeg, picture, reasons, rules, success

AVATAR_QUERY = "height=80&width=100"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (picture(jpeg((100, 80))), None),
        (picture(jpeg((100, 80)), content_type="image/jpeg; q=1"), None),
        (picture(jpeg((80, 100))), "The picture is 80 pixels wide but 100 were asked for"),
        (picture(jpeg((100, 81))), "The picture is 81 pixels high but 80 were asked for"),
        (picture(jpeg((100, 80), "CMYK")), "The picture's colours must be RGB but are CMYK"),
        (picture(jpeg((100, 80), "L")), "The picture's colours must be RGB but are grey levels"),
        (picture(jpeg((100, 80), form="PNG")), "The body is not a complete JPEG picture"),
        (picture(jpeg((100, 80))[:-20]), "The body is not a complete JPEG picture"),
        (picture(b""), "The body is not a complete JPEG picture"),
        (picture(jpeg((100, 80)), content_type="image/png"), "The Content-Type must be image/jpeg but is 'image/png'"),
    ],
    ids=["good", "parameter", "width", "height", "CMYK", "grey", "PNG", "cut", "empty", "type"],
)
def test_ava_1(answer: HttpAnswer, reason: str | None) -> None:
    """A picture is used when it is a whole RGB JPEG of exactly the size asked for, sent as image/jpeg."""
    verdict = judge(AVATAR, AVATAR_QUERY, answer)
    if reason is None:
        assert (verdict.outcome, verdict.objections) == ("picture", ())
    else:
        assert (verdict.outcome, rules(verdict)) == ("failure", ["AVA-1"] * len(verdict.objections))
        assert any(found.startswith(reason) for found in reasons(verdict))


def test_ava_1_without_a_readable_size() -> None:
    """A question without width and height, or with nonsense in them, accepts a picture of any size."""
    for query in ("", "width=&height=", "width=x&height=-1"):
        assert judge(AVATAR, query, picture(jpeg((7, 9)))).used


def test_ava_1_json_for_a_picture() -> None:
    """JSON is no picture; the reason says to answer 404."""
    verdict = judge(AVATAR, AVATAR_QUERY, http(success({})))
    assert rules(verdict) == ["AVA-1", "AVA-1"]
    assert "HTTP 404" in reasons(verdict)[1]
    assert not verdict.well_formed


def test_ava_1_absurd_size() -> None:
    """A small file that claims to be an enormous picture is refused without filling the memory."""
    body = bytearray(jpeg((100, 80)))
    frame = body.index(b"\xff\xc0")
    body[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    assert rules(judge(AVATAR, "width=65535&height=65535", picture(bytes(body)))) == ["AVA-1"]
