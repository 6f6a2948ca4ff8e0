"""Files out of what is pasted and uploaded, and forms as browsers send them."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policy_server.web.admin.multipart import MultipartError, Part, read_parts
from policy_server.web.admin.other_rules import (
    PASTED,
    NoRulesError,
    Upload,
    files_of_text,
    files_of_uploads,
    rule_files,
)

TYPE = "multipart/form-data; boundary=mark"
names = st.from_regex(r"[a-z0-9-]{1,20}\.(yaml|csv)", fullmatch=True)
lines = st.lists(st.text("abc:{}[]'\" -#ü", max_size=20), max_size=4).map("\n".join)


@given(st.dictionaries(names, lines.filter(lambda text: "file:" not in text), max_size=4))
def test_what_is_pasted_comes_apart_again(files: dict[str, str]) -> None:
    """Each file is what stands below its line, whatever else there is, with the line ends of a browser too."""
    text = "".join(f"# file: {name}\n{content}\n" for name, content in files.items())
    expected = {name: f"{content}\n".encode() for name, content in files.items()}
    assert files_of_text(text) == expected
    assert files_of_text(text.replace("\n", "\r\n")) == expected


def test_a_text_without_a_name_is_a_file() -> None:
    """What stands before the first line that names a file is one of its own, as long as it says something."""
    assert files_of_text("a: 1\n#file: b.yaml\nb: 2") == {PASTED: b"a: 1\n", "b.yaml": b"b: 2"}
    assert files_of_text("\n # nothing\n\n") == {PASTED: b"\n # nothing\n\n"}
    assert files_of_text(" \r\n") == {}


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.yaml", "a/../../b.yaml", "", "a\x00.yaml", "x" * 300])
def test_names_stay_below_the_folder(name: str) -> None:
    """A name that leads elsewhere is none, pasted or uploaded."""
    with pytest.raises(NoRulesError):
        files_of_text(f"# file: {name}\na: 1")
    if ".." in name:
        with pytest.raises(NoRulesError):
            files_of_uploads([Upload("rules/a.yaml", b""), Upload(f"rules/{name}", b"")])


def test_an_uploaded_folder_is_read_as_one_on_disk() -> None:
    """Rules at its top, what they name below it; tests, hidden files and what no rule could name are left out."""
    given_files = [
        "a.yaml",
        "a.test.yaml",
        "t/q.csv",
        "p/en.html",
        "x.html",
        "pic.PNG",
        "below/b.yaml",
        "n.txt",
        ".git/c.yaml",
    ]
    read = rule_files(files_of_uploads(Upload(f"my rules/{name}", b"") for name in given_files))
    assert (set(read.documents), set(read.tables), set(read.templates), set(read.pictures)) == (
        {"a.yaml"},
        {"t/q.csv"},
        {"p/en.html"},
        {"pic.PNG"},
    )


contents = st.binary(max_size=60).filter(lambda data: b"\r\n--mark" not in b"\r\n" + data)


@given(st.lists(st.tuples(st.sampled_from(["text", "files"]), st.none() | names, contents), max_size=4))
def test_a_form_comes_apart_again(fields: list[tuple[str, str | None, bytes]]) -> None:
    """Whatever bytes the files have, each is what was sent."""
    body = b""
    for name, filename, content in fields:
        of_file = "" if filename is None else f'; filename="{filename}"'
        body += f'--mark\r\nContent-Disposition: form-data; name="{name}"{of_file}\r\n\r\n'.encode() + content + b"\r\n"
    assert read_parts(TYPE, body + b"--mark--\r\n") == [Part(*field) for field in fields]


@given(st.binary(max_size=200), st.sampled_from([TYPE, "multipart/form-data", "text/plain", TYPE.replace("mark", "a")]))
@example(b"--mark\r\n\r\n\r\n--mark--", TYPE)
@example(b"--mark--", TYPE)
def test_any_bytes_are_a_form_or_none(body: bytes, content_type: str) -> None:
    """Nothing else comes of a body than fields or what is wrong with it."""
    with suppress(MultipartError):
        assert isinstance(read_parts(content_type, body), list)
