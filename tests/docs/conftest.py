"""The folder and the server in which the commands of the pages run."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree

import pytest
from PIL import Image

from tests.docs.pages import FILES, ROOT
from tests.docs.site import SETTINGS, Site
from tests.genesys.asking import settings, standing_in
from tests.servers import RealServer, real_server


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the rules that are shipped and the files that the pages show."""
    path = tmp_path_factory.mktemp("pages")
    copytree(ROOT / "rules", path / "rules")
    copytree(ROOT / "examples" / "rules", path / "examples" / "rules")
    shipped = path / "rules" / "genesys.yaml"
    # Tests run on Christmas Day too.
    holiday = (datetime.now(UTC) + timedelta(days=100)).date()
    rules = re.sub(r"(?<=    closed: ).*", f'["{holiday}"]', shipped.read_text(encoding="utf-8"))
    shipped.write_text(rules, encoding="utf-8")
    for block in FILES:
        file = path / block.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text, encoding="utf-8")
        for picture in re.findall(r"avatar: ([\w/.]+)", block.text):
            (file.parent / picture).parent.mkdir(exist_ok=True)
            Image.new("RGB", (20, 20)).save(file.parent / picture)
    return path


@pytest.fixture(scope="session")
def site(folder: Path) -> Iterator[Site]:
    """A real server with the rules that are shipped, all its settings, and a stand-in of Genesys Cloud."""
    with standing_in() as genesys:
        variables = {**SETTINGS, **settings(genesys.url)}
        with real_server(folder, environment=variables) as running:
            yield Site(running, genesys.stand_in, variables)


@pytest.fixture(scope="session")
def server(site: Site) -> RealServer:
    """The server of the site."""
    return site.server
