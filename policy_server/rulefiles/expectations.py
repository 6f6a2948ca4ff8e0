"""Whether an answer is as a rule test expects it, and where it is not."""

from collections.abc import Iterator

from policy_server.pexip.field_facts import SECRET_FIELDS
from policy_server.wording.values import shown


def compare(path: str, expected: object, got: object) -> Iterator[str]:
    """The differences, field by field: fields that are not expected may hold anything, lists must be as long."""
    if path.rpartition(".")[2] in SECRET_FIELDS:
        if type(expected) is not type(got) or expected != got:
            yield f"{path}: not as expected (the values are secret)"
    elif isinstance(expected, dict):
        if not isinstance(got, dict):
            yield f"{path}: expected fields {', '.join(map(str, expected))} but got {_value(got)}"
            return
        for key, value in expected.items():
            if key in got:
                yield from compare(f"{path}.{key}", value, got[key])
            elif value is not None:
                shown_value = "a value" if key in SECRET_FIELDS else _value(value)
                yield f"{path}.{key}: expected {shown_value} but it is absent"
    elif isinstance(expected, list):
        if not isinstance(got, list) or len(got) != len(expected):
            yield f"{path}: expected {len(expected)} entries but got {len(got) if isinstance(got, list) else _value(got)}"
            return
        for number, (value, actual) in enumerate(zip(expected, got, strict=True)):
            yield from compare(f"{path}[{number}]", value, actual)
    elif type(expected) is not type(got) or expected != got:
        yield f"{path}: expected {_value(expected)} but got {_value(got)}"


def _value(value: object) -> str:
    return "nothing" if value is None else shown(value)
