"""What problems quote of a file: the value at fault, cut short, and nothing of a file that is no rule file."""

import pytest

from policy_server.rulefiles.ruletests import parse_tests
from tests.rulefiles.faults import NOW, problems

SECRET = "Xq7fTopSecret9"
"""What must not be found in a problem."""

KEY = f"-----BEGIN PRIVATE KEY-----\nMIIE{SECRET}kq\n{SECRET}==\n-----END PRIVATE KEY-----\n"

NO_RULES = {
    "a key": KEY,
    "a key with Windows lines": KEY.replace("\n", "\r\n"),
    "a secret alone": SECRET,
    "a secret in quotes": f"'{SECRET}'",
    "a file of settings": f"POLICY_SECRET_KEY={SECRET}\nPOLICY_RULES=rules\n",
    "a setting with a colon": f"POLICY_DATABASE_URL=postgresql: //u:{SECRET}@h/d\n",
    "a file of passwords": f"root:$6${SECRET}:1:0:99999:7:::\nbin:*:1::::::\n",
    "an htpasswd with a space": f"admin: $apr1${SECRET}\n",
    "a token as a list": f"- {SECRET}\n",
    "an API key of a service": f'{{"type": "service_account", "private_key": "{SECRET}"}}\n',
    "a kubeconfig": f"apiVersion: v1\nusers:\n  - user: {{ client-key-data: {SECRET} }}\n",
    "a quote that is not closed": f'"{SECRET}\n',
    "a tab": f"\t{SECRET}\n",
    "a directive": f"%{SECRET}\n",
    "an at sign": f"a: @{SECRET}\n",
    "two colons": f"a: b: {SECRET}\n",
    "text after a quote": f"a: 'b' {SECRET}\n",
    "bytes": f"a: \x07{SECRET}\n",
}


@pytest.mark.parametrize("text", NO_RULES.values(), ids=NO_RULES)
def test_nothing_is_quoted_of_what_is_no_rule_file(text: str) -> None:
    """A key or a list of passwords that was saved under the name of a rule file does not stand in the log."""
    found = problems(text)
    assert found
    assert SECRET not in "\n".join(found)


@pytest.mark.parametrize("text", NO_RULES.values(), ids=NO_RULES)
def test_nothing_is_quoted_of_what_is_no_file_of_rule_tests(text: str) -> None:
    """Nor under the name of a file of rule tests."""
    _, found = parse_tests({"rules/x.test.yaml": text.encode()}, None, NOW)
    assert found
    assert SECRET not in "\n".join(map(str, found))


LONG = "x" * 130 + SECRET * 20

QUOTED = {
    "a brace without a name": f"rooms: {{ a: {{ name: '{{ {LONG} }}', service_tag: a }} }}",
    "a group that stands twice": "service: [{ id: a, when: { local_alias: '(?P<AA>x)', remote_alias: '(?P<AA>y)' }, "
    "continue: true }]".replace("AA", "g" + LONG),
    "a value": f"service: [{{ id: a, when: {{ protocol: {LONG} }}, continue: true }}]",
    "a key": f"rooms: {{ a: {{ {LONG}: 1 }} }}",
    "a name": f"service: [{{ id: a, when: {{ open: {LONG} }}, continue: true }}]",
    "an anchor": f"rooms: *{LONG}",
    "an expression": f"service: [{{ id: a, when: {{ local_alias: '({LONG}' }}, continue: true }}]",
    "a number": f"trunks: {{ a: {{ number: '{LONG}' }} }}",
    "a time zone": f"calendars: {{ a: {{ timezone: {LONG}, open: {{ mon: ['08:00-09:00'] }} }} }}",
    "hours": f"calendars: {{ a: {{ timezone: UTC, open: {{ mon: ['{LONG}'] }} }} }}",
    "a network": f"locations: [{{ id: a, when: {{ remote_address: '{LONG}' }}, location: x }}]",
    "a domain": f"domains: ['{LONG} !']",
    "an address": f"links: {{ a: {{ alias: 'a{{session}}', url: 'gopher://{LONG}' }} }}",
}


@pytest.mark.parametrize("text", QUOTED.values(), ids=QUOTED)
def test_what_is_quoted_is_cut(text: str) -> None:
    """However long the value at fault is, a message shows its beginning alone."""
    found = problems(text)
    assert found
    assert SECRET not in "\n".join(found)
    assert max(map(len, found)) < 700
