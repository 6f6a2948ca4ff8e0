"""The judge: would Pexip Infinity use this HTTP answer to this question and, if not, why?

Written from the reference (pexip/README.md: Answers, What voids an answer, Questions), and from nothing else of this
project, so that it can contradict the rest of it.
"""

from policy_server.simulator.judge.node import judge
from policy_server.simulator.judge.verdict import Deployment, HttpAnswer, Objection, Outcome, Verdict

__all__ = ["Deployment", "HttpAnswer", "Objection", "Outcome", "Verdict", "judge"]
