"""Why an answer that a rule made for one question would be discarded, in words without secrets."""

from collections.abc import Mapping

from policy_server.pexip.properties import check_properties
from policy_server.pexip.services import check_service
from policy_server.policy.templates import is_blank


def faults_of_answer(fields: Mapping[str, object], *, participant: bool = False) -> str:
    """Every fault of a service, or of participant properties, as one line."""
    if not participant and is_blank(str(fields.get("name", ""))):
        return "name is empty"
    faults = check_properties(fields) if participant else check_service(fields)
    return "; ".join(fault.message for fault in faults)
