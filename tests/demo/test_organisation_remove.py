"""Taking Harbour & Vale out of use: all of it, once, nothing of the record, and never the last who could manage."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Value
from django.db.models.functions import Concat
from django.utils import timezone

from demo import organisation, processes, removal
from demo.people import PEOPLE, of_demo
from demo.removal import NotRemovableError
from governance import accounts, changes
from governance.models import (
    ApiKey,
    AuditEvent,
    Change,
    Gateway,
    Model,
    PolicyHead,
    Review,
    Role,
    User,
    Workflow,
)
from ledger.models import Baseline
from tests.cast import BOOTSTRAP, make_person, make_review
from tests.demo.test_organisation_seed import counted, seed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("installation_keys")]


def remove(state: Path) -> list[str]:
    return removal.remove(state=state, now=timezone.now())


def test_all_of_it_is_taken_out_of_use_and_the_record_stays(tmp_path: Path) -> None:
    seed(tmp_path)
    own = make_person("Own administrator", Role.ADMIN)
    review = make_review(ApiKey.objects.get(name="Feedback form"))
    entries = set(AuditEvent.objects.values_list("pk", "entry_hash"))
    heads, baselines = PolicyHead.objects.count(), Baseline.objects.count()
    done = remove(tmp_path)
    assert not User.objects.filter(email__in=[each.email for each in PEOPLE], is_active=True).exists()
    assert not ApiKey.objects.usable().exists()
    assert not ApiKey.objects.filter(revoked_at=None).exists()
    assert Workflow.objects.filter(retired_at=None).count() == 0
    assert not Model.objects.filter(state=Model.State.ACTIVE).exists()
    assert Gateway.objects.get(name="recordings").revoked_at
    review.refresh_from_db()
    assert review.status == Review.Status.CANCELLED
    own.refresh_from_db()
    assert own.is_active
    assert entries < set(AuditEvent.objects.values_list("pk", "entry_hash"))
    assert (PolicyHead.objects.count(), Baseline.objects.count()) == (heads, baselines)
    assert f"retired {len(processes.ALL)} workflows" in done
    assert f"deactivated {len(PEOPLE)} accounts" in done
    assert "cancelled 1 open cases" in done
    assert {path.name for path in tmp_path.iterdir()} == {removal.MARK}


def test_open_changes_are_withdrawn_and_somebody_elses_asks_nobody(tmp_path: Path) -> None:
    seed(tmp_path)
    make_person("Own administrator", Role.ADMIN)
    own = make_person("Own lead", Role.LEAD)
    live = PolicyHead.objects.select_related("version", "workflow", "environment").first()
    assert live
    # Each says something else than what is live: the mode.
    mine, other = (
        changes.propose(
            workflow=live.workflow,
            environment=live.environment,
            document=live.version.document,
            mode="observe" if live.mode == "enforce" else "enforce",
            title="Watch it first",
            note="",
            by=by,
        )
        for by in (of_demo("lead"), own)
    )
    assert list(Change.objects.awaiting(own)) == [mine]
    assert "withdrew 1 open changes" in remove(tmp_path)
    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.state, other.state) == (Change.State.WITHDRAWN, Change.State.IN_REVIEW)
    assert not Change.objects.in_review().exists()
    assert AuditEvent.objects.about(mine).get(action="changes.withdraw").reason == removal.REASON


def test_a_removal_that_was_killed_before_its_commit_is_done_by_the_next(tmp_path: Path) -> None:
    seed(tmp_path)
    make_person("Own administrator", Role.ADMIN)
    (tmp_path / removal.MARK).write_text("2026-11-27\n")
    assert f"deactivated {len(PEOPLE)} accounts" in remove(tmp_path)
    assert not User.objects.filter(email__in=[each.email for each in PEOPLE], is_active=True).exists()
    with pytest.raises(NotRemovableError, match="removed before"):
        remove(tmp_path)


def test_nothing_is_committed_before_the_mark_stands(tmp_path: Path) -> None:
    """Else a kill in between would leave a removed demo that the next start makes anew."""
    seed(tmp_path)
    make_person("Own administrator", Role.ADMIN)
    before = counted()
    (tmp_path / removal.MARK).mkdir()
    with pytest.raises(IsADirectoryError):
        remove(tmp_path)
    assert counted() == before
    assert of_demo("lead").is_active
    assert Workflow.objects.filter(retired_at=None).count() == len(processes.ALL)
    assert (tmp_path / "demo-password").exists()


def test_nobody_is_locked_out(tmp_path: Path) -> None:
    seed(tmp_path)
    gone = make_person("Was administrator", Role.ADMIN)
    accounts.deactivate(person=gone, reason="left", by=BOOTSTRAP)
    make_person("A lead", Role.LEAD)
    before, files = counted(), {path.name for path in tmp_path.iterdir()}
    with pytest.raises(NotRemovableError, match="create_person"):
        remove(tmp_path)
    assert counted() == before
    assert {path.name for path in tmp_path.iterdir()} == files
    assert of_demo("admin").is_active


def test_twice_it_refuses_and_it_is_not_seeded_again(settings: Any, tmp_path: Path) -> None:
    seed(tmp_path)
    make_person("Own administrator", Role.ADMIN)
    remove(tmp_path)
    before = counted()
    with pytest.raises(NotRemovableError, match="removed before"):
        remove(tmp_path)
    settings.STATE = tmp_path
    with pytest.raises(CommandError, match="was removed"):
        call_command("demo_seed")
    assert counted() == before


def test_outside_the_demo_it_refuses(settings: Any, tmp_path: Path) -> None:
    seed(tmp_path)
    make_person("Own administrator", Role.ADMIN)
    settings.DEMO, settings.STATE = False, tmp_path
    before = counted()
    with pytest.raises(CommandError, match="no demo"):
        call_command("demo_remove")
    assert counted() == before
    settings.DEMO = True
    User.objects.filter(email__in=[each.email for each in PEOPLE]).update(email=Concat(Value("x"), "email"))
    with pytest.raises(CommandError, match="no demo here"):
        call_command("demo_remove")
    assert counted() == before


def test_the_command_says_what_it_did(settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed(tmp_path)
    make_person("Own administrator", Role.ADMIN)
    settings.STATE = tmp_path
    call_command("demo_remove")
    said = capsys.readouterr().out
    assert f"revoked {len(organisation.APPLICATIONS) + len(processes.RECORDED)} API keys" in said
    assert "Audit log, ledger and decisions stay" in said
