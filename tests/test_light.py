"""Dataclasses of which many are made are frozen for whoever writes code, and otherwise like any other."""

from dataclasses import field, replace

from policy_server.light import light_dataclass


@light_dataclass(frozen=True, slots=True)
class Sample:
    """Two fields, of which one counts."""

    name: str
    note: str = field(default="", compare=False, repr=False)


def test_they_are_equal_by_their_fields() -> None:
    """As values they compare, hash, print and are replaced as frozen dataclasses do."""
    sample = Sample("one", "seen")
    assert sample == Sample("one")
    assert hash(sample) == hash(Sample("one"))
    assert sample != Sample("two")
    assert repr(sample) == "Sample(name='one')"
    assert replace(sample, name="two") == Sample("two")
    assert not hasattr(sample, "__dict__")


def test_mypy_sees_that_they_are_frozen() -> None:
    """Without an error here that is ignored, mypy complains of this line."""
    Sample("one").name = "two"  # type: ignore[misc]
