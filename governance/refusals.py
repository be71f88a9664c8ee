"""What the API answers where a verb refuses: a status and a name for each refusal, with the sentence of the page.

The name is the contract: programs go by it, and the sentence may be said better one day.
"""

from http import HTTPStatus
from typing import Any

from governance import access_tokens, accounts, appointments, change_records, errors, reminders

# By the class of the refusal, the nearest first. What lies above this package adds its own (routing.api).
CODES: dict[type[errors.GovernanceError], tuple[int, str]] = {
    errors.GovernanceError: (HTTPStatus.CONFLICT, "refused"),
    errors.InvalidInput: (HTTPStatus.BAD_REQUEST, "invalid_request"),
    errors.InvalidDocument: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_document"),
    accounts.NotPermitted: (HTTPStatus.FORBIDDEN, "not_allowed"),
    access_tokens.TokenTooNarrow: (HTTPStatus.FORBIDDEN, "token_scope"),
    access_tokens.PersonOnly: (HTTPStatus.FORBIDDEN, "person_only"),
    change_records.ChangeError: (HTTPStatus.BAD_REQUEST, "invalid_request"),
    change_records.DigestMoved: (HTTPStatus.CONFLICT, "digest_moved"),
    change_records.SimulationMoved: (HTTPStatus.CONFLICT, "simulation_moved"),
    change_records.StaleBase: (HTTPStatus.CONFLICT, "stale_base"),
    change_records.NotOpen: (HTTPStatus.CONFLICT, "not_open"),
    change_records.OwnHand: (HTTPStatus.FORBIDDEN, "own_hand"),
    change_records.NotApproved: (HTTPStatus.CONFLICT, "not_approved"),
    change_records.WorkflowRetired: (HTTPStatus.CONFLICT, "workflow_retired"),
    change_records.NothingChanges: (HTTPStatus.CONFLICT, "nothing_changes"),
    change_records.ReasonMissing: (HTTPStatus.BAD_REQUEST, "reason_missing"),
    reminders.NudgedLately: (HTTPStatus.CONFLICT, "nudged_lately"),
    appointments.AppointmentClash: (HTTPStatus.CONFLICT, "appointment_clash"),
}


def code_of(kind: type[errors.GovernanceError]) -> tuple[int, str]:
    """Return the status and the name of a refusal, its own or that of the nearest it is a kind of."""
    return next(CODES[each] for each in kind.__mro__ if each in CODES)


def told(error: errors.GovernanceError) -> dict[str, Any]:
    """Return what the API says besides status and name: the sentence, the field at fault, and every problem."""
    said: dict[str, Any] = {"message": str(error), "param": error.field}
    if isinstance(error, errors.InvalidDocument):
        problems = [{"path": each.path, "message": each.message, "fix": each.fix} for each in error.problems]
        said["problems"] = problems
    return said
