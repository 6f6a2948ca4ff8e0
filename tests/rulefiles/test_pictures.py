"""Pictures of the directory: what can be shown, and why another cannot."""

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from policy_server.rulefiles.pictures import PICTURE_BYTES, PICTURE_SIDE, picture_fault
from tests.rulefiles.faults import load, picture

KINDS = {"desk.jpg": "JPEG", "desk.jpeg": "JPEG", "desk.PNG": "PNG", "desk.webp": "WEBP", "desk.gif": "GIF"}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_a_picture_of_every_kind_is_good(name: str, kind: str) -> None:
    """Four formats can be shown; the case of the name does not matter."""
    assert picture_fault(name, {name: picture(kind)}) == ""


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_a_picture_that_was_cut_off_is_found(name: str, kind: str) -> None:
    """Half of a file is no picture, although its beginning looks like one."""
    noise = Image.effect_noise((200, 200), 90).convert("RGB")
    written = BytesIO()
    noise.save(written, kind)
    data = written.getvalue()
    assert picture_fault(name, {name: data}) == ""
    fault = picture_fault(name, {name: data[: len(data) // 2]})
    assert fault.startswith(f"avatar '{name}' is not a picture that can be read (")


@pytest.mark.parametrize(
    ("name", "data", "fault"),
    [
        pytest.param(
            "desk.jpg",
            b"not a picture",
            "avatar 'desk.jpg' is not a picture that can be read (UnidentifiedImageError); save it anew as JPEG",
            id="text",
        ),
        pytest.param(
            "desk.jpg",
            b"",
            "avatar 'desk.jpg' is not a picture that can be read (UnidentifiedImageError); save it anew as JPEG",
            id="empty",
        ),
        pytest.param(
            "desk.jpg",
            picture("BMP"),
            "avatar 'desk.jpg' is not a picture that can be read (UnidentifiedImageError); save it anew as JPEG",
            id="another format under a good name",
        ),
        pytest.param(
            "desk.jpg",
            b"x" * (PICTURE_BYTES + 1),
            "avatar 'desk.jpg' is larger than 5 MiB; a picture of 500 pixels will do",
            id="too many bytes",
        ),
        pytest.param(
            "desk.png",
            picture("PNG", (PICTURE_SIDE + 1, 1)),
            "avatar 'desk.png' has 6001 by 1 pixels; the most is 6000 a side",
            id="too many pixels",
        ),
        pytest.param(
            "desk.bmp",
            picture("BMP"),
            "avatar must be a picture (.jpg, .jpeg, .png, .webp, .gif) but is 'desk.bmp'",
            id="another format",
        ),
    ],
)
def test_what_cannot_be_shown_is_told_why(name: str, data: bytes, fault: str) -> None:
    """The message names the picture, what is wrong with it, and what will do."""
    assert picture_fault(name, {name: data}) == fault


def test_a_picture_that_would_fill_the_memory_is_refused_unread() -> None:
    """A few bytes can claim a billion pixels; the claim is enough to refuse them."""
    data = bytearray(picture("PNG"))
    data[16:24] = (40_000).to_bytes(4, "big") * 2
    fault = picture_fault("desk.png", {"desk.png": bytes(data)})
    assert fault.startswith("avatar 'desk.png' is not a picture that can be read (")


@pytest.mark.parametrize(
    ("pictures", "hint"),
    [
        pytest.param({}, "; put the file there", id="none at all"),
        pytest.param({"avatars/dekk.jpg": b""}, " (did you mean 'avatars/dekk.jpg'?)", id="one with a similar name"),
    ],
)
def test_a_picture_that_is_not_there_is_missed(pictures: dict[str, bytes], hint: str) -> None:
    """The path is that below the rules folder."""
    expected = f"avatar 'avatars/desk.jpg' is not a file below the rules folder{hint}"
    assert picture_fault("avatars/desk.jpg", pictures) == expected


def test_the_problem_stands_at_the_name_of_the_picture() -> None:
    """A picture is checked where the directory names it, and refuses the rules."""
    loaded = load("directory:\n  - alias: desk\n    avatar: desk.jpg\n", pictures={"desk.jpg": b"x"})
    assert [str(problem) for problem in loaded.problems] == [
        "rules/x.yaml:3:13: error: avatar 'desk.jpg' is not a picture that can be read (UnidentifiedImageError); "
        "save it anew as JPEG"
    ]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(KINDS)),
    st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=4)), max_size=4),
    st.integers(0, 2000),
)
def test_any_bytes_are_a_picture_or_a_fault(name: str, changes: list[tuple[int, bytes]], length: int) -> None:
    """Damage of any kind to a picture never makes the check fail."""
    data = bytearray(picture(KINDS[name]))
    for position, replacement in changes:
        data[position : position + len(replacement)] = replacement
    fault = picture_fault(name, {name: bytes(data[:length])})
    assert fault == "" or fault.startswith("avatar 'desk")
