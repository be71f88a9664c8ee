"""Comments on places of a change's document: who writes and settles them, and that nobody changes what was said."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from governance import accounts, changes, comments
from governance.errors import InvalidInput
from governance.models import AuditEvent, Change, Comment, User
from tests.cast import Cast, approve, make_cast, make_change, make_document
from tests.governance.test_changes_races import while_held
from tests.pages import signed_in, text

GATE = "/steps/0/gate"


@pytest.fixture
def cast(db: None) -> Cast:
    """Everybody."""
    return make_cast()


def add(change: Change, by: User, **given: Any) -> Comment:
    """Comment on the gate."""
    said: dict[str, Any] = {"digest": change.revision.payload_digest, "path": GATE, "text": "Why so low?"}
    return comments.add(change=change, by=by, **(said | given))


def test_a_comment_binds_to_its_revision_and_place(cast: Cast) -> None:
    change = make_change(cast)
    made = add(change, cast.owner)
    whole = add(change, cast.lead, path="", text="Fine with me")
    assert (made.revision, made.path, whole.path) == (change.revision, GATE, "")
    event = AuditEvent.objects.about(change).filter(action="comments.add").newest_first()[1]
    assert (event.reason, (event.after or {})["path"]) == ("Why so low?", GATE)
    assert event.actor_name == "Owner"
    # It holds nothing up, and makes nobody a contributor.
    assert approve(change, cast.owner).state == "approved"


def test_places_are_json_pointers() -> None:
    assert comments.places({"a/b": {"~c": [1]}}) == ["/a~1b", "/a~1b/~0c", "/a~1b/~0c/0"]
    assert len(comments.places({"many": list(range(900))})) == comments.PLACES


@pytest.mark.parametrize("who", ["reviewer", "finance", "auditor", "admin", "stranger"])
def test_others_write_nothing(cast: Cast, who: str) -> None:
    with pytest.raises(accounts.NotPermitted):
        add(make_change(cast), cast.people[who])
    assert not Comment.objects.exists()


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"text": " "}, InvalidInput),
        ({"path": "/nowhere"}, changes.ChangeError),
        ({"digest": "0" * 64}, changes.DigestMoved),
    ],
)
def test_bad_input_is_refused(cast: Cast, given: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        add(make_change(cast), cast.owner, **given)
    assert not Comment.objects.exists()


def test_nobody_comments_on_what_has_ended(cast: Cast) -> None:
    change = make_change(cast)
    changes.withdraw(change=change, by=cast.integrator)
    with pytest.raises(changes.NotOpen):
        add(change, cast.owner)
    with pytest.raises(IntegrityError, match="has ended"), transaction.atomic():
        Comment.objects.create(change=change, revision=change.revision, text="Late", by=cast.owner)


def test_who_wrote_it_or_the_change_settles_it_once(cast: Cast) -> None:
    change = make_change(cast)
    mine, other = add(change, cast.owner), add(change, cast.owner)
    for who, kind in ((cast.lead, accounts.NotPermitted), (cast.stranger, accounts.NotPermitted)):
        with pytest.raises(kind):
            comments.resolve(comment=mine, by=who)
    with pytest.raises(IntegrityError, match="who wrote the comment"), transaction.atomic():
        Comment.objects.filter(pk=mine.pk).update(resolved_at=timezone.now(), resolved_by=cast.lead)
    assert Comment.objects.unresolved().count() == 2
    comments.resolve(comment=mine, by=cast.owner)
    comments.resolve(comment=other, by=cast.integrator)
    assert not Comment.objects.unresolved()
    with pytest.raises(changes.NotOpen):
        comments.resolve(comment=mine, by=cast.owner)


@pytest.mark.parametrize("write", [{"text": "Never said"}, {"path": ""}, {"resolved_at": None, "resolved_by": None}])
def test_what_was_said_stays(cast: Cast, write: dict[str, Any]) -> None:
    made = add(make_change(cast), cast.owner)
    comments.resolve(comment=made, by=cast.owner)
    with pytest.raises(IntegrityError), transaction.atomic():
        Comment.objects.update(**write)
    with pytest.raises(IntegrityError), transaction.atomic():
        Comment.objects.all().delete()


def test_the_page_shows_what_is_unresolved_and_outdated(cast: Cast) -> None:
    change = make_change(cast)
    page, owner = reverse("change", args=[change.pk]), signed_in(cast.owner)
    said = {"comment-digest": change.revision.payload_digest, "comment-path": GATE, "comment-text": "Why <so> low?"}
    address = reverse("change_comment", args=[change.pk])
    assert "Your comment stands" in text(owner.post(address, said, follow=True))
    assert "Say something" in text(owner.post(address, said | {"comment-text": ""}, follow=True))
    assert "Say something" in text(owner.post(address, said | {"comment-path": "/no"}, follow=True))
    made = Comment.objects.get()
    lead = text(signed_in(cast.lead).get(page))
    assert "Why <so> low?" in lead
    assert "1 comment nobody has settled" in lead
    assert "Resolve" not in lead
    changes.revise(change=change, document=make_document(0.7), by=cast.integrator)
    assert "outdated: revision 1" in text(owner.get(page))
    settle = reverse("comment_resolve", args=[made.pk])
    assert signed_in(cast.stranger).post(settle).status_code == 404
    assert signed_in(cast.lead).post(settle).status_code == 403
    assert "resolved by Integrator" in text(signed_in(cast.integrator).post(settle, follow=True))
    assert "resolved already" in text(owner.post(settle, follow=True))


def test_a_comment_that_waits_for_an_edit_is_refused(live_database: Any) -> None:
    cast = make_cast()
    change = make_change(cast)
    late: Any = lambda: add(change, cast.owner)  # noqa: E731
    outcome = while_held(lambda: changes.revise(change=change, document=make_document(0.5), by=cast.integrator), late)
    assert isinstance(outcome, changes.DigestMoved)
    assert not Comment.objects.exists()
