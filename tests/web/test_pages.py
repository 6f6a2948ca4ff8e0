"""The pages about a shut door: their languages, their templates, and what is wrong with a template."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.web.pages import PAGES, Pages, PagesError, choose_language, parse_pages, read_pages, shipped_pages

OPENING = datetime(2026, 11, 24, 8, 5, tzinfo=ZoneInfo("America/Argentina/Buenos_Aires"))
LANGUAGES = ("en", "es")


def text_of(html: str) -> str:
    """What a page says, without tags."""
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL).split())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_can_be_read_by_everybody(page: str, language: str) -> None:
    """Each is a whole document in its language: a title, one heading, one main part, room to zoom, and no script."""
    rendered = shipped_pages().render(page, language, OPENING if PAGES[page] else None)
    html = rendered.html
    assert rendered.language == language
    assert html.startswith(f'<!doctype html>\n<html lang="{language}" dir="ltr">')
    heading = re.findall(r"<h1>([^<]+)</h1>", html)
    assert re.findall(r"<title>([^<]+)</title>", html) == heading
    assert len(heading) == 1
    assert html.count("<main>") == html.count("</main>") == html.count("</style>") == 1
    assert '<meta charset="utf-8">' in html
    assert 'content="width=device-width, initial-scale=1"' in html
    assert not re.search(r"<script|<link|<img|<form|\b(?:src|href|style|on[a-z]+)=|https?:|//|@import|url\(|\$", html)
    assert text_of(html).count(".") >= 1


def test_the_languages_say_different_things() -> None:
    """No page is a copy of another, in any language."""
    said = [
        text_of(shipped_pages().render(page, language, OPENING if PAGES[page] else None).html)
        for page in PAGES
        for language in LANGUAGES
    ]
    assert len(set(said)) == len(said) == 12


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as WCAG 2 reckons it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_text_stands_out() -> None:
    """Text and background have a contrast of 7 or more, by day and by night (WCAG 2.2, level AAA)."""
    html = shipped_pages().render("invalid").html
    pairs = re.findall(r"background: (#\w{6});\s+color: (#\w{6})", html)
    assert len(pairs) == 2
    assert all(contrast(*pair) >= 7 for pair in pairs)


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", "Tuesday, 24 November 2026, at 08:05 (Buenos Aires time)"),
        ("es", "martes 24 de noviembre de 2026 a las 08:05 (hora de Buenos Aires)"),
    ],
)
def test_an_opening_is_told_in_words(language: str, expected: str) -> None:
    """The time stands in the words of the language with the place whose time it is, and for machines."""
    html = shipped_pages().render("closed", language, OPENING).html
    assert expected in text_of(html).replace(" )", ")").replace("( ", "(").replace(" .", ".")
    assert '<time datetime="2026-11-24T08:05-03:00">' in html


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_day_and_month_has_a_name(language: str) -> None:
    """Seven days and twelve months, all different, of letters."""
    words = shipped_pages().dates[language]
    assert (len(set(words.weekdays)), len(set(words.months))) == (7, 12)
    assert all(name.isalpha() for name in (*words.weekdays, *words.months))


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("es", "es"),
        ("ES-mx", "es"),
        ("es-419,es;q=0.9", "es"),
        ("en;q=0.5, es;q=0.8", "es"),
        ("en;q=0.8, es;q=0.8", "en"),
        ("es;q=0.8, en;q=0.8", "es"),
        ("de,fr;q=0.9,es;q=0.1", "es"),
        ("de-AT, *, es", "en"),
        ("de, es;q=0", "en"),
        ("*;q=0.1, es;q=0.5", "es"),
        ("ja", "en"),
        ("es;q=2", "en"),
        ("es;q=nan", "en"),
        ("es;level=1, en", "en"),
        ("../../etc/passwd", "en"),
        ("esperanto", "en"),
        (",;q=1,,es ; Q=1.000,", "es"),
        ("de," * 30 + "es", "en"),
    ],
)
def test_the_browser_chooses_the_language(header: str, language: str) -> None:
    """The heaviest wish that there is a template for wins, the first of equals, and English if there is none."""
    assert choose_language(header, LANGUAGES) == language
    assert shipped_pages().render("invalid", header).language == language


def test_the_nearest_variant_of_a_language_is_taken() -> None:
    """A template for a region is for that region; without English the first by name is the default."""
    available = ["pt", "pt-br", "sr-latn"]
    wishes = ("pt-BR", "pt-PT", "pt-br-x-abc", "sr", "sr-Latn-RS", "")
    assert [choose_language(wish, available) for wish in wishes] == ["pt-br", "pt", "pt-br", "pt", "sr-latn", "pt"]


wish_lists = st.lists(
    st.sampled_from(["es", "en-GB", "*", ";q=0.5", ";q=", ",", "; ", "=", "-", "0", "9" * 400, "é", "\x00"]),
    max_size=60,
).map("".join)


@given(wish_lists | st.text(max_size=200))
def test_any_wish_gets_a_language(header: str) -> None:
    """Whatever a browser sends, the page is in one of the languages that there are."""
    assert choose_language(header, LANGUAGES) in LANGUAGES


OWN = {
    "layout.html": b'\xef\xbb\xbf<html lang="$language" dir="$direction"><title>$title</title>\r\n<style>\r\np{}\r\n</style>'
    b"<b>Clinic &amp; Co</b>$text</html>",
    "closed.he.html": b"<h1 id='x'>Shut &lt; 9</h1>$opening|$opening_iso|${place}|$$5",
    "dates.de-at.json": b'{"weekdays": ["a","<","c","d","e","f","g"], "months": ["1","2","3","4","5","6","7","8","9","10",'
    b'"Nebelung","12"], "pattern": "$weekday $time, $day $month $year"}',
    "closed.de-at.html": b"<h1>Zu</h1>$opening",
}


def own_pages(**changed: Any) -> Pages:
    """Templates of a link type's own over those that come with the server; dots of file names written ``__``."""
    return parse_pages(
        {**OWN, **{name.replace("__", "."): content for name, content in changed.items()}}, shipped_pages()
    )


def test_own_templates_replace_ours() -> None:
    """A layout stands around every page; a page of another language is one more; the rest stays as it was."""
    pages = own_pages()
    closed = pages.render("closed", "he", OPENING)
    assert closed.html == (
        '<html lang="he" dir="rtl"><title>Shut &lt; 9</title>\n<style>\np{}\n</style><b>Clinic &amp; Co</b>'
        "<h1 id='x'>Shut &lt; 9</h1>2026-11-24, 08:05|2026-11-24T08:05-03:00|Buenos Aires|$5</html>"
    )
    expired = pages.render("expired", "he")
    assert (expired.language, "Clinic &amp; Co" in expired.html) == ("en", True)
    assert "This link has expired" in expired.html


def test_own_dates_are_used_and_escaped() -> None:
    """A language's own words tell the time, for all its variants, and can never become mark-up."""
    assert "&lt; 08:05, 24 Nebelung 2026" in own_pages().render("closed", "de-AT", OPENING).html
    pages = own_pages(**{"closed__es-mx__html": b"<h1>x</h1>$opening"})
    assert "martes 24 de noviembre" in pages.render("closed", "es-MX", OPENING).html


def test_a_policy_lets_nothing_in_but_the_styles() -> None:
    """The Content-Security-Policy names the hash of each style as a browser reckons it, and nothing else."""
    policy = own_pages().render("expired").content_policy
    # printf '\np{}\n' | openssl dgst -sha256 -binary | base64
    assert policy == (
        "default-src 'none'; style-src 'sha256-S1+1UhUBsQI+oYzHJq9H6zGUGt9DphQexnvaBQ874Hc='; "
        "img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    bare = own_pages(layout__html=b"$language $title $text").render("expired").content_policy
    assert "style-src 'none';" in bare


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("layout.html", b"$language $title", "layout.html must have $text"),
        ("layout.html", b"$language $text", "layout.html must have $title"),
        ("layout.html", b"$title $text", "layout.html must have $language"),
        ("layout.html", b"$language $title $txt", "but is '$txt' (did you mean '$text'?)"),
        ("layout.html", b"$language $title $text <style>a{b:$title}</style>", "must not have $ between"),
        ("closed.en.html", b"<h1>x</h1> costs 5$", "closed.en.html has a $ that is no placeholder; write $$"),
        ("closed.en.html", b"<h1>x</h1> $guest_pin", "must be one of '$opening', '$opening_iso', '$place' but is"),
        ("expired.en.html", b"<h1>x</h1> $opening", "expired.en.html: it can have no placeholders but has '$opening'"),
        ("closed.en.html", b"<p>x</p>", "closed.en.html must have one heading"),
        ("closed.en.html", b"<h1>x</h1><h1>y</h1>", "closed.en.html must have one heading"),
        ("closed.en.html", b"<h1><b>x</b></h1>", "closed.en.html must have one heading"),
        ("closed.en.html", b"\xff", "closed.en.html is not text in UTF-8"),
        ("close.en.html", b"<h1>x</h1>", "but is 'close' (did you mean 'closed'?)"),
        ("closed.html", b"<h1>x</h1>", "closed.html: a file must be layout.html, <page>.<language>.html"),
        ("closed.English.html", b"<h1>x</h1>", "a file must be layout.html"),
        ("dates.json", b"{}", "a file must be layout.html"),
        ("dates.en.json", b"{", "dates.en.json is not JSON"),
        ("dates.en.json", b"[]", "dates.en.json must be an object with weekdays, months and pattern"),
        ("dates.en.json", b'{"weekdays": []}', "dates.en.json must be an object with"),
        ("dates.en.json", b'{"weekdays": [], "months": [], "pattern": ""}', "weekdays must be a list of 7 names"),
        (
            "dates.en.json",
            b'{"weekdays": ["","","","","","",""], "months": [1,2,3,4,5,6,7,8,9,10,11,12], "pattern": ""}',
            "months must be a list of 12 names",
        ),
        ("dates.en.json", b'{"weekdays": [], "months": [], "pattern": 1}', "pattern must be text"),
        ("dates.en.json", b'{"weekdays": [], "months": [], "pattern": "$hour"}', "placeholder must be one of '$day'"),
    ],
)
def test_what_is_wrong_with_a_template_is_told(name: str, content: bytes, expected: str) -> None:
    """A template that cannot be used is refused when it is read, with its file and what to write."""
    with pytest.raises(PagesError) as raised:
        parse_pages({name: content}, shipped_pages())
    assert str(raised.value).startswith(name)
    assert expected in str(raised.value)


def test_a_folder_is_read(tmp_path: Path) -> None:
    """A folder gives its templates, and other files in it, such as a picture, are left alone."""
    (tmp_path / "expired.fr.html").write_text("<h1>Expiré</h1>", encoding="utf-8")
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")
    assert "Expiré" in read_pages(tmp_path).render("expired", "fr-CA").html


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A missing folder is refused by name."""
    with pytest.raises(PagesError, match=r"the folder .*/nowhere cannot be read: No such file"):
        read_pages(tmp_path / "nowhere")


def test_pages_alone_must_be_complete() -> None:
    """Without others to fall back on, a layout and every page are needed."""
    with pytest.raises(PagesError, match=r"layout\.html or a page is missing"):
        parse_pages(OWN)
