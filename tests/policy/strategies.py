"""Hypothesis strategies for what reaches the evaluator: queries, aliases, expressions, and whole rule lists."""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from policy_server.pexip.parameters import PARAMETERS

NAMES = (*PARAMETERS, "P-Asserted-Identity", "idp_attribute_groups", "idp_attribute_X-Site+Name", "unheard_of")

_ENCODED = st.sampled_from(
    [
        *["+", "%2B", "%20", "%", "%4", "%zz", "%FF", "%00", "%0d%0A", "%C3%A9", "%ED%A0%80", "%F0%9F%98%80"],
        *["=", ";", "?", "@", "%40", "sip%3A", "[", "]", '"', "%22", "'", '["\\ud800"]', "['a']"],
        *["True", "dial_out", "10.0.0.1", "::1"],
    ]
)
encoded_text = st.lists(_ENCODED | st.text("abcXYZ0189.-_~", max_size=4), max_size=5).map("".join)
"""Form-encoded values, good and bad, without the separator of pairs."""

_PAIRS = st.tuples(st.sampled_from(NAMES) | encoded_text, encoded_text).map("=".join)
ascii_queries = st.lists(_PAIRS | encoded_text, max_size=6).map("&".join) | st.text(
    st.characters(max_codepoint=127), max_size=40
)
"""Query strings of ASCII: some that a node could send, some that nothing sends."""

queries = ascii_queries.map(str.encode) | st.binary(max_size=80)
"""Query strings of any bytes."""

_ALIAS_PARTS = st.sampled_from(
    [
        *["sip:", "SIPS:", "h323:", " ", ";transport=tls", "?x", "@", "video.example.com", "@Video.Example.com", ":"],
        *["mp", "desk", "\N{LATIN SMALL LETTER LONG S}", "\N{KELVIN SIGN}", "İ", "é", "\x00", "\u2028", "."],
    ]
)
aliases = st.lists(_ALIAS_PARTS | st.text(max_size=3), max_size=7).map("".join)
"""Aliases with schemes, parameters and domains in good and bad places."""


@dataclass(frozen=True)
class Expression:
    """A regular expression, and a text that it matches."""

    text: str
    sample: str


# Brackets, parentheses and bars where they mean nothing, to mislead whoever reads an expression by hand.
_ATOMS = st.sampled_from(
    [
        Expression(*pair)
        for pair in [
            ("a", "a"),
            ("mp", "mp"),
            ("K", "K"),
            ("é", "é"),
            ("王", "王"),
            (r"\.", "."),
            (r"\|", "|"),
            (r"\(", "("),
            ("-", "-"),
            ("[a-c]", "b"),
            ("[^a]", "x"),
            (r"[\](]", "("),
            ("[](|]", "]"),
            ("[^](]", "a"),
            ("[[:alpha:](]", "("),
            (r"\Q(|\E", "(|"),
            (r"\d", "7"),
            (r"\x41", "A"),
            (".", "王"),
            ("", ""),
        ]
    ]
)
_QUANTIFIED = st.tuples(
    _ATOMS,
    st.sampled_from([("", 1), ("?", 0), ("?", 1), ("*", 0), ("*", 2), ("+", 1), ("+", 3), ("{2}", 2), ("{0,1}", 0)]),
).map(
    lambda pair: (
        pair[0]
        if not pair[0].text
        else Expression(f"(?:{pair[0].text}){pair[1][0]}", pair[0].sample * pair[1][1])
        if pair[1][0] and len(pair[0].text) > 1
        else Expression(pair[0].text + pair[1][0], pair[0].sample * pair[1][1])
    )
)
_SEQUENCES = st.lists(_ATOMS | _QUANTIFIED, max_size=5).map(
    lambda atoms: Expression("".join(atom.text for atom in atoms), "".join(atom.sample for atom in atoms))
)


@st.composite
def expressions(draw: st.DrawFn) -> Expression:
    """An expression that RE2 takes, with a text that it matches when case counts."""
    branches = draw(st.lists(_SEQUENCES, min_size=1, max_size=3))
    text = "|".join(branch.text for branch in branches)
    sample = draw(st.sampled_from([branch.sample for branch in branches]))
    form = draw(st.sampled_from(["{}", "{}", "(?:{})", "(?P<g>{})", "(?i){}", "(?i:{})", "x(?:{})", "^{}$"]))
    if form == "^{}$" and len(branches) > 1:
        form = "{}"
    return Expression(form.format(text), "x" + sample if form.startswith("x") else sample)


ALIASES = ("mp1", "mp22", "hcp1", "desk", "Desk-é", "sip:MP1@video.example.com;transport=tls", "h323:desk", "other")
ADDRESSES = ("10.0.0.1", "10.0.0.200", "10.1.2.3", "192.0.2.7", "2001:db8::1", "::ffff:10.0.0.1", "300.1.1.1", "x")
PATTERNS = ("mp[0-9]+", "mp.*", "(?i)DESK.*", "mp1|hcp1", "desk", "desk-é", "[dm].*", ".*1", "hcp(?P<n>[0-9])", "m?p1")
NETWORKS = ("10.0.0.0/8", "10.0.0.0/24", "10.0.0.1", "192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0")
PROTOCOLS = ("sip", "api", "h323", "webrtc")
LOCATIONS = ("London", "Oslo", "DMZ")


def _some(values: tuple[str, ...]) -> st.SearchStrategy[Any]:
    return st.sampled_from(values) | st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "local_alias": _some(PATTERNS),
    "remote_address": _some(NETWORKS),
    "protocol": _some(PROTOCOLS),
    "location": _some(LOCATIONS),
    "registered": st.booleans(),
    "bandwidth": st.sampled_from([0, 64]),
}
_PLAIN_WHEN: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({}, optional=_PLAIN).filter(bool)
_NESTED: st.SearchStrategy[dict[str, Any]] = st.recursive(
    _PLAIN_WHEN,
    lambda inner: st.fixed_dictionaries(
        {}, optional={**_PLAIN, "not": inner, "any": st.lists(inner, min_size=1, max_size=3)}
    ).filter(bool),
    max_leaves=4,
)


def _without_groups(when: Any) -> Any:
    """The same conditions without named groups, which a rule may not name twice."""
    if isinstance(when, dict):
        return {key: _without_groups(value) for key, value in when.items()}
    if isinstance(when, list):
        return [_without_groups(value) for value in when]
    return when.replace("?P<n>", "") if isinstance(when, str) else when


conditions: st.SearchStrategy[dict[str, Any]] = _NESTED.map(_without_groups)
"""The ``when`` of a rule, as it would be written."""

rule_lists: st.SearchStrategy[list[dict[str, Any]]] = st.lists(conditions | st.none(), min_size=1, max_size=8).map(
    lambda whens: [
        {"id": f"rule-{number}", **({"when": when} if when else {}), "continue": True}
        for number, when in enumerate(whens)
    ]
)
"""Rules with nothing but an id, conditions and ``continue: true``."""

calls: st.SearchStrategy[dict[str, str]] = st.fixed_dictionaries(
    {},
    optional={
        "local_alias": st.sampled_from(ALIASES),
        "remote_address": st.sampled_from(ADDRESSES),
        "protocol": st.sampled_from([*PROTOCOLS, "SIP", "carrier-pigeon"]),
        "location": st.sampled_from([*LOCATIONS, "london"]),
        "registered": st.sampled_from(["True", "False", "maybe", ""]),
        "bandwidth": st.sampled_from(["0", "64", "-1", "many", ""]),
    },
)
"""The parameters of a question that these rules look at."""
