"""``make agree``: 10,000 random questions to the endpoint, ``explain``, the page "Try a call" and ``replay``, who must agree."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Final

from tests.agree.four import agree

COUNT: Final = 10_000
EVERY: Final = 150
"""Questions between two revisions of the rules."""
HAPPENINGS: Final = frozenset({"link", "revoked", "moved", "over", "the"})
"""What has to have happened meanwhile, by its first word: "the rules of revision" and a number are the last."""


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.agree.run", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="questions to ask (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same questions")
    given = parser.parse_args()
    began = monotonic()
    with TemporaryDirectory(prefix="policy-server-agree-") as folder:
        report = agree(Path(folder), given.count, given.seed, EVERY, print)
    print(f"seed                              {given.seed}")
    for line in report.lines():
        print(line)
    print(f"seconds                           {monotonic() - began:.0f}")
    if missing := HAPPENINGS - report.happened.keys():
        print(f"did not happen: {', '.join(sorted(missing))}; ask more questions")
        return 1
    return 1 if report.unlike else 0


if __name__ == "__main__":
    sys.exit(main())
