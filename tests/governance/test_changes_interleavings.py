"""Any order of opening, editing, voting, activating and letting people go: what is live was approved, word for word."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from governance import accounts, admissions, changes, entries
from governance.errors import GovernanceError
from governance.models import Change, ContentHead, PolicyHead, User, Workflow
from tests.cast import Cast, make_admission, make_cast, make_change, make_document, make_entry, make_live

pytestmark = pytest.mark.django_db

PEOPLE = ("lead", "owner", "second_lead", "integrator")
VOTERS = ("lead", "owner", "second_lead")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("propose"), st.sampled_from(PEOPLE), st.integers(50, 59)),
        st.tuples(st.just("open"), st.sampled_from(VOTERS), st.integers(0, 2)),
        st.tuples(st.just("revise"), st.sampled_from(PEOPLE), st.integers(50, 59)),
        st.tuples(st.just("vote"), st.sampled_from(VOTERS), st.sampled_from(["approve", "approve", "request_changes"])),
        # Twice, or most plays would end before anything is live.
        st.tuples(st.just("read_and_approve"), st.sampled_from(VOTERS), st.just(0)),
        st.tuples(st.just("read_and_approve"), st.sampled_from(VOTERS), st.integers(0, 1)),
        st.tuples(st.just("activate"), st.sampled_from(VOTERS), st.none()),
        st.tuples(st.just("take_back"), st.sampled_from(VOTERS), st.none()),
        st.tuples(st.just("activate"), st.sampled_from(VOTERS), st.none()),
        st.tuples(st.just("let_go"), st.sampled_from(VOTERS), st.none()),
        st.tuples(st.just("bring_back"), st.sampled_from(VOTERS), st.none()),
    ),
    min_size=15,
    max_size=30,
)


@dataclass
class Seen:
    """A form someone has open: of which change, with which digest and which document."""

    change: UUID
    digest: str
    document: Any


@dataclass
class World:
    """What the people remember, kept apart from the rows: who saw and said what, who wrote, who is gone."""

    cast: Cast
    current: UUID | None = None
    open_forms: dict[str, Seen] = field(default_factory=dict)
    said: dict[tuple[UUID, str], tuple[Seen, str]] = field(default_factory=dict)
    hands: dict[UUID, set[str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    live: UUID | None = None

    def write(self, value: int, by: User) -> Change:
        """Write a new change."""
        return make_change(self.cast, value / 100, by=by)

    def content(self, value: int) -> dict[str, Any]:
        """What a change is edited to say."""
        return make_document(value / 100)

    def now(self) -> tuple[UUID, Any] | None:
        """The change that made live what is live, and its document."""
        head = PolicyHead.objects.select_related("version").first()
        return (head.change_id, head.version.document) if head else None

    def person(self, name: str) -> User:
        """The person of a name."""
        return self.cast.people[name]

    def change(self) -> Change:
        """The change in hand. Raises Change.DoesNotExist before the first."""
        if self.current is None:
            raise Change.DoesNotExist
        return Change.objects.for_list().get(pk=self.current)

    def propose(self, name: str, value: int) -> None:
        """Write a new change and take it in hand."""
        self.current = self.write(value, self.person(name)).pk
        self.hands[self.current] = {name}

    def open(self, name: str, back: int) -> None:
        """Read one of the newest changes and keep its form open."""
        found = Change.objects.for_list()[back : back + 1]
        for change in found:
            self.current = change.pk
            self.open_forms[name] = Seen(change.pk, change.revision.payload_digest, change.revision.leads_to.document)

    def revise(self, name: str, value: int) -> None:
        """Edit the change in hand."""
        changes.revise(change=self.change(), document=self.content(value), by=self.person(name))
        self.hands[self.change().pk].add(name)

    def vote(self, name: str, choice: str) -> None:
        """Send the form that is open, however old it is."""
        seen = self.open_forms[name]
        change = Change.objects.get(pk=seen.change)
        changes.vote(change=change, digest=seen.digest, choice=choice, reason="so", by=self.person(name))
        self.said[seen.change, name] = (seen, choice)

    def read_and_approve(self, name: str, back: int) -> None:
        """Read and approve in one go, as most do."""
        self.open(name, back)
        self.vote(name, "approve")

    def take_back(self, name: str, _: None) -> None:
        """Take one's vote back."""
        self.vote(name, "withdraw")

    def activate(self, name: str, _: None) -> None:
        """Make the change in hand live."""
        changes.activate(change=self.change(), by=self.person(name))

    def let_go(self, name: str, _: None) -> None:
        """Deactivate a person."""
        accounts.deactivate(person=self.person(name), reason="gone", by=self.cast.admin)
        self.gone.add(name)

    def bring_back(self, name: str, _: None) -> None:
        """Reactivate a person."""
        accounts.reactivate(person=self.person(name), reason="back", by=self.cast.admin)
        self.gone.discard(name)

    def check(self) -> bool:
        """Whenever the head has moved: others, still here, last said yes to the very document that is live."""
        found = self.now()
        if found is None or found[0] == self.live:
            return False
        self.live, document = found
        digest = Change.objects.get(pk=self.live).revision.payload_digest
        answers = {name: said for (change, name), said in self.said.items() if change == self.live}
        valid = {
            name: (seen, choice)
            for name, (seen, choice) in answers.items()
            if name not in self.gone | self.hands[self.live] and seen.digest == digest
        }
        assert [name for name, (seen, choice) in valid.items() if choice == "approve"]
        assert not [name for name, (seen, choice) in valid.items() if choice == "request_changes"]
        assert all(seen.document == document for seen, _choice in valid.values())
        return True


class Entries(World):
    """The same with a workflow's entry: its row says at each moment what is live."""

    def write(self, value: int, by: User) -> Change:
        """Write a new change."""
        return make_entry(self.cast, by=by, **self.content(value))

    def content(self, value: int) -> dict[str, Any]:
        """What a change is edited to say."""
        return entries.of(self.cast.workflow) | {"rationale": "Orders stand in it", "retention_days": value}

    def now(self) -> tuple[UUID, Any] | None:
        """The change that made live what is live, and its document."""
        head = ContentHead.objects.filter(kind="workflow", change__isnull=False).select_related("content").first()
        if head is None or head.content is None or head.change_id is None:
            return None
        assert entries.of(Workflow.objects.get(pk=self.cast.workflow.pk)) == head.content.document
        return head.change_id, head.content.document


class Admissions(World):
    """The same with where a model may be asked: what the database lets be asked is what was approved."""

    def write(self, value: int, by: User) -> Change:
        """Write a new change."""
        return make_admission(self.cast, self.cast.models[0], by=by, document=self.content(value))

    def content(self, value: int) -> dict[str, Any]:
        """What a change is edited to say."""
        drafted = admissions.draft(self.cast.models[0].versions.get(), self.cast.production)
        return drafted | {"conditions": drafted["conditions"] | {"cost": str(value)}}

    def now(self) -> tuple[UUID, Any] | None:
        """The change that made live what is live, and its document."""
        heads = ContentHead.objects.filter(kind="model", model_version__model=self.cast.models[0], change__isnull=False)
        head = heads.select_related("content").first()
        if head is None or head.content is None or head.change_id is None:
            return None
        return head.change_id, head.content.document


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(steps=STEPS)
def _play(kind: type[World], cast: Cast, moves: list[int], steps: list[tuple[str, str, Any]]) -> None:
    with transaction.atomic():
        world = kind(cast)
        world.propose("integrator", 60)
        for act, name, value in steps:
            try:
                with transaction.atomic():
                    getattr(world, act)(name, value)
            except (GovernanceError, KeyError):
                continue
            moves.append(world.check())
        transaction.set_rollback(True)


@pytest.mark.parametrize("kind", [World, Entries, Admissions])
def test_in_any_order_only_what_was_approved_becomes_live(kind: type[World]) -> None:
    moves: list[int] = []
    cast = make_cast()
    if kind is not World:
        make_live(cast)
    _play(kind, cast, moves)
    assert sum(moves) >= 5, f"heads moved {sum(moves)} times: the test saw too little"


def test_the_check_itself_notices_content_nobody_approved() -> None:
    cast = make_cast()
    world = World(cast)
    world.propose("integrator", 60)
    world.open("owner", 0)
    world.vote("owner", "approve")
    world.activate("lead", None)
    world.open_forms["owner"].document = make_document(0.1)
    with pytest.raises(AssertionError):
        world.check()
