"""The log beside the decisions: rules taken or refused, and failures of ours. It goes where the decision log goes."""

import logging
import sys
from datetime import UTC, datetime

import orjson

from policy_server.wording.values import printable


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON, its traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "time": _stamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """A record for people: when, how bad, what."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a traceback below it if there is one."""
        line = f"{_stamp(record)} {record.levelname} {printable(record.getMessage())}"
        if not record.exc_info:
            return line
        # Indented, or the text of an error could pass for a line of ours.
        below = (f"  {printable(each)}" for each in self.formatException(record.exc_info).splitlines())
        return "\n".join((line, *below))


def set_up_logging(log_format: str) -> None:
    """Sends what the service and its libraries log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # It would log every question to Genesys Cloud.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _stamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
