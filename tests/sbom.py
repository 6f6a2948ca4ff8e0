"""A software bill of materials from the lock files, as CycloneDX JSON on standard output: ``make sbom``.

Of the service (``requirements.txt``) and of the agents' widget (``package-lock.json``, what its built page may hold).
The same locks give the same bill, so it has neither time nor serial number; licences of Python packages are what the
installed ones say of themselves.
"""

import base64
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SPEC_VERSION = "1.6"

Component = dict[str, Any]


def bill(root: Path = ROOT) -> dict[str, object]:
    """The bill of materials of a checkout (https://cyclonedx.org/docs/1.6/json/)."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    components = [*python_components(root / "requirements.txt"), *npm_components(root / "examples/agent-app")]
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": project["name"],
                "name": project["name"],
                "version": project["version"],
                "description": project["description"],
            }
        },
        "components": components,
        "dependencies": [{"ref": project["name"], "dependsOn": sorted(each["bom-ref"] for each in components)}],
    }


def python_components(lock: Path) -> Iterator[Component]:
    """What a lock file of pip names, with the hashes of all its files."""
    for entry in lock.read_text("utf-8").replace("\\\n", "").splitlines():
        if entry.startswith("#"):
            continue
        requirement = Requirement(entry.partition("--hash")[0].strip())
        (pin,) = requirement.specifier
        found = component("pypi", canonicalize_name(requirement.name), pin.version, python_licence(requirement.name))
        hashes = [{"alg": "SHA-256", "content": each} for each in re.findall(r"--hash=sha256:([0-9a-f]{64})", entry)]
        url = f"https://pypi.org/project/{found['name']}/{pin.version}/"
        found["externalReferences"] = [{"type": "distribution", "url": url, "hashes": hashes}]
        if requirement.marker is not None:
            found["properties"] = [{"name": "policy-server:marker", "value": str(requirement.marker)}]
        yield found


def python_licence(name: str) -> list[dict[str, object]]:
    """What an installed package says of its licence; nothing when it is not installed here or does not say."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return []
    if "License-Expression" in about:
        return [{"expression": about["License-Expression"]}]
    classifiers = [text.split(" :: ") for text in about.get_all("Classifier", [])]
    return [{"license": {"name": words[-1]}} for words in classifiers if words[0] == "License"]


def npm_components(folder: Path) -> Iterator[Component]:
    """What the lock file of npm names, without what is for development alone."""
    packages = json.loads((folder / "package-lock.json").read_text("utf-8"))["packages"]
    for place, package in packages.items():
        if not place or package.get("dev"):
            continue
        found = component(
            "npm", place.rpartition("node_modules/")[2], package["version"], [{"expression": package["license"]}]
        )
        digest = base64.b64decode(package["integrity"].removeprefix("sha512-")).hex()
        hashes = [{"alg": "SHA-512", "content": digest}]
        found["externalReferences"] = [{"type": "distribution", "url": package["resolved"], "hashes": hashes}]
        yield found


def component(kind: str, name: str, version: str, licences: list[dict[str, object]]) -> Component:
    """A component without its files."""
    purl = f"pkg:{kind}/{quote(name)}@{quote(version)}"
    found: Component = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    return {**found, "licenses": licences} if licences else found


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=2)
    print()
