"""The bill of materials names what is locked, and the widget's built page comes with the licences of what is in it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sbom import ROOT, bill
from tests.test_lock import locked

WIDGET = ROOT / "examples" / "agent-app"
TYPES_ONLY = ("@types/", "undici-types")


@pytest.fixture(name="components")
def _components() -> dict[str, Any]:
    components: Any = bill()["components"]
    return {each["purl"]: each for each in components}


def bundled() -> Iterator[tuple[str, str, str]]:
    """Name, version and licence of each package of the widget that is more than a tool or types."""
    packages = json.loads((WIDGET / "package-lock.json").read_text("utf-8"))["packages"]
    for place, package in packages.items():
        name = place.rpartition("node_modules/")[2]
        if name and not package.get("dev") and not name.startswith(TYPES_ONLY):
            yield name, package["version"], package["license"]


def test_the_bill_names_every_locked_package_with_its_hashes(components: dict[str, Any]) -> None:
    """What runs in production is in the bill, version for version, and can be told by its hash."""
    for requirement in locked("requirements.txt"):
        (pin,) = requirement.specifier
        (reference,) = components[f"pkg:pypi/{requirement.name}@{pin.version}"]["externalReferences"]
        assert reference["hashes"]
        assert all(len(each["content"]) == 64 for each in reference["hashes"])
    for name, version, licence in bundled():
        found = components[f"pkg:npm/{name.replace('@', '%40')}@{version}"]
        assert found["licenses"] == [{"expression": licence}]
        assert len(found["externalReferences"][0]["hashes"][0]["content"]) == 128


def test_the_bill_says_under_which_licence_the_service_s_packages_are(components: dict[str, Any]) -> None:
    """A package that is installed here has a licence in the bill."""
    assert components["pkg:pypi/starlette@" + version_of("starlette")]["licenses"]
    assert components["pkg:pypi/psycopg@" + version_of("psycopg")]["licenses"]


def version_of(name: str) -> str:
    """The locked version of a package of the service."""
    return next(pin.version for each in locked("requirements.txt") if each.name == name for pin in each.specifier)


def test_every_part_of_the_bill_has_a_name_of_its_own_that_the_service_depends_on(components: dict[str, Any]) -> None:
    """References are unique and lead to something; the same locks give the same bill."""
    found: Any = bill()
    (service,) = found["dependencies"]
    assert service == {"ref": "policy-server", "dependsOn": sorted(each["bom-ref"] for each in found["components"])}
    assert len(found["components"]) == len(components)
    assert found == bill()


def test_the_built_widget_carries_the_licences_of_what_is_in_it() -> None:
    """Who serves ``dist`` passes other people's work on, and with it the texts that they ask to go along."""
    text = (WIDGET / "dist" / "licences.txt").read_text("utf-8")
    for name, version, licence in bundled():
        assert f"{name} {version} ({licence})\n" in text
    assert "Apache License" in text
    assert "Permission is hereby granted, free of charge" in text
