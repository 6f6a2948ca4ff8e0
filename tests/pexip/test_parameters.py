"""The request parameters: their names, in which questions they come, and the one that is secret."""

import pytest

from policy_server.pexip.parameters import FOLDED_NAMES, PARAMETERS, folded, parameters_of
from policy_server.pexip.request_types import RequestType


def test_secrets() -> None:
    """The passcode of a meeting invitation is the one parameter that is secret."""
    assert [name for name, parameter in PARAMETERS.items() if parameter.secret] == ["third_party_passcode"]


def test_names_fold_apart() -> None:
    """No two parameters differ only by case and dashes, so folding loses none."""
    assert len(FOLDED_NAMES) == len(PARAMETERS)
    assert FOLDED_NAMES[folded("P-Asserted-Identity")] == "p_Asserted-Identity"


@pytest.mark.parametrize("kind", RequestType)
def test_parameters_of(kind: RequestType) -> None:
    """A question carries its parameters in name order; the alias of the path comes first where there is one."""
    names = [parameter.name for parameter in parameters_of(kind)]
    carried = sorted(name for name, parameter in PARAMETERS.items() if kind in parameter.requests)
    assert names == ["alias"] * kind.about.has_alias + carried
