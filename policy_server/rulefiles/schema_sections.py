"""The part of the JSON Schema for what rules refer to: domains, names of the deployment, trunks, calendars, …

The keys that the schema has are those that the loader reads.
"""

from typing import Final

from policy_server.pexip.properties import DirectoryEntry
from policy_server.policy.appointments import AFTER, BEFORE, WINDOW_LIMIT
from policy_server.policy.calendars import DAYS
from policy_server.policy.links import DEFAULT_TTL, TTL
from policy_server.policy.upstreams import CREDENTIAL_LIMIT, ON_FAILURE
from policy_server.rulefiles.declared import ATTRIBUTES
from policy_server.rulefiles.deployment import SCHEMA as DEPLOYMENT
from policy_server.rulefiles.numbers import COUNTRIES
from policy_server.rulefiles.pages import PAGES
from policy_server.rulefiles.pictures import PICTURE_ENDINGS
from policy_server.rulefiles.schema_parts import (
    LINE,
    NAME,
    NOTE,
    WRITTEN,
    Schema,
    any_case,
    described,
    one_or_list,
    ref,
    table,
)
from policy_server.rulefiles.trunk_limits import SCHEMA as LIMITS
from policy_server.telephony.trunks import FORMS
from policy_server.wording.durations import PATTERN, Durations, duration

URL_PLACEHOLDERS: Final = ("alias", "name", "session", "call", "guest_pin")

_LABEL: Final = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN: Final[Schema] = {
    "type": "string",
    "pattern": rf"^{_LABEL}(\.{_LABEL})+$",
    "patternErrorMessage": "Write a domain such as video.example.com",
}


def section_definitions() -> dict[str, Schema]:
    """The definitions of every section but the rule lists, by the name of the section, and of what they hold."""
    domains = one_or_list(_DOMAIN, "Our SIP domains: user@domain is matched as user.", may_be_empty=True)
    return {
        "domains_section": {**domains, "anyOf": [*domains["anyOf"], {"type": "null"}]},
        "pexip_section": DEPLOYMENT,
        "allowed_countries_section": {**COUNTRIES, "anyOf": [*COUNTRIES["anyOf"], {"type": "null"}]},
        "trunks_section": _named("Where the contact centre's phone numbers are reached, by name.", "trunk"),
        "holidays_section": _named("Lists of days, by name, for closed in calendars.", "holiday_list"),
        "calendars_section": _named("Opening hours, by name, for the conditions open and closed.", "calendar"),
        "tables_section": _tables(),
        "upstreams_section": _named("Other policy servers, by name, for the outcome forward.", "upstream"),
        "rooms_section": _named("Templates of meeting rooms, by name, for the outcome room.", "room"),
        "links_section": _named("Kinds of customer links, by name, for policy-server link create.", "link"),
        "directory_section": _directory(),
        "trunk": TRUNK,
        "holiday_list": HOLIDAY_LIST,
        "calendar": CALENDAR,
        "upstream": UPSTREAM,
        "directory_entry": DIRECTORY_ENTRY,
        "link": LINK,
    }


def _named(description: str, definition: str) -> Schema:
    # A heading with nothing below it is null.
    return {"description": description, "type": ["object", "null"], "additionalProperties": ref(definition)}


def _tables() -> Schema:
    return {
        "description": "Tables to look things up in, by name: CSV files, each by its path below the rules folder. The first "
        "line names the columns, the first column is the key.",
        "type": ["object", "null"],
        "propertyNames": {"pattern": "^(?!(link|room)$)[A-Za-z_][A-Za-z0-9_-]*$"},
        "additionalProperties": {
            "type": "string",
            "pattern": rf"\.{any_case('csv')}$",
            "patternErrorMessage": "Write the path of a CSV file below the rules folder, such as tables/queues.csv",
            "examples": ["tables/queues.csv"],
        },
    }


def _directory() -> Schema:
    entries: Schema = {"type": "array", "items": ref("directory_entry")}
    fields: dict[str, Schema] = {
        "entries": {**entries, "description": "The contacts."},
        "ignore_local": {
            "type": "boolean",
            "description": "true: only these contacts are found, none of Pexip's own.",
        },
    }
    return {
        "description": "Contacts that a directory search finds: a list of them, or a mapping with the list as entries.",
        "anyOf": [
            {**entries, "description": "A list of contacts."},
            table("The list of contacts, and what to do with Pexip's own.", fields),
            {"type": "null"},
        ],
    }


def _trunk() -> Schema:
    fields: dict[str, Schema] = {
        "number": {
            **WRITTEN,
            "minLength": 1,
            "description": "The phone number, with + and country code, or in national format with region.",
            "examples": ["+1 312 999 8045"],
        },
        "region": {
            "type": "string",
            "pattern": r"^\s*[A-Za-z]{2}\s*$",
            "patternErrorMessage": "Write a country code of two letters, such as US",
            "description": "The country (two letters) of a number in national format.",
        },
        "dial_prefix": {
            **WRITTEN,
            "pattern": "^[0-9*#]{0,20}$",
            "patternErrorMessage": "Write up to 20 digits",
            "description": "What Pexip's Call Routing Rule for this trunk expects before the number. Not with "
            "termination.",
        },
        "termination": {
            "type": "string",
            "pattern": "^[A-Za-z0-9.-]*$",
            "patternErrorMessage": "Write the host name alone, such as example.byoc.usw2.pure.cloud",
            "description": "The host name of the Genesys BYOC trunk, to dial it without a Call Routing Rule.",
        },
        "form": {
            "enum": list(FORMS),
            "description": f"How the termination expects to be called; {FORMS[0]} unless written. Only with "
            "termination.",
        },
        "limits": LIMITS,
        "description": NOTE,
    }
    return table("A phone number and the way to it.", fields, required=["number"])


TRUNK: Final = _trunk()


_HOURS: Final[Schema] = {
    "type": "string",
    "pattern": r"^\s*[0-2][0-9]:[0-5][0-9]\s*-\s*[0-2][0-9]:[0-5][0-9]\s*$",
    "patternErrorMessage": "Write hours as 08:00-18:00",
    "examples": ["08:00-18:00"],
}
_DAY_OF_YEAR: Final = "[0-1][0-9]-[0-3][0-9]"
_DATE: Final = f"[0-9]{{4}}-{_DAY_OF_YEAR}"
_PART: Final = r"\s+[0-2][0-9]:[0-5][0-9]\s*-\s*[0-2][0-9]:[0-5][0-9]"
_DAYS: Final = rf"\s*({_DATE}(\s*\.\.\s*{_DATE})?|{_DAY_OF_YEAR}(\s*\.\.\s*{_DAY_OF_YEAR})?)({_PART})?\s*"
_USUAL_DAYS: Final = (*DAYS, "mon-fri", "sat,sun", "mon-sun")


def _calendar() -> Schema:
    hours = one_or_list(
        _HOURS, "Hours such as 08:00-18:00, or a list of them; 22:00-02:00 ends on the next day.", may_be_empty=True
    )
    day = rf"\s*({'|'.join(f'{any_case(name)}[A-Za-z]*' for name in DAYS)})\s*"
    part = f"{day}(-{day})?"
    fields: dict[str, Schema] = {
        "timezone": {
            "type": "string",
            "description": "The place whose clocks count, by its name in the time zone database.",
            "examples": ["America/Chicago", "America/New_York", "Europe/London", "Europe/Oslo", "UTC"],
        },
        "open": {
            "type": "object",
            "description": "Hours by day: mon, a range such as mon-fri, or a list such as sat,sun.",
            "properties": dict.fromkeys(_USUAL_DAYS, hours),
            "patternProperties": {f"^{part}(,{part})*$": hours},
            "additionalProperties": False,
        },
        "closed": one_or_list(
            {
                "type": "string",
                "pattern": f"^([^0-9]|({_DAYS})$)",
                "patternErrorMessage": "Write a name under holidays, or days as 2026-12-25, 12-25 or 12-24 12:00-24:00",
            },
            "When it stays closed: names under holidays, and days as they are written there.",
            may_be_empty=True,
        ),
        "instead": {
            "type": "object",
            "description": "Hours of single dates, such as 2026-12-23, that hold whatever the rest says.",
            "patternProperties": {f"^{_DATE}$": hours},
            "additionalProperties": False,
        },
        "description": NOTE,
    }
    return table("Opening hours in a time zone.", fields, required=["timezone", "open"])


CALENDAR: Final = _calendar()


def _holiday_country() -> Schema:
    fields: dict[str, Schema] = {
        "country": {
            "type": "string",
            "pattern": "^[A-Z]{2}$",
            "patternErrorMessage": "Write a country code of two letters, such as CH",
            "description": "The country (ISO 3166, two letters) whose public holidays these are.",
        },
        "subdivision": {
            **WRITTEN,
            "description": "The part of the country, by its code, such as ZH for Zurich or CA for California.",
        },
        "description": NOTE,
    }
    return table("The public holidays of a country or a part of it.", fields, required=["country"])


HOLIDAY_COUNTRY: Final = _holiday_country()


def _holiday_list() -> Schema:
    day: Schema = {
        "type": "string",
        "pattern": f"^{_DAYS}$",
        "patternErrorMessage": "Write days as 2026-12-25, 12-25 (every year), 2027-07-19..2027-08-06 or 12-24 12:00-24:00",
        "examples": ["2026-12-25", "12-25", "2027-07-19..2027-08-06", "12-24 12:00-24:00"],
    }
    own = one_or_list(day, "Days: of one year or of every year, whole or in part.", may_be_empty=True)
    return {
        "description": "Days on which calendars are closed: a list of days, or the public holidays of a country.",
        "anyOf": [*own["anyOf"], HOLIDAY_COUNTRY],
    }


HOLIDAY_LIST: Final = _holiday_list()


def _directory_entry() -> Schema:
    endings = "|".join(any_case(ending.removeprefix(".")) for ending in PICTURE_ENDINGS)
    fields: dict[str, Schema] = {
        "alias": {**NAME, "description": described(DirectoryEntry, "alias")},
        "description": {**LINE, "description": f"{described(DirectoryEntry, 'description')} Default: the alias."},
        "username": {**LINE, "description": described(DirectoryEntry, "username")},
        "avatar": {
            "type": "string",
            "pattern": rf"^$|\.({endings})$",
            "patternErrorMessage": f"Write the path of a picture ({', '.join(PICTURE_ENDINGS)})",
            "description": "A picture, by its path below the rules folder, such as avatars/desk.jpg.",
        },
    }
    return table("A contact.", fields, required=["alias"])


DIRECTORY_ENTRY: Final = _directory_entry()


def _duration(durations: Durations, description: str, *examples: str) -> Schema:
    return {
        "type": "string",
        "pattern": f"{PATTERN}$",
        "patternErrorMessage": f"Write a duration such as {durations.examples}",
        "description": description,
        "examples": list(examples),
    }


def _window() -> Schema:
    fields = {
        "before": _duration(
            BEFORE, f"How long before its time the door opens, {BEFORE}. Default: it opens at that time.", "15m", "1h"
        ),
        "after": _duration(AFTER, f"How long after its time the door is shut, {AFTER}.", "30m", "1h"),
    }
    return table(
        "When the door of an appointment is open: of a link that is made with starts_at. A link without is good as long as "
        f"ttl says. Both together are {duration(WINDOW_LIMIT)} at the most.",
        fields,
        required=["after"],
    )


WINDOW: Final = _window()


def _link() -> Schema:
    around = "[^ ;?/@:{}]*"
    alias: Schema = {
        "type": "string",
        "pattern": rf"^{around}\{{session\}}{around}$",
        "patternErrorMessage": "Write an alias with {session} in it, such as mp{session}",
    }
    agent_alias: Schema = {
        "type": "string",
        "pattern": rf"^{around}\{{(agent|call)\}}{around}$",
        "patternErrorMessage": "Write an alias with {agent} in it, such as hcp{agent}",
    }
    fields: dict[str, Schema] = {
        "alias": {
            **alias,
            "description": "The alias that the customer's link dials. {session} stands for the customer's name of the call.",
        },
        "agent_alias": {
            **agent_alias,
            "description": "The alias by which the agent's widget joins the same room. {agent} stands for a key that only "
            "the lookup gives. {call} is weaker: call ids are no secret.",
        },
        "ttl": _duration(
            TTL, f"How long a link is valid, {TTL}. Default: {duration(DEFAULT_TTL)}.", "30m", "4h", "1d 12h"
        ),
        "window": WINDOW,
        "url": {
            "type": "string",
            "pattern": rf"^([^{{}}]|\{{({'|'.join(URL_PLACEHOLDERS)})\}})*$",
            "patternErrorMessage": f"The placeholders are {', '.join(f'{{{name}}}' for name in URL_PLACEHOLDERS)}",
            "description": "The address of the web app that /join redirects to. Placeholders: "
            f"{', '.join(f'{{{name}}}' for name in URL_PLACEHOLDERS)}.",
        },
        "templates": {
            "type": "string",
            "pattern": r"^(?!/)(?!(.*/)?\.\.(/|$)).*[^./]",
            "patternErrorMessage": "Write the path of a folder below the rules folder, such as pages",
            "description": "A folder with pages of your own for customers at a closed door, by its path below the rules "
            "folder: PAGE.LANGUAGE.html such as closed.en.html, layout.html, dates.LANGUAGE.json. Each page that it "
            f"lacks in a language is as shipped. Pages: {', '.join(PAGES)}.",
            "examples": ["pages"],
        },
        "attributes": ATTRIBUTES,
        "joins": {
            "type": "string",
            "description": "The type of link into whose rooms these lead: such a link is for one more person, an interpreter "
            "or a relative, in the room of another link. {call} is the call that it joins. Its agents are those of that "
            "link, so it has no agent_alias.",
            "examples": ["visit"],
        },
        "description": NOTE,
    }
    both = {"required": ["joins", "agent_alias"]}
    return table("A kind of customer link.", fields, required=["alias"], **{"not": both})


LINK: Final = _link()

UPSTREAM: Final = table(
    "Another policy server, which answers questions that rules forward to it.",
    {
        "url": {
            "type": "string",
            "pattern": r"^[hH][tT][tT][pP][sS]?://[^\s/?#@]+(/[^\s?#]*)?$",
            "patternErrorMessage": "Write the URL of its policy profile, such as https://policy.example.com",
            "description": "The URL as a policy profile of Pexip has it: without /policy/v1, and without a password.",
        },
        "username": {
            "type": "string",
            "minLength": 1,
            "maxLength": CREDENTIAL_LIMIT,
            "pattern": "^[^:\\x00-\\x1f]*$",
            "description": "The user name that it asks for (HTTP Basic).",
        },
        "password_env": {
            "type": "string",
            "description": "The environment variable that holds the password.",
        },
        "timeout": {
            "type": "string",
            "pattern": r"^\s*([0-9]{1,4}ms|[0-9](\.[0-9]{1,3})?s)\s*$",
            "default": "1500ms",
            "description": "How long a question waits for its answer at the most, from 100ms to 3s.",
        },
        "on_failure": {
            "enum": list(ON_FAILURE),
            "default": "continue",
            "description": "What a node is told when it is late or away, or answers what no node would take: continue leaves "
            "the question to Pexip's own configuration, reject refuses.",
        },
        "description": NOTE,
    },
    required=["url"],
    dependentRequired={"username": ["password_env"], "password_env": ["username"]},
)
