"""Reading page templates: what a link type's own folder says to customers at a shut door, or every problem in it.

``templates: FOLDER`` of a link type names a folder below the rules folder. In it may lie

- ``PAGE.LANGUAGE.html``, such as ``closed.fr.html``: the heading and paragraphs of a page in a language;
- ``layout.html``: the document around every page of the link type, also around those that the folder lacks;
- ``dates.LANGUAGE.json``: how that language writes a time.

Each file stands in for the one of the same name that comes with the server, and what the folder lacks is as shipped: a
folder with nothing but ``closed.en.html`` changes that one page for those who read English. So a customer gets every
page in the browser's language if the folder or the server has that page in it; of a page about a closed door the nearest
of the others will do (``STAND_INS``), because a page that says a little less is better than one that cannot be read; else
it is in English. A language of which nobody gave the dates has them in digits. Placeholders are ``$name``; their values
are escaped.

The page ``invalid`` is for those whose link is none of ours. It is taken from a folder
only if all link types with a URL name that folder.
"""

import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import PurePosixPath
from string import Template
from typing import Final

from policy_server.policy.ruleset import NO_TEMPLATES, DateWords, PageTemplates
from policy_server.rulefiles.document import parse_document
from policy_server.rulefiles.document_nodes import MappingNode
from policy_server.rulefiles.document_text import MAX_PROBLEMS, decode_utf_8, place_at
from policy_server.rulefiles.problems import Place
from policy_server.rulefiles.reader import Report, Table, kind_of, near_hint
from policy_server.wording.values import shown
from policy_server.wording.words import nearest, one_of

TEMPLATE_ENDINGS: Final = (".html", ".htm", ".json")
"""What is taken for a template; other files, such as notes, may lie beside them."""
TEMPLATE_BYTES: Final = 1024 * 1024
"""Room for a page with a picture in it."""

OPENING: Final = frozenset({"opening", "opening_iso", "place"})
"""Placeholders of a page that says when it opens: in words, for machines, and the place whose time that is."""

STARTS: Final = frozenset({"starts", "starts_iso"})
"""Of an appointment: its time."""

PAGES: Final[Mapping[str, frozenset[str]]] = {
    "early": OPENING | STARTS,
    "early-opening": OPENING,
    "closed": OPENING,
    "closed-link-ends": OPENING,
    "closed-for-now": frozenset(),
    "moved": STARTS | {"place", "link"},
    "expired": frozenset(),
    "invalid": frozenset(),
    "preview": frozenset(),
}
"""Every page with the placeholders that it may have: an appointment is still to come; one of which only the link is
known, and so no more than when its door opens; it opens before the link ends; it opens, but after that; it is closed and no
calendar says until when; the appointment was moved; the link has expired; it is none of ours; what a messenger shows of a
link before anybody opens it."""

STAND_INS: Final[Mapping[str, tuple[str, ...]]] = {
    "early": ("early-opening", "closed", "closed-for-now"),
    "early-opening": ("closed", "closed-for-now"),
    "closed": ("closed-for-now",),
    "closed-link-ends": ("closed-for-now", "closed"),
    "closed-for-now": ("closed",),
}
"""Pages that are shown in a language in which a page is missing, the best first, if their placeholders have values."""

FOR_STRANGERS: Final = ("invalid",)
"""Pages for those of whose link nobody knows the type."""

LAYOUT: Final = frozenset({"language", "direction", "title", "text"})
DATE: Final = frozenset({"weekday", "day", "month", "year", "time"})
DATE_KEYS: Final = ("weekdays", "months", "pattern")

# ISO 639-1. Of three letters there are thousands of languages, which nobody takes for a country.
_LANGUAGES: Final = frozenset(
    first + second
    for first, seconds in {
        "a": "abefkmnrsvyz",
        "b": "aegimnors",
        "c": "aehorsuvy",
        "d": "aevz",
        "e": "elnostu",
        "f": "afijory",
        "g": "adlnuv",
        "h": "aeiortuyz",
        "i": "adegikostu",
        "j": "av",
        "k": "agijklmnorsuvwy",
        "l": "abginotuv",
        "m": "ghiklnrsty",
        "n": "abdeglnorvy",
        "o": "cjmrs",
        "p": "ailst",
        "q": "u",
        "r": "mnouw",
        "s": "acdegiklmnoqrstuvw",
        "t": "aeghiklnorstwy",
        "u": "gkrz",
        "v": "eio",
        "w": "ao",
        "x": "h",
        "y": "io",
        "z": "ahu",
    }.items()
    for second in seconds
)
_LANGUAGE: Final = r"(?P<language>[a-z]{2,3}(?:-[a-z0-9]{2,8})*)"
_PAGE_FILE: Final = re.compile(rf"(?P<page>[^.]+)\.{_LANGUAGE}\.html")
_DATES_FILE: Final = re.compile(rf"dates\.{_LANGUAGE}\.json")
_LAYOUT_FILE: Final = "layout.html"
_GOOD_NAMES: Final = (_LAYOUT_FILE, "dates.en.json", *(f"{page}.en.html" for page in PAGES))

_HEADING: Final = re.compile(r"<h1\b[^>]*>([^<]+)</h1>", re.IGNORECASE)
_HEADING_START: Final = re.compile(r"<h1\b", re.IGNORECASE)
_STYLE: Final = re.compile(r"<style\b[^>]*>(.*?)</style>", re.IGNORECASE | re.DOTALL)
_INERT: Final = frozenset({"base", "embed", "form", "frame", "iframe", "object", "script"})


def heading_of(text: str) -> str:
    """The heading of a page, which is the title of its document too; HTML without tags."""
    found = _HEADING.search(text)
    return found[1].strip() if found else ""


def styles_of(html: str) -> list[str]:
    """What stands between ``<style>`` and ``</style>``, each time."""
    return _STYLE.findall(html)


class TemplateFolders:
    """The folders below the rules folder that may hold templates; each that a link type names is read once."""

    def __init__(self, files: Mapping[str, bytes], rules_folder: str, report: Report) -> None:
        self._rules_folder: Final = rules_folder
        self._report: Final = report
        self._read: Final[dict[str, PageTemplates]] = {}
        self._files: Final[dict[str, dict[str, bytes]]] = {}
        for path, data in files.items():
            below, _, name = path.rpartition("/")
            self._files.setdefault(below, {})[name] = data

    def read(self, table: Table) -> PageTemplates:
        """The templates of a link type; none when it names no folder, or one that cannot be used, which is a problem."""
        text = table.text("templates")
        if text is None:
            return NO_TEMPLATES
        path = PurePosixPath(text)
        folder = str(path)
        if path.is_absolute() or not path.parts or ".." in path.parts:
            table.error(
                "templates", f"templates must be a folder below the rules folder, such as pages, but is {shown(text)}"
            )
        elif folder not in self._files:
            hint = near_hint(folder, self._files) or "; put files such as closed.en.html there"
            table.error(
                "templates", f"templates {shown(text)} is not a folder of templates below the rules folder{hint}"
            )
        else:
            if folder not in self._read:
                shown_folder = f"{self._rules_folder}/{folder}"
                self._read[folder] = read_templates(self._files[folder], shown_folder, self._report)
            return self._read[folder]
        return NO_TEMPLATES


def read_templates(files: Mapping[str, bytes], folder: str, report: Report) -> PageTemplates:
    """Templates by file name; ``folder`` is what a message puts before the name."""
    layout: Template | None = None
    texts: dict[str, dict[str, Template]] = {}
    dates: dict[str, DateWords] = {}
    for name, data in sorted(files.items()):
        file = f"{folder}/{name}"
        fault = _fault_of_name(name)
        if fault or len(data) > TEMPLATE_BYTES:
            report.error(
                Place(file), fault or f"the file is larger than {TEMPLATE_BYTES // 1024 // 1024} MiB; shorten it"
            )
        elif found := _DATES_FILE.fullmatch(name):
            words = _read_dates(file, data, report)
            if words is not None:
                dates[found["language"]] = words
        else:
            text, problems = decode_utf_8(file, data)
            report.add(problems)
            if text is None:
                continue
            # A browser hashes styles with line feeds only.
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            if found := _PAGE_FILE.fullmatch(name):
                page = texts.setdefault(found["page"], {})
                page[found["language"]] = _read_text(file, text, PAGES[found["page"]], report)
            else:
                layout = _read_layout(file, text, report)
    return PageTemplates(layout, texts, dates)


def _fault_of_name(name: str) -> str:
    """Why a file cannot be a template; ``""`` when it can."""
    found = _PAGE_FILE.fullmatch(name) or _DATES_FILE.fullmatch(name)
    if found is None:
        if name == _LAYOUT_FILE:
            return ""
        lower = name.lower()
        is_good = lower == _LAYOUT_FILE or _PAGE_FILE.fullmatch(lower) or _DATES_FILE.fullmatch(lower)
        near = lower if is_good else nearest(name, _GOOD_NAMES)
        return (
            "a template is named layout.html, PAGE.LANGUAGE.html such as closed.en.html, or dates.LANGUAGE.json, but "
            f"this file is not{f' (did you mean {shown(near)}?)' if near else ''}"
        )
    page = found.groupdict().get("page")
    if page is not None and page not in PAGES:
        return one_of("the page before the first dot", PAGES, page)
    language = found["language"].partition("-")[0]
    if len(language) == 2 and language not in _LANGUAGES:
        return f"{shown(language)} is no language; write the code that browsers have for it, such as en, es or fr"
    return ""


def _read_layout(file: str, text: str, report: Report) -> Template:
    layout = _read_html(file, text, LAYOUT, report)
    for needed in ("language", "title", "text"):
        if needed not in layout.get_identifiers():
            report.error(Place(file), f"${needed} is missing; without it this is no document around a page")
    for style in _STYLE.finditer(text):
        if "$" in style[1]:
            place = place_at(file, text, style.start(1) + style[1].index("$"))
            report.error(place, "there are no placeholders between <style> and </style>; remove the $")
    return layout


def _read_text(file: str, text: str, placeholders: frozenset[str], report: Report) -> Template:
    starts = [found.start() for found in _HEADING_START.finditer(text)]
    if len(starts) != 1 or len(_HEADING.findall(text)) != 1:
        place = place_at(file, text, starts[min(1, len(starts) - 1)]) if starts else Place(file)
        report.error(place, "a page must have one heading, <h1>…</h1>, with plain text in it")
    return _read_html(file, text, placeholders, report)


def _read_html(file: str, text: str, placeholders: frozenset[str], report: Report) -> Template:
    _check_placeholders(text, placeholders, lambda offset: place_at(file, text, offset), report)
    _Markup(file, report).check(text)
    return Template(text)


def _read_dates(file: str, data: bytes, report: Report) -> DateWords | None:
    before = report.errors
    # JSON is YAML, and the values of this parser know their places.
    node, problems = parse_document(file, data)
    report.add(problems)
    if not isinstance(node, MappingNode):
        if not problems:
            is_what = kind_of(node) if node else "empty"
            report.error(Place(file), f"dates must be an object with {', '.join(DATE_KEYS)} but are {is_what}")
        return None
    table = Table(node, "the dates of a language", report)
    table.finish(DATE_KEYS)
    weekdays, months = _names(table, "weekdays", 7), _names(table, "months", 12)
    pattern = table.text("pattern", required=True, wanted="text such as '$weekday $day $month $year, $time'")
    if pattern is not None:
        _check_placeholders(pattern, DATE, lambda _: table.value_place("pattern"), report)
    return None if pattern is None or report.errors > before else DateWords(weekdays, months, Template(pattern))


def _names(table: Table, key: str, count: int) -> tuple[str, ...]:
    nodes = table.nodes(key)
    if key not in table:
        table.missing(key)
    elif len(nodes) != count:
        table.error(key, f"{key} must be a list of {count} names but has {len(nodes)}")
    return tuple(name for name, _ in table.texts(key))


def _check_placeholders(text: str, placeholders: frozenset[str], place: Callable[[int], Place], report: Report) -> None:
    """Reports every ``$`` that begins none of the placeholders, the first hundred of a file."""
    allowed = [f"${name}" for name in sorted(placeholders)]
    most = report.errors + MAX_PROBLEMS
    for found in Template.pattern.finditer(text):
        name = found["named"] or found["braced"]
        if found["invalid"] is not None:
            report.error(place(found.start()), "this $ begins no placeholder; write $$ for the sign itself")
        elif name is not None and name not in placeholders:
            none = f"there are no placeholders in this page, but here is {shown(f'${name}')}"
            report.error(place(found.start()), one_of("a placeholder", allowed, f"${name}") if allowed else none)
        if report.errors >= most:
            return


class _Markup(HTMLParser):
    """Looks for mark-up that the Content-Security-Policy of the pages (web/pages) does not reach, which is an error, or
    makes useless, which is a warning. The policy lets in styles of the page and pictures in it, and nothing from elsewhere.
    """

    def __init__(self, file: str, report: Report) -> None:
        super().__init__()
        self._file: Final = file
        self._report: Final = report
        self._most: Final = len(report.problems) + MAX_PROBLEMS

    def check(self, text: str) -> None:
        """Reports what there is."""
        try:
            self.feed(text)
            self.close()
        except AssertionError:  # The parser's word for a <![…]> of no browser's.
            self._report.error(self._place(), "this is no HTML: a <![…]> here; remove it")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Judges one tag."""
        if len(self._report.problems) >= self._most:
            return
        values = {name: (value or "").strip().lower() for name, value in attrs}
        inside = any(values.get(name, "").startswith("data:") for name in ("src", "href"))
        if values.get("http-equiv") == "refresh":
            self._refuse("<meta http-equiv=refresh> sends customers elsewhere unasked; write a link for them to follow")
        elif (tag == "meta" and values.get("name") == "referrer") or "referrerpolicy" in values:
            self._refuse("a referrer policy of its own could tell other servers the customer's link; remove it")
        elif tag == "link" and not inside:
            self._refuse("<link> lets browsers ask other servers; write styles between <style> and </style> instead")
        elif tag in _INERT:
            self._warn(f"<{tag}> has no effect: these pages run nothing and load nothing; remove it")
        elif "src" in values and not inside:
            self._warn(f'src of <{tag}> is not loaded: these pages load nothing; put a picture in as src="data:…"')
        elif "style" in values:
            self._warn(
                f"style of <{tag}> has no effect; give it a class, and that a style between <style> and </style>"
            )
        elif handler := next((name for name in values if name.startswith("on")), ""):
            self._warn(f"{handler} of <{tag}> has no effect: these pages run nothing; remove it")

    def _refuse(self, message: str) -> None:
        self._report.error(self._place(), message)

    def _warn(self, message: str) -> None:
        self._report.warning(self._place(), message)

    def _place(self) -> Place:
        line, column = self.getpos()
        return Place(self._file, line, column + 1)
