"""Trunks: what an admin writes, what a node dials, and what is refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_server.telephony.trunks import (
    MAX_REMOTE_ALIAS,
    DialString,
    Trunk,
    TrunkFault,
    check_trunk,
    dial_string,
    parse_trunk,
)

HOST = "pexbackup.byoc.usw2.pure.cloud"
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
HOSTS = st.builds(lambda labels: ".".join([*labels, "cloud"]), st.lists(LABELS, min_size=1, max_size=25))


@pytest.mark.parametrize(
    ("trunk", "expected"),
    [
        pytest.param(
            Trunk("clinic", "+13129998045", dial_prefix="99"),
            DialString("99+13129998045", "routing_rule"),
            id="dial prefix",
        ),
        pytest.param(Trunk("clinic", "+13129998045"), DialString("+13129998045", "routing_rule"), id="number alone"),
        pytest.param(
            Trunk("clinic", "+13125550100", termination=HOST),
            DialString("+13125550100@pexbackup.byoc.usw2.pure.cloud", "manual"),
            id="FQDN",
        ),
        pytest.param(
            Trunk("clinic", "+13125550100", termination=HOST, form="tgrp"),
            DialString("+13125550100;tgrp=pexbackup;trunk-context=byoc.usw2.pure.cloud@byoc.usw2.pure.cloud", "manual"),
            id="TGRP",
        ),
    ],
)
def test_dial_string(trunk: Trunk, expected: DialString) -> None:
    """A prefix or a bare number goes through Call Routing Rules; a termination is called directly."""
    assert dial_string(trunk) == expected


def test_trunk_is_parsed() -> None:
    """The number becomes E.164 and the form defaults to fqdn."""
    assert parse_trunk("backup", "(312) 555-0100", region="US", termination=HOST) == (
        Trunk("backup", "+13125550100", "", HOST, "fqdn"),
        (),
    )


def test_form_is_parsed() -> None:
    """A written form is kept."""
    trunk, faults = parse_trunk("backup", "+1 312 555 0100", termination=HOST, form="tgrp")
    assert trunk is not None
    assert (trunk.form, faults) == ("tgrp", ())


EXAMPLE = "'example.byoc.usw2.pure.cloud'"
ALONE = f"termination is a host name alone, like {EXAMPLE}, without scheme, number, port or parameters, but is "
LIKE = f"termination must be a host name like {EXAMPLE} but is "


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"dial_prefix": "+99"},
            TrunkFault(("dial_prefix",), "dial_prefix must be 1 to 20 digits (or * and #) but is '+99'"),
            id="plus in the prefix",
        ),
        pytest.param(
            {"dial_prefix": "٩٩"},
            TrunkFault(("dial_prefix",), "dial_prefix must be 1 to 20 digits (or * and #) but is '٩٩'"),
            id="digits of another script in the prefix",
        ),
        pytest.param(
            {"dial_prefix": "99", "termination": HOST},
            TrunkFault(
                ("dial_prefix",),
                "a trunk has either dial_prefix or termination, not both: remove termination to let Pexip's Call "
                "Routing Rule find the way, or remove dial_prefix to call the Genesys trunk itself",
            ),
            id="prefix and termination",
        ),
        pytest.param({"termination": f"sip:{HOST}"}, TrunkFault(("termination",), f"{ALONE}'sip:{HOST}'"), id="scheme"),
        pytest.param({"termination": f"{HOST}:5061"}, TrunkFault(("termination",), f"{ALONE}'{HOST}:5061'"), id="port"),
        pytest.param({"termination": f"+1@{HOST}"}, TrunkFault(("termination",), f"{ALONE}'+1@{HOST}'"), id="number"),
        pytest.param(
            {"termination": f"{HOST};transport=tls"},
            TrunkFault(("termination",), f"{ALONE}'{HOST};transport=tls'"),
            id="parameters",
        ),
        pytest.param(
            {"termination": "pex_backup.cloud"},
            TrunkFault(("termination",), f"{LIKE}'pex_backup.cloud'"),
            id="underscore",
        ),
        pytest.param({"termination": "a..cloud"}, TrunkFault(("termination",), f"{LIKE}'a..cloud'"), id="empty label"),
        pytest.param(
            {"termination": "-a.cloud"}, TrunkFault(("termination",), f"{LIKE}'-a.cloud'"), id="leading hyphen"
        ),
        pytest.param({"termination": "a.cloud\n"}, TrunkFault(("termination",), f"{LIKE}'a.cloud\\n'"), id="newline"),
        pytest.param(
            {"termination": "198.51.100.20"},
            TrunkFault(
                ("termination",),
                "termination must be a host name, because its first part identifies the trunk, but is '198.51.100.20'",
            ),
            id="address",
        ),
        pytest.param(
            {"termination": "pexbackup"},
            TrunkFault(
                ("termination",),
                f"termination must be the whole host name, like {EXAMPLE}, but is 'pexbackup': copy it from the "
                "trunk's page in Genesys",
            ),
            id="identifier alone",
        ),
        pytest.param(
            {"termination": ".".join(["abcdefgh"] * 27), "form": "tgrp"},
            TrunkFault(
                ("termination",), "termination is too long: Pexip would have to dial 508 characters and takes 250"
            ),
            id="longer than a remote_alias",
        ),
        pytest.param(
            {"form": "tgrp"},
            TrunkFault(
                ("form",),
                "form 'tgrp' says how to call a termination, but there is none: add termination or remove form",
            ),
            id="form without termination",
        ),
        pytest.param(
            {"form": "TGRP", "termination": HOST},
            TrunkFault(("form",), "form must be one of 'fqdn', 'tgrp' but is 'TGRP'", ("fqdn", "tgrp")),
            id="unknown form",
        ),
        pytest.param(
            {"region": "UK"},
            TrunkFault(
                ("region",),
                "region must be a two-letter country code such as US or GB but is 'UK' (did you mean 'GB'?)",
            ),
            id="unknown region",
        ),
    ],
)
def test_fault_names_field_and_remedy(fields: dict[str, str], expected: TrunkFault) -> None:
    """Each impossible value is refused, and the fault says where it is and what to write."""
    assert parse_trunk("clinic", "+13129998045", **fields) == (None, (expected,))


def test_all_faults_at_once() -> None:
    """Number, prefix, termination and form are all reported in one go."""
    trunk, faults = parse_trunk("clinic", "none", dial_prefix="x", termination="y", form="z")
    assert trunk is None
    assert [fault.path for fault in faults] == [
        ("number",),
        ("dial_prefix",),
        ("termination",),
        ("dial_prefix",),
        ("form",),
    ]


@pytest.mark.parametrize(
    ("number", "dial_prefix", "termination", "reason"),
    [
        pytest.param("3129998045", "", "", "number '3129998045' is not E.164", id="national number"),
        pytest.param("+13129998045", "99", HOST, "not both", id="prefix and termination"),
        pytest.param("+13129998045", "", "y", "whole host name", id="termination"),
    ],
)
def test_impossible_trunk_cannot_be_made(number: str, dial_prefix: str, termination: str, reason: str) -> None:
    """Not even code can make a trunk that could not be dialled."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        Trunk("clinic", number, dial_prefix, termination)


@given(host=HOSTS, form=st.sampled_from(["fqdn", "tgrp"]))
def test_direct_dial_string_fits_and_names_the_trunk(host: str, form: str) -> None:
    """A direct dial string fits Pexip's field, keeps the plus, and holds the whole host name again."""
    trunk, faults = parse_trunk("clinic", "+13129998045", termination=host, form=form)
    if trunk is None:
        assert "too long" in faults[0].message
        return
    assert check_trunk(trunk) == ()
    alias = dial_string(trunk).remote_alias
    assert len(alias) <= MAX_REMOTE_ALIAS
    user, _, at = alias.partition("@")
    number, *parameters = user.split(";")
    assert number == "+13129998045"
    named = dict(parameter.split("=") for parameter in parameters)
    identifier, context = named.get("tgrp"), named.get("trunk-context", "")
    assert (f"{identifier}.{context}" if identifier else at) == host
    assert at.endswith(context)
