"""Comments on a change: bound to a revision and to a place in its document, immutable, settled by whom they concern.

They hold nothing up: who wants a change held asks for changes by a vote. Locks are those of a change.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from django.db import transaction
from django.utils import timezone

from governance import audiences, audit, notifications
from governance.accounts import NotPermitted, require
from governance.change_records import ChangeError, DigestMoved, NotOpen, lock
from governance.errors import store
from governance.models import Change, Comment, NotificationKind, User
from governance.paths import escaped
from governance.votes import had_hand

# A page offers so many places, and so deep.
PLACES = 200
DEEPEST = 4


def places(document: Any) -> list[str]:
    """Return the JSON pointers (RFC 6901) of the places in a document, outer before inner; at most 200."""
    return list(itertools.islice(_pointers(document, ""), PLACES))


@transaction.atomic
def add(*, change: Change, digest: str, path: str, text: str, by: User) -> Comment:
    """Say something of a place in the newest revision of an open change, or with an empty path of all of it.

    `digest` is that of the content as the page that was seen carried it. Raises NotPermitted, NotOpen, DigestMoved,
    ChangeError for a place that the document has not, InvalidInput without a text.
    """
    change, _head = lock(change)
    require(by, "comments.add", change)
    if change.state not in Change.OPEN:
        raise NotOpen(
            f"Change {change.number} is {change.get_state_display().lower()}: nobody comments on it any more."
        )
    revision = change.revision
    if digest != revision.payload_digest:
        raise DigestMoved(f"Change {change.number} was edited since you opened it. Read revision {revision.number}.")
    if path and path not in places(revision.leads_to.document):
        raise ChangeError("path: the document has no such place", field="path")
    made = store(Comment(change=change, revision=revision, path=path, text=text, by=by))
    audit.record(
        action="comments.add",
        actor=by,
        object=change,
        summary=f"Commented on {path or 'the whole'} of revision {revision.number} of change {change.number}",
        version=str(revision.number),
        after={"comment": made.pk, "path": path, "payload_digest": digest},
        reason=made.text,
    )
    to = audiences.of_comment(change)
    notifications.tell_of_change(kind=NotificationKind.COMMENTED, change=change, to=to, actor=by)
    return made


@transaction.atomic
def resolve(*, comment: Comment, by: User) -> Comment:
    """Say that a comment is settled; who wrote it may, and who wrote the change. Raises NotPermitted, NotOpen."""
    change, _head = lock(comment.change)
    require(by, "comments.add", change)
    held = Comment.objects.select_for_update(of=("self",)).for_page().get(pk=comment.pk)
    if held.by_id != by.pk and not had_hand(change, by):
        raise NotPermitted("Who wrote the comment or the change resolves it.")
    if held.resolved_at is not None:
        raise NotOpen("This comment is resolved already.")
    held.resolved_at, held.resolved_by = timezone.now(), by
    store(held)
    audit.record(
        action="comments.resolve",
        actor=by,
        object=change,
        summary=f"Resolved a comment of {held.by} on change {change.number}",
        before={"comment": held.pk, "resolved": False},
        after={"comment": held.pk, "resolved": True},
    )
    return held


def _pointers(value: Any, at: str) -> Iterator[str]:
    items: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        items = [(escaped(str(key)), each) for key, each in value.items()]
    elif isinstance(value, list):
        items = [(str(place), each) for place, each in enumerate(value)]
    for key, each in items:
        yield f"{at}/{key}"
        if at.count("/") + 1 < DEEPEST:
            yield from _pointers(each, f"{at}/{key}")
