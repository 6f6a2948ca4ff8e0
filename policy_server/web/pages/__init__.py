"""The pages that a customer sees when the door is closed, and a messenger before: those that come with the server, and
their rendering.

English and Spanish templates lie beside this module. What a folder of templates may have, and how one of a link type's
own stands in for these, is told in ``rulefiles/pages.py``.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

from policy_server.policy.ruleset import DateWords, PageTemplates
from policy_server.rulefiles.pages import (
    OPENING,
    PAGES,
    STAND_INS,
    STARTS,
    TEMPLATE_ENDINGS,
    heading_of,
    read_templates,
    styles_of,
)
from policy_server.rulefiles.reader import Report

DEFAULT_LANGUAGE: Final = "en"

_PLAIN_DATE: Final = "$year-$month-$day, $time"
_RIGHT_TO_LEFT: Final = frozenset({"ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"})

# One part of Accept-Language (RFC 9110, section 12.5.4), with the de_CH of some apps; nobody has more than a few languages.
_RANGE: Final = re.compile(r"\s*([A-Za-z]{1,8}(?:[-_][A-Za-z0-9]{1,8})*|\*)\s*(?:;\s*[qQ]=([01](?:\.[0-9]{0,3})?)\s*)?")
_MOST_RANGES: Final = 20


@dataclass(frozen=True, slots=True)
class Page:
    """A page for one customer. ``content_policy`` is its Content-Security-Policy."""

    html: str
    language: str
    content_policy: str


_PLAIN_WORDS: Final = DateWords(("",) * 7, tuple(f"{month:02}" for month in range(1, 13)), Template(_PLAIN_DATE))


@dataclass(frozen=True, slots=True)
class Pages:
    """All pages in all languages."""

    layout: Template
    texts: Mapping[str, Mapping[str, Template]]
    """By page and language."""
    dates: Mapping[str, DateWords]

    def render(
        self,
        page: str,
        accept_language: str = "",
        opening: datetime | None = None,
        *,
        starts: datetime | None = None,
        now: datetime | None = None,
        link: str = "",
    ) -> Page:
        """A page of ``PAGES`` in the language that the browser wants most; ``opening`` in the zone to tell it in, and where
        there is none ``starts``.

        ``starts`` is the time of an appointment, ``link`` where the page leads on to. With ``now`` times are written again in
        the customer's zone, and the page counts down to ``opening`` and looks again then.
        """
        zone = opening or starts
        moments = {
            name: at.astimezone(zone.tzinfo) for name, at in (("opening", opening), ("starts", starts)) if at and zone
        }
        given = (OPENING if opening is not None else frozenset()) | (STARTS if starts is not None else frozenset())
        texts = self._readable(page, given)
        language = choose_language(accept_language, texts)
        values = {"link": link, **dict(self._values(moments, language))}
        text = texts[language].substitute({key: escape(value) for key, value in values.items()})
        is_timed = zone is not None and now is not None
        html = self.layout.substitute(
            language=language,
            direction="rtl" if language.partition("-")[0] in _RIGHT_TO_LEFT else "ltr",
            title=heading_of(text),
            text=text.strip() + (_clock(zone, opening, now) if zone is not None and now is not None else ""),
        )
        return Page(html, language, _content_policy(html, countdown_script() if is_timed else ""))

    def with_own(self, own: PageTemplates) -> "Pages":
        """These pages, but what a link type has of its own in place of them, file by file."""
        texts = {page: {**texts, **own.texts.get(page, {})} for page, texts in self.texts.items()}
        return Pages(own.layout or self.layout, texts, {**self.dates, **own.dates})

    def _readable(self, page: str, given: frozenset[str]) -> Mapping[str, Template]:
        """The texts of a page, and in the languages that it lacks those of the pages that stand in for it."""
        texts = dict(self.texts[page])
        for other in STAND_INS.get(page, ()):
            for language, text in self.texts[other].items():
                if texts.keys().isdisjoint(_widened(language)) and given.issuperset(text.get_identifiers()):
                    texts[language] = text
        return texts

    def _values(self, moments: Mapping[str, datetime], language: str) -> Iterator[tuple[str, str]]:
        words = self.dates.get(language) or self.dates.get(language.partition("-")[0]) or _PLAIN_WORDS
        for name, moment in moments.items():
            yield name, words.write(moment)
            yield f"{name}_iso", moment.isoformat(timespec="minutes")
            yield "place", _zone(moment).rpartition("/")[2].replace("_", " ")


def _zone(moment: datetime) -> str:
    return getattr(moment.tzinfo, "key", None) or str(moment.tzinfo)


@cache
def countdown_script() -> str:
    """What counts down."""
    return files(__name__).joinpath("countdown.js").read_text("utf-8").replace("\r\n", "\n")


def _clock(zone: datetime, opening: datetime | None, now: datetime) -> str:
    """The place of the countdown, if there is one, and what counts: in milliseconds since 1970, as browsers do."""
    times = "" if opening is None else f'data-opens="{_milliseconds(opening)}" data-now="{_milliseconds(now)}" '
    place = f'<div id="countdown" {times}data-zone="{escape(_zone(zone))}"></div>'
    return f"\n{place}\n<script>{countdown_script()}</script>"


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


@cache
def shipped_pages() -> Pages:
    """The pages that come with the server, in English and Spanish."""
    found = {file.name: file.read_bytes() for file in files(__name__).iterdir() if file.name.endswith(TEMPLATE_ENDINGS)}
    report = Report()
    templates = read_templates(found, "policy_server/web/pages", report)
    if templates.layout is None or report.problems or templates.texts.keys() != PAGES.keys():
        raise RuntimeError(f"the pages that come with the server are not whole: {report.problems}")
    return Pages(templates.layout, templates.texts, templates.dates)


def choose_language(accept_language: str, available: Iterable[str]) -> str:
    """The language that a browser wants most; English, or else the first by name, when it wants none of them.

    A wish for ``es-MX`` is also one for ``es`` (RFC 4647, section 3.4). A language of weight 0 is taken only if there is
    no other.
    """
    weights: dict[str, float] = {}
    for part in accept_language.split(",", _MOST_RANGES)[:_MOST_RANGES]:
        match = _RANGE.fullmatch(part)
        if match is not None:
            weights.setdefault(match[1].lower().replace("_", "-"), float(match[2] or 1))

    def is_refused(language: str) -> bool:
        return next((weights[tag] == 0 for tag in _widened(language) if tag in weights), False)

    languages = sorted(available)
    left = [language for language in languages if not is_refused(language)] or languages
    default = DEFAULT_LANGUAGE if DEFAULT_LANGUAGE in left else left[0]
    for wish in sorted((tag for tag, weight in weights.items() if weight > 0), key=lambda tag: -weights[tag]):
        if wish == "*":
            return default
        found = next((tag for tag in _widened(wish) if tag in left), None)
        if found is not None:
            return found
    return default


def _widened(tag: str) -> tuple[str, ...]:
    """A language tag and all that it is a variant of, the nearest first: ``zh-hant-tw``, ``zh-hant``, ``zh``."""
    parts = tag.split("-")
    return tuple("-".join(parts[:count]) for count in range(len(parts), 0, -1))


def _content_policy(html: str, script: str) -> str:
    """Nothing is loaded from anywhere, no style holds but those of the layout, and no script runs but ours."""
    styles = " ".join(map(_source, dict.fromkeys(styles_of(html)))) or "'none'"
    scripts = f" script-src {_source(script)};" if script else ""
    return (
        f"default-src 'none';{scripts} style-src {styles}; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _source(text: str) -> str:
    """A style or script as a Content-Security-Policy names it."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
