"""The pages that a customer sees when the door is closed: HTML templates, and the choice of their language.

A folder of templates has ``layout.html``, the document around every page; ``<page>.<language>.html``, the heading and
paragraphs of a page; and ``dates.<language>.json``, how that language writes a time. English and Spanish lie beside
this module. Placeholders are ``$name``, and every value is escaped.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

import orjson

from policy_server.rulefiles.problems import one_of, shown

OPENING: Final = frozenset({"opening", "opening_iso", "place"})
"""Placeholders of a page that says when it opens: in words, for machines, and the place whose time that is."""

PAGES: Final[Mapping[str, frozenset[str]]] = {
    "closed": OPENING,
    "closed-link-ends": OPENING,
    "closed-for-now": frozenset(),
    "expired": frozenset(),
    "invalid": frozenset(),
    "unavailable": frozenset(),
}
"""Every page with the placeholders that it may have: it opens before the link ends; it opens, but after that; it is
closed and no calendar says until when; the link has expired; it is none of ours; nobody can say at the moment."""

DEFAULT_LANGUAGE: Final = "en"

LAYOUT: Final = frozenset({"language", "direction", "title", "text"})
DATE: Final = frozenset({"weekday", "day", "month", "year", "time"})

_PLAIN_DATE: Final = "$year-$month-$day, $time"
_RIGHT_TO_LEFT: Final = frozenset({"ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"})
_LANGUAGE: Final = r"[a-z]{2,3}(?:-[a-z0-9]{2,8})*"
_PAGE_FILE: Final = re.compile(rf"(?P<page>[^.]+)\.(?P<language>{_LANGUAGE})\.html")
_DATES_FILE: Final = re.compile(rf"dates\.(?P<language>{_LANGUAGE})\.json")
_HEADING: Final = re.compile(r"<h1\b[^>]*>([^<]+)</h1>", re.IGNORECASE)
_HEADING_START: Final = re.compile(r"<h1\b", re.IGNORECASE)
_STYLE: Final = re.compile(r"<style\b[^>]*>(.*?)</style>", re.IGNORECASE | re.DOTALL)

# One part of Accept-Language (RFC 9110, section 12.5.4); nobody has more than a few languages.
_RANGE: Final = re.compile(r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)\s*(?:;\s*[qQ]=([01](?:\.[0-9]{0,3})?)\s*)?")
_MOST_RANGES: Final = 20


class PagesError(ValueError):
    """Templates that cannot be used; the text says which file, what is wrong, and what to write."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page for one customer. ``content_policy`` is its Content-Security-Policy."""

    html: str
    language: str
    content_policy: str


@dataclass(frozen=True, slots=True)
class DateWords:
    """How a language writes a time: the names of days, Monday first, and of months, and their order."""

    weekdays: tuple[str, ...]
    months: tuple[str, ...]
    pattern: Template

    def write(self, moment: datetime) -> str:
        """A time in words, in its own zone; hours from 00 to 23."""
        return self.pattern.substitute(
            weekday=self.weekdays[moment.weekday()],
            day=moment.day,
            month=self.months[moment.month - 1],
            year=moment.year,
            time=f"{moment:%H:%M}",
        )


_PLAIN_WORDS: Final = DateWords(("",) * 7, tuple(f"{month:02}" for month in range(1, 13)), Template(_PLAIN_DATE))


@dataclass(frozen=True, slots=True)
class Pages:
    """All pages in all languages."""

    layout: Template
    texts: Mapping[str, Mapping[str, Template]]
    """By page and language."""
    dates: Mapping[str, DateWords]

    def render(self, page: str, accept_language: str = "", opening: datetime | None = None) -> Page:
        """A page of ``PAGES`` in the language that the browser wants most; ``opening`` in the zone to tell it in."""
        texts = self.texts[page]
        language = choose_language(accept_language, texts)
        text = texts[language].substitute({key: escape(value) for key, value in self._values(opening, language)})
        heading = _HEADING.search(text)
        html = self.layout.substitute(
            language=language,
            direction="rtl" if language.partition("-")[0] in _RIGHT_TO_LEFT else "ltr",
            title=heading[1].strip() if heading else "",
            text=text.strip(),
        )
        return Page(html, language, _content_policy(html))

    def _values(self, opening: datetime | None, language: str) -> Iterable[tuple[str, str]]:
        if opening is None:
            return ()
        words = self.dates.get(language) or self.dates.get(language.partition("-")[0]) or _PLAIN_WORDS
        zone = getattr(opening.tzinfo, "key", None) or str(opening.tzinfo)
        return (
            ("opening", words.write(opening)),
            ("opening_iso", opening.isoformat(timespec="minutes")),
            ("place", zone.rpartition("/")[2].replace("_", " ")),
        )


@cache
def shipped_pages() -> Pages:
    """The pages that come with the server, in English and Spanish."""
    folder = files(__name__)
    found = {file.name: file.read_bytes() for file in folder.iterdir() if file.name.endswith((".html", ".json"))}
    return parse_pages(found)


def read_pages(folder: Path) -> Pages:
    """Templates of a folder; for what it does not have, those that come with the server are taken.

    Raises PagesError when it cannot be read or a template cannot be used.
    """
    try:
        found = {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.suffix in {".html", ".json"}}
    except OSError as error:
        raise PagesError(f"the folder {folder} cannot be read: {error.strerror}") from None
    return parse_pages(found, shipped_pages())


def parse_pages(contents: Mapping[str, bytes], base: Pages | None = None) -> Pages:
    """Templates by file name, over those of ``base``. Raises PagesError."""
    layout = base.layout if base else None
    texts: dict[str, dict[str, Template]] = {page: dict(base.texts[page]) if base else {} for page in PAGES}
    dates: dict[str, DateWords] = dict(base.dates) if base else {}
    for name, content in contents.items():
        text = _decode(name, content)
        if name == "layout.html":
            layout = _parse_layout(name, text)
        elif found := _DATES_FILE.fullmatch(name):
            dates[found["language"]] = _parse_dates(name, text)
        elif found := _PAGE_FILE.fullmatch(name):
            page = found["page"]
            if page not in PAGES:
                raise PagesError(f"{name}: {one_of('the page', PAGES, page)}")
            texts[page][found["language"]] = _parse_text(name, text, PAGES[page])
        else:
            raise PagesError(
                f"{name}: a file must be layout.html, <page>.<language>.html such as closed.en.html, "
                "or dates.<language>.json"
            )
    if layout is None or not all(texts.values()):
        raise PagesError("layout.html or a page is missing")
    return Pages(layout, texts, dates)


def choose_language(accept_language: str, available: Iterable[str]) -> str:
    """The language that a browser wants most; English, or else the first by name, when it wants none of them.

    A wish for ``es-MX`` is also one for ``es`` (RFC 4647, section 3.4).
    """
    languages = sorted(available)
    default = DEFAULT_LANGUAGE if DEFAULT_LANGUAGE in languages else languages[0]
    wishes: list[tuple[float, str]] = []
    for part in accept_language.split(",", _MOST_RANGES)[:_MOST_RANGES]:
        match = _RANGE.fullmatch(part)
        if match is not None and (weight := float(match[2] or 1)) > 0:
            wishes.append((weight, match[1].lower()))
    for _, wish in sorted(wishes, key=lambda weighted: -weighted[0]):
        if wish == "*":
            return default
        tag = wish
        while tag:
            if tag in languages:
                return tag
            tag = tag.rpartition("-")[0]
    return default


def _content_policy(html: str) -> str:
    """Nothing is loaded from anywhere, and no style holds but those of the layout."""
    hashes = [b64encode(sha256(style.encode()).digest()).decode() for style in dict.fromkeys(_STYLE.findall(html))]
    styles = " ".join(f"'sha256-{each}'" for each in hashes) or "'none'"
    return (
        f"default-src 'none'; style-src {styles}; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _decode(name: str, content: bytes) -> str:
    try:
        # A browser hashes styles with line feeds only.
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        raise PagesError(f"{name} is not text in UTF-8; save it as UTF-8") from None


def _parse_layout(name: str, text: str) -> Template:
    layout = _template(name, text, LAYOUT)
    for needed in ("language", "title", "text"):
        if needed not in layout.get_identifiers():
            raise PagesError(f"{name} must have ${needed}")
    if any("$" in style for style in _STYLE.findall(text)):
        raise PagesError(f"{name} must not have $ between <style> and </style>")
    return layout


def _parse_text(name: str, text: str, placeholders: frozenset[str]) -> Template:
    template = _template(name, text, placeholders)
    if len(_HEADING_START.findall(text)) != 1 or len(_HEADING.findall(text)) != 1:
        raise PagesError(f"{name} must have one heading, <h1>…</h1>, with plain text in it")
    return template


def _parse_dates(name: str, text: str) -> DateWords:
    try:
        words = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise PagesError(f"{name} is not JSON: {error}") from None
    if not isinstance(words, dict) or set(words) != {"weekdays", "months", "pattern"}:
        raise PagesError(f"{name} must be an object with weekdays, months and pattern")
    if not isinstance(words["pattern"], str):
        raise PagesError(f"{name}: pattern must be text such as '$weekday $day $month $year, $time'")
    pattern = _template(name, words["pattern"], DATE)
    return DateWords(_names(name, words, "weekdays", 7), _names(name, words, "months", 12), pattern)


def _names(name: str, words: Mapping[str, object], key: str, count: int) -> tuple[str, ...]:
    found = words[key]
    if not isinstance(found, list) or len(found) != count or not all(isinstance(word, str) for word in found):
        raise PagesError(f"{name}: {key} must be a list of {count} names")
    return tuple(found)


def _template(name: str, text: str, placeholders: frozenset[str]) -> Template:
    template = Template(text)
    if not template.is_valid():
        raise PagesError(f"{name} has a $ that is no placeholder; write $$ for the sign itself")
    for placeholder in template.get_identifiers():
        if placeholder not in placeholders:
            allowed = [f"${word}" for word in sorted(placeholders)]
            problem = (
                one_of("a placeholder", allowed, f"${placeholder}")
                if allowed
                else (f"it can have no placeholders but has {shown(f'${placeholder}')}")
            )
            raise PagesError(f"{name}: {problem}")
    return template
