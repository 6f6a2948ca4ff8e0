"""Links as they come back from mail programs, chat programs and people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.conferences.link_reading import read_link
from tests.rule_sets import load

LINKS = load(
    "rooms: { visit: { name: '{call}', service_tag: visit } }\n"
    "service:\n"
    "  - { id: all, when: { link_type: [patient, kiosk] }, room: visit }\n"
    "links:\n"
    "  patient: { alias: 'mp{session}', agent_alias: 'hcp{agent}' }\n"
    "  kiosk: { alias: 'kiosk-{session}.visit' }\n"
).links
SESSION = "dya4rhfjaaaaaaaalycgzzswmdfafmhv"
HALF, REST = SESSION[:20], SESSION[20:]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(SESSION, id="as it was made"),
        pytest.param(SESSION.upper(), id="capitals"),
        pytest.param(SESSION.title(), id="a capital"),
        *(pytest.param(SESSION + end, id=f"then {end}") for end in ".,;:!?)]}>'\"/*_~|`…。\uff0c」”\u2019»"),
        pytest.param(f"{SESSION}.)", id="then a full stop and a bracket"),
        pytest.param(f"{SESSION}/.", id="then a slash and a full stop"),
        pytest.param(f"“{SESSION}”", id="quotation marks"),
        pytest.param(f"<{SESSION}>", id="angle brackets"),
        pytest.param(f"**{SESSION}**", id="bold"),
        pytest.param(f" {SESSION}\u00a0", id="spaces"),
        pytest.param(f"{SESSION}\r\n", id="a line end"),
        pytest.param(f"\ufeff{SESSION}\u200b", id="what nobody sees around it"),
        pytest.param(f"{HALF}\u200b{REST}", id="a zero-width space in it"),
        pytest.param(f"{HALF}\u00ad{REST}", id="a soft hyphen in it"),
        pytest.param(f"{HALF}\u2060\u200d{REST}\ufe0f", id="joiners and a variation selector"),
        pytest.param(f"\u202a{SESSION}\u202c", id="direction marks"),
        pytest.param(f"{HALF}\r\n{REST}", id="a line break in it"),
        pytest.param(f"{HALF}\n\n  {REST}", id="an indented line"),
        pytest.param(f"{HALF}=\r\n{REST}", id="a line of quoted-printable"),
        pytest.param(f"{HALF}={REST}", id="a line of quoted-printable whose end is gone"),
        pytest.param(f"{HALF}-\n{REST}", id="a hyphenated line"),
        pytest.param(f"{HALF}\n> {REST}", id="a quoted mail"),
        pytest.param(f"{SESSION}=20", id="a space in quoted-printable"),
        pytest.param(f"{SESSION}=E2=80=9D", id="a quotation mark in quoted-printable"),
        pytest.param(f"{SESSION}%20", id="encoded twice"),
        pytest.param(f"{SESSION}%2520", id="encoded three times"),
        pytest.param(f"{SESSION}%94", id="a quotation mark of Windows"),
        pytest.param(f"{SESSION}\ufffd", id="bytes that are no text"),
        pytest.param("".join(f"%{ord(letter):02X}" for letter in SESSION), id="every letter encoded"),
        pytest.param(f"{SESSION}&quot;", id="an HTML entity"),
        pytest.param(f"{SESSION}&quot", id="what is left of an entity"),
        pytest.param(f"&lt;{SESSION}&gt;", id="escaped angle brackets"),
        pytest.param(f"{HALF}&shy;{REST}&nbsp;", id="invisible entities"),
        pytest.param(f"{HALF}&#8203;{REST}&#x200b;", id="numbered entities"),
        pytest.param(f"{SESSION}&amp;quot;", id="an entity that was escaped"),
        pytest.param(f"{SESSION}?fbclid=IwAR0abc", id="an encoded question mark and a parameter"),
        pytest.param(f"{SESSION}&utm_source=news&utm_medium=mail", id="parameters without a question mark"),
        pytest.param(f"{SESSION}%3Futm_source=x", id="parameters encoded twice"),
        pytest.param(f"{SESSION}/?gclid=x#top", id="a slash and a parameter"),
        pytest.param(f"{SESSION}#:~:text=join", id="a fragment"),
        pytest.param(f"{SESSION}](https://join.example.com/join/{SESSION})", id="a link in Markdown"),
        pytest.param(f"{SESSION}|https://join.example.com/join/{SESSION}>", id="a link in a chat's own mark-up"),
        pytest.param(f'{SESSION}">join', id="the rest of an HTML link"),
        pytest.param(f"{SESSION}请点击", id="a sentence in Chinese"),
    ],
)
def test_what_is_glued_to_a_session_is_dropped(text: str) -> None:
    """Whatever programs and people put around a session, between its halves or over it, the session is read."""
    assert read_link(LINKS, text) == (SESSION, None)


@pytest.mark.parametrize(
    ("text", "link_type"),
    [
        (f"mp{SESSION}", "patient"),
        (f"MP{SESSION.upper()}", "patient"),
        (f"“mp{HALF}\n{REST}”.", "patient"),
        (f"kiosk-{SESSION}.visit", "kiosk"),
        (f"Kiosk-{SESSION}.Visit)", "kiosk"),
    ],
)
def test_a_customers_alias_is_read_the_same_way(text: str, link_type: str) -> None:
    """The alias tells the link type too."""
    assert read_link(LINKS, text) == (SESSION, LINKS[link_type])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param(SESSION[:-1], id="cut"),
        pytest.param(SESSION + "a", id="too long"),
        pytest.param("a" + SESSION, id="too long at the beginning"),
        pytest.param(SESSION + SESSION, id="twice"),
        pytest.param(SESSION.replace("a", "1"), id="other digits"),
        pytest.param(SESSION.replace("h", "\uff48"), id="letters of another width"),
        pytest.param(SESSION.replace("k", "\u212a").replace("z", "\u212a"), id="a sign that is a letter in lower case"),
        pytest.param(f"hcp{SESSION}", id="the agents' alias"),
        pytest.param(f"kiosk-{SESSION}", id="half of an alias"),
        pytest.param(f"{SESSION}.html", id="an ending"),
        pytest.param(f"{SESSION}/x", id="another segment"),
        pytest.param(f"x/{SESSION}", id="a segment before"),
        pytest.param(f"{SESSION}\nx", id="another line"),
        pytest.param(f"{SESSION}@video.example.com", id="an address"),
        pytest.param(f"{SESSION}\0", id="a NUL"),
    ],
)
def test_what_is_no_session_is_none(text: str) -> None:
    """Nothing is guessed: letters and digits too few or too many are not made into a session."""
    assert read_link(LINKS, text) == ("", None)


sessions = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=32, max_size=32)
unseen = st.text("\u200b\u200c\u200d\u2060\ufeff\u00ad\u202a\u202c\u200e\ufe0f", max_size=3)
breaks = st.sampled_from(["", "", "\n", "\r\n", "=\r\n", " ", "\n> ", "-\n", "\t", "&shy;", "%0A", "%250D%250A"])
around = st.text(" \t\r\n.,;:!)([]{}<>\"'“”„\u2018\u2019«»…/*_~|`-\u2013—。、」", max_size=6)
after = around | st.sampled_from(
    ["&quot;", "&gt;.", "=20", "%22", "%20", "%E2%80%9D", "?fbclid=x1", "&utm_source=y", "#z", "](http://a/b)"]
)


@given(sessions, st.data())
def test_any_mixture_of_glue_leaves_the_session(session: str, data: st.DataObject) -> None:
    """The session is read out of whatever is around, in and over it; so no two sessions ever become one."""
    at = data.draw(st.integers(1, 31))
    pieces = [around, unseen, st.just(session[:at]), breaks, unseen, st.just(session[at:]), unseen, after]
    text = "".join(data.draw(piece) for piece in pieces)
    spelt = data.draw(st.sampled_from([text, text.upper() if "%" not in text and "&" not in text else text]))
    assert read_link(LINKS, spelt) == (session, None)


@given(st.text() | st.text("ab2&%=#;x -\n", max_size=200))
def test_any_text_gives_a_session_that_stands_in_it_or_none(text: str) -> None:
    """Whatever comes is read without a failure."""
    session, _ = read_link(LINKS, text)
    assert session == "" or (len(session) == 32 and set(session) <= set("abcdefghijklmnopqrstuvwxyz234567"))
