"""Whom a call is for, however what was dialled is written: by a rule, by a node or by the contact centre."""

from policy_server.pexip.aliases import bare_alias
from policy_server.telephony.numbers import number_in


def party(dialled: str) -> str:
    """The number in E.164, or else the user part: what spellings of one destination have in common."""
    user = bare_alias(dialled).removeprefix("tel:").partition("@")[0]
    return number_in(user) or (number_in(f"+{user}") if user.isdecimal() else "") or user
