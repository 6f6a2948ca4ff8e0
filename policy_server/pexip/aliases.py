"""The one form in which aliases are compared (reference: pexip-policy-requests.md, section 4, item 7)."""

import re
from collections.abc import Set as AbstractSet

_PORT = re.compile(r"(@[^@:]+):[0-9]{1,5}\Z")
_SCHEMES = ("sip:", "sips:", "h323:")


def bare_alias(text: str) -> str:
    """An alias without scheme and parameters, in lower case: ``sip:Meet.Bob@Example.com;transport=tls`` is
    ``meet.bob@example.com``.
    """
    # RE2 takes the long s for an s when it ignores case; so do we, or index and match would differ.
    alias = text.lower().replace("\N{LATIN SMALL LETTER LONG S}", "s").strip()
    while alias.startswith(_SCHEMES):
        alias = alias[alias.index(":") + 1 :].strip()
    if ";" in alias or "?" in alias:
        alias = alias.partition(";")[0].partition("?")[0].strip()
    return _PORT.sub(r"\1", alias) if ":" in alias else alias


def normalise_alias(text: str, domains: AbstractSet[str] = frozenset()) -> str:
    """The bare alias, also without ``@domain`` when the domain is one of ``domains`` (given in lower case)."""
    alias = bare_alias(text)
    while domains and "@" in alias:
        user, _, domain = alias.rpartition("@")
        if domain not in domains:
            break
        alias = user.strip()
    return alias
