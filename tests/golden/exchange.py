"""Golden files: a question as a node sends it, and the whole answer of the service to it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx
import orjson
from PIL import Image

from policy_server.app import create_app
from policy_server.rulefiles.store import RuleStore
from policy_server.settings import Credentials, Settings
from policy_server.simulator.judge import Deployment, HttpAnswer
from policy_server.web.decision_log import DecisionLog

HERE: Final = Path(__file__).parent
QUESTIONS: Final = HERE / "questions"
RULES: Final = HERE / "rules"

MOMENT: Final = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
"""When every question is asked: a Monday, half past six in the morning in Chicago."""

SECRET_KEY: Final = "the secret key of the golden tests"
KIOSK: Final = {"KIOSK_PASSWORD": "let me in"}
CREDENTIALS: Final = Credentials("pexip", "of the golden tests")

DEPLOYMENT: Final = Deployment(
    locations=frozenset({"DMZ", "London", "Oslo"}),
    themes=frozenset({"Telehealth"}),
    sip_proxies=frozenset({"Contact centre"}),
    media_playlists=frozenset({"Holding"}),
)
"""What exists in the deployment that the rules are for."""


@dataclass(frozen=True, slots=True)
class Golden:
    """One golden file: what it is about, the target of its GET, and the answer as text (empty: not written yet)."""

    path: Path
    about: str
    target: str
    answer: str

    @property
    def url_path(self) -> str:
        """The raw path of the question."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The raw query of the question."""
        return self.target.partition("?")[2]

    def text(self, answer: str) -> str:
        """The file with this answer."""
        return f"{self.about}GET {self.target}\n\n{answer}"


def read_golden(path: Path) -> Golden:
    """Reads one golden file: lines of comment, a GET line, an empty line, the answer."""
    question, _, answer = path.read_text(encoding="utf-8").partition("\n\n")
    about, _, target = question.rpartition("GET ")
    return Golden(path, about, target.strip(), answer)


def read_all() -> list[Golden]:
    """Every golden file, in the order of their numbers."""
    return [read_golden(path) for path in sorted(QUESTIONS.glob("*.txt"))]


def store(rules_folder: Path = RULES) -> RuleStore:
    """The golden rules, or others in their place."""
    return RuleStore(rules_folder, lambda: MOMENT, KIOSK)


async def ask(rules: RuleStore, target: str) -> HttpAnswer:
    """Sends one question over HTTP, within the process, to a server that was asked nothing before."""
    credentials = (CREDENTIALS.username, CREDENTIALS.password)
    with TemporaryDirectory(prefix="policy-server-test-") as folder:
        settings = Settings(pexip=CREDENTIALS, secret_key=SECRET_KEY, database_url=f"sqlite:///{folder}/policy.db")
        app = create_app(settings, rules, DecisionLog("json", write=len), clock=lambda: MOMENT)
        transport = httpx.ASGITransport(app=app)
        async with app.running(), httpx.AsyncClient(transport=transport, auth=credentials) as client:
            request = client.build_request("GET", f"http://golden{target}")
            if request.url.raw_path != target.encode():
                raise ValueError(f"the HTTP client would not send this target as it is: {target}")
            response = await client.send(request)
    return HttpAnswer(response.status_code, response.headers.get("content-type", ""), response.content)


def render(answer: HttpAnswer) -> str:
    """A whole answer as a golden file holds it: status, content type, and the body with what changes replaced."""
    head = f"{answer.status} {answer.content_type}\n"
    if answer.content_type == "image/jpeg":
        return head + _json(_picture(answer.body))
    if answer.content_type != "application/json":
        return head + answer.body.decode()
    body = orjson.loads(answer.body)
    for key in ("decision_id", "revision"):
        if isinstance(body.get(key), str) and body[key]:
            body[key] = f"<{key}>"
    return head + _json(body)


def _picture(body: bytes) -> dict[str, object]:
    """What counts of a picture; its bytes differ between versions of the library that writes them."""
    with Image.open(BytesIO(body)) as picture:
        width, height = picture.size
        points = {"top left": (0, 0), "above": (width // 2, height // 4), "below": (width // 2, 3 * height // 4)}
        colours = {name: _rounded(picture.getpixel(point)) for name, point in points.items()}
        return {"format": picture.format, "mode": picture.mode, "size": f"{width}x{height}", "colours": colours}


def _rounded(colour: object) -> str:
    return " ".join(str(round(part / 32) * 32) for part in colour) if isinstance(colour, tuple) else ""


def _json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
