"""The judge: would Pexip Infinity use this HTTP answer to this question and, if not, why?

Written from ``pexip-policy-responses.md`` (fields in sections 1 to 14, rule ids in section 15) and
``pexip-policy-requests.md``, and from nothing else of this project, so that it can contradict the rest of it.
"""

from policy_server.simulator.judge.node import judge
from policy_server.simulator.judge.verdict import Deployment, HttpAnswer, Objection, Outcome, Verdict

__all__ = ["Deployment", "HttpAnswer", "Objection", "Outcome", "Verdict", "judge"]
