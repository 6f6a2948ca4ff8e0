"""The pages about a shut door: their languages, and how templates of a link type's own stand in for them."""

import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from string import Template
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.policy.ruleset import PageTemplates
from policy_server.rulefiles.pages import PAGES, read_templates
from policy_server.rulefiles.reader import Report
from policy_server.web.pages import Page, Pages, choose_language, shipped_pages

OPENING = datetime(2026, 11, 24, 8, 5, tzinfo=ZoneInfo("America/Argentina/Buenos_Aires"))
LANGUAGES = ("en", "es")


def render(pages: Pages, page: str, language: str) -> Page:
    """A page with all that it may be told."""
    starts = OPENING + timedelta(minutes=15) if "starts" in PAGES[page] else None
    link = "abc" if "link" in PAGES[page] else ""
    return pages.render(page, language, OPENING if "opening" in PAGES[page] else None, starts=starts, link=link)


def text_of(html: str) -> str:
    """What a page says, without tags."""
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL).split())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_can_be_read_by_everybody(page: str, language: str) -> None:
    """Each is a whole document in its language: a title, one heading, one main part, room to zoom, and no script."""
    rendered = render(shipped_pages(), page, language)
    html = rendered.html
    assert rendered.language == language
    assert html.startswith(f'<!doctype html>\n<html lang="{language}" dir="ltr">')
    heading = re.findall(r"<h1>([^<]+)</h1>", html)
    assert re.findall(r"<title>([^<]+)</title>", html) == heading
    assert len(heading) == 1
    assert html.count("<main>") == html.count("</main>") == html.count("</style>") == 1
    assert '<meta charset="utf-8">' in html
    assert 'content="width=device-width, initial-scale=1"' in html
    # The one link is to the same page, again or for a browser that was taken for a messenger, or to the new link.
    html = (
        re.sub(r' href="(\?join|abc)?"', "", html, count=1) if page.startswith(("preview", "early", "moved")) else html
    )
    assert not re.search(r"<script|<link|<img|<form|\b(?:src|href|style|on[a-z]+)=|https?:|//|@import|url\(|\$", html)
    assert text_of(html).count(".") >= 1


def test_the_languages_say_different_things() -> None:
    """No page is a copy of another, in any language."""
    said = [text_of(render(shipped_pages(), page, language).html) for page in PAGES for language in LANGUAGES]
    assert len(set(said)) == len(said) == len(PAGES) * len(LANGUAGES)


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
        ("es-CH", "es"),
        ("es_CH", "es"),
        ("en;q=0, *", "es"),
        ("en;q=0", "es"),
        ("*, en;q=0", "es"),
        ("en;q=0, es;q=0", "en"),
        ("es;q=0, es-MX", "en"),
        ("es-MX;q=0, es", "es"),
        ("en-GB;q=0, de", "en"),
    ],
)
def test_the_browser_chooses_the_language(header: str, language: str) -> None:
    """The heaviest wish that there is a template for wins, the first of equals, and English if there is none."""
    assert choose_language(header, LANGUAGES) == language
    assert shipped_pages().render("invalid", header).language == language


@pytest.mark.parametrize(
    ("wish", "language"),
    [
        ("zh-Hant-TW", "zh-hant"),
        ("zh-Hans-CN", "zh"),
        ("de-CH", "de"),
        ("de-AT", "de-at"),
        ("de-AT-1996", "de-at"),
        ("de-AT;q=0, de", "de"),
        ("de;q=0, de-AT;q=0.1", "de-at"),
        ("fr-CH, de-CH;q=0.9, en;q=0.8", "de"),
    ],
)
def test_wishes_are_widened_step_by_step(wish: str, language: str) -> None:
    """A wish for a script or a region takes what is nearest, and what is refused is not what was asked for."""
    assert choose_language(wish, ["en", "de", "de-at", "zh", "zh-hant"]) == language


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


def own_pages(**changed: bytes) -> Pages:
    """Templates of a link type's own over those that come with the server; dots of file names written ``__``."""
    report = Report()
    found = read_templates(
        {**OWN, **{name.replace("__", "."): data for name, data in changed.items()}}, "pages", report
    )
    assert not report.problems
    return shipped_pages().with_own(found)


@pytest.mark.parametrize(
    ("page", "wanted", "language", "title"),
    [
        pytest.param("closed", "he", "he", "Shut &lt; 9", id="own"),
        pytest.param("closed", "de-AT", "de-at", "Zu", id="own variant"),
        pytest.param("closed", "de", "en", "We are closed at the moment", id="another variant than its own"),
        pytest.param("closed", "es", "es", "En este momento estamos cerrados", id="shipped in this language"),
        pytest.param("closed", "he;q=0.5, es", "es", "En este momento estamos cerrados", id="shipped and wanted more"),
        pytest.param("expired", "he", "en", "This link has expired", id="neither has it in this language"),
        pytest.param("expired", "he, es;q=0.1", "es", "Este enlace ha caducado", id="the next wish"),
    ],
)
def test_what_the_folder_lacks_is_shipped(page: str, wanted: str, language: str, title: str) -> None:
    """Page by page and language by language, the folder's file counts or else ours; English where neither has one."""
    rendered = render(own_pages(), page, wanted)
    assert (rendered.language, re.findall("<title>(.*)</title>", rendered.html)) == (language, [title])


NOT_OURS = {
    "closed.de.html": b"<h1>Zu</h1>bis $opening",
    "closed-for-now.fr.html": b"<h1>Closed, in French</h1>",
    "closed.it.html": b"<h1>Chiuso</h1>",
    "closed-for-now.it.html": b"<h1>Per ora</h1>",
    "closed.nl.html": b"<h1>Dicht</h1>",
    "closed-for-now.nl-be.html": b"<h1>Toe</h1>",
}


@pytest.mark.parametrize(
    ("page", "wanted", "language", "title"),
    [
        pytest.param("closed-link-ends", "de-CH,de;q=0.9,en;q=0.8", "de", "Zu", id="closed for the end of the link"),
        pytest.param("closed-link-ends", "it", "it", "Per ora", id="closed for now before it: it promises less"),
        pytest.param("early", "de", "de", "Zu", id="closed until for an appointment to come"),
        pytest.param("early-opening", "fr, en;q=0.1", "fr", "Closed, in French", id="and without the time"),
        pytest.param("closed", "fr-CH, en;q=0.9", "fr", "Closed, in French", id="closed for now, without the time"),
        pytest.param(
            "closed-for-now", "de, en;q=0.5", "en", "We are closed at the moment", id="there is no time to tell"
        ),
        pytest.param("closed-for-now", "nl", "nl", "Dicht", id="closed, which tells no time"),
        pytest.param("closed", "nl-BE", "nl", "Dicht", id="the page itself before a nearer variant of another"),
        pytest.param("closed", "es, de;q=0.9", "es", "En este momento estamos cerrados", id="what is wanted more"),
        pytest.param("expired", "de, en;q=0.5", "en", "This link has expired", id="nothing stands for another matter"),
        pytest.param("invalid", "de", "en", "This link is not valid", id="nor for strangers"),
    ],
)
def test_a_page_about_a_closed_door_stands_in_for_another(page: str, wanted: str, language: str, title: str) -> None:
    """Where a page is missing in the browser's language, the nearest about the same matter is shown in it."""
    report = Report()
    pages = shipped_pages().with_own(read_templates(NOT_OURS, "pages", report))
    rendered = render(pages, page, wanted)
    assert (rendered.language, re.findall("<title>(.*)</title>", rendered.html)) == (language, [title])
    assert (f'<html lang="{language}"' in rendered.html, report.problems) == (True, [])


EARLY = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)


def test_a_page_before_an_appointment_counts_down() -> None:
    """It tells times in the zone of its opening and has what counts to it, which alone may run."""
    starts = OPENING.astimezone(UTC) + timedelta(minutes=15)
    page = shipped_pages().render("early", "es", OPENING, starts=starts, now=EARLY)
    assert re.findall(r'<time datetime="([^"]+)">', page.html) == ["2026-11-24T08:20-03:00", "2026-11-24T08:05-03:00"]
    assert "martes 24 de noviembre de 2026" in text_of(page.html)
    (place,) = re.findall(
        r'<div id="countdown" data-opens="(\d+)" data-now="(\d+)" data-zone="([^"]+)"></div>', page.html
    )
    assert place == ("1795518300000", "1795503600000", "America/Argentina/Buenos_Aires")
    (script,) = re.findall(r"<script>(.*?)</script>", page.html, re.DOTALL)
    allowed = b64encode(sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{allowed}'; style-src 'sha256-" in page.content_policy
    assert "script" not in shipped_pages().render("closed", "es", OPENING).content_policy


def test_pages_of_its_own_count_down_too() -> None:
    """A page and a layout of a folder get what counts down, whatever they have."""
    own = PageTemplates(
        Template("<p>$language $title</p>$text"), {"early": {"en": Template("<h1>Soon</h1>$starts")}}, {}
    )
    page = shipped_pages().with_own(own).render("early", "en", OPENING, starts=OPENING, now=EARLY)
    assert page.html.startswith("<p>en Soon</p><h1>Soon</h1>Tuesday, 24 November 2026")
    assert ("<script>" in page.html, "script-src 'sha256-" in page.content_policy) == (True, True)


def test_one_own_page_changes_only_itself() -> None:
    """A folder with one page in English leaves the Spanish one, and every other page, as it was."""
    own, ours = PageTemplates(None, {"closed": {"en": Template("<h1>Shut</h1>")}}, {}), shipped_pages()
    pages = ours.with_own(own)
    changed = {
        (page, language)
        for page in PAGES
        for language in LANGUAGES
        if render(pages, page, language) != render(ours, page, language)
    }
    assert changed == {("closed", "en")}


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
