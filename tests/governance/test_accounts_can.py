"""Who may do what: the table of roles, scopes, environments and dates."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from governance import accounts
from governance.audit import Service
from governance.models import ApiKey, AuditEvent, Change, Grant, Model, Role, Workflow
from governance.permissions import KINDS, PERMISSIONS, VIEWS, rights_of, roles_with
from governance.waiting import acts_on
from tests.cast import BOOTSTRAP, make_cast, make_change, make_environment, make_key, make_person, make_team

pytestmark = pytest.mark.django_db


def test_a_role_carries_its_acts_in_its_team() -> None:
    cast = make_cast()
    assert accounts.can(cast.owner, "changes.vote", cast.workflow)
    assert accounts.can(cast.owner, "changes.vote")
    accounts.require(cast.owner, "changes.vote", cast.workflow)


def test_a_stranger_has_the_same_role_elsewhere_and_nothing_here() -> None:
    cast = make_cast()
    assert accounts.can(cast.stranger, "changes.vote", cast.elsewhere)
    assert not accounts.can(cast.stranger, "changes.vote", cast.workflow)
    with pytest.raises(accounts.NotPermitted, match="governance lead"):
        accounts.require(cast.stranger, "changes.vote", cast.workflow)


@pytest.mark.parametrize("role", list(Role))
def test_every_role_can_exactly_what_the_table_says(role: Role) -> None:
    team = make_team("Team")
    person = make_person("Person", role)
    acts = set().union(*PERMISSIONS.values())
    assert {act for act in acts if accounts.can(person, act, team)} == PERMISSIONS[role]


def test_every_act_of_a_role_belongs_to_one_kind_of_thing_and_has_words() -> None:
    told = [act for acts in KINDS.values() for act in acts]
    assert sorted(told) == sorted(set().union(*PERMISSIONS.values()))
    assert all(words for acts in KINDS.values() for words in acts.values())


def test_rights_are_told_by_kind_of_thing_without_those_nobody_holds() -> None:
    told = rights_of({"spend.view", "changes.vote", "prices.edit"})
    assert [(right.kind, *right.acts) for right in told] == [
        ("Changes", "vote on what others propose"),
        ("Money", "see what was spent and saved", "set prices"),
    ]
    assert rights_of(()) == []


def test_the_auditor_changes_nothing_and_the_administrator_votes_on_nothing() -> None:
    # A sample is drawn from the log and changes nothing in it.
    assert PERMISSIONS[Role.AUDITOR] - VIEWS == {"audit_samples.draw"}
    assert not any(act.startswith("changes.") and act != "changes.view" for act in PERMISSIONS[Role.ADMIN])


def test_what_belongs_to_the_organisation_takes_a_grant_for_it() -> None:
    team = make_team("Team")
    local, everywhere = make_person("Local", Role.LEAD, team), make_person("Everywhere", Role.LEAD)
    assert not accounts.can(local, "registry.edit", accounts.ORGANISATION)
    assert accounts.can(everywhere, "registry.edit", accounts.ORGANISATION)


def test_a_grant_for_one_environment_acts_only_there_but_reads_everywhere() -> None:
    cast = make_cast()
    staging = make_environment("staging")
    person = make_person("Person")
    accounts.grant(user=person, role=Role.OWNER, team=cast.team, environment=staging, by=BOOTSTRAP)
    assert accounts.can(person, "changes.vote", cast.workflow, environment=staging)
    assert not accounts.can(person, "changes.vote", cast.workflow, environment=cast.production)
    assert not accounts.can(person, "workflows.edit", cast.workflow)
    assert not accounts.can(person, "changes.vote", make_change(cast))
    assert accounts.can(person, "workflows.view", cast.workflow)


def test_a_grant_holds_between_its_dates_only() -> None:
    team, now = make_team("Team"), timezone.now()
    early, late = make_person("Early"), make_person("Late")
    accounts.grant(user=early, role=Role.OWNER, team=team, valid_from=now + timedelta(days=1), by=BOOTSTRAP)
    accounts.grant(
        user=late,
        role=Role.OWNER,
        team=team,
        valid_from=now - timedelta(days=2),
        valid_until=now - timedelta(days=1),
        by=BOOTSTRAP,
    )
    assert not accounts.can(early, "changes.vote", team)
    assert not accounts.can(late, "changes.vote", team)
    assert set(Grant.objects.in_force(now + timedelta(days=2)).filter(user__in=[early, late])) == {early.grants.get()}


def test_nobody_without_a_sign_in_can_anything() -> None:
    cast = make_cast()
    accounts.deactivate(person=cast.owner, reason="left", by=cast.admin)
    # The caller's copy still says active; the database decides.
    assert not accounts.can(cast.owner, "workflows.view", cast.workflow)
    assert not accounts.can(AnonymousUser(), "workflows.view", cast.workflow)
    with pytest.raises(accounts.NotPermitted):
        accounts.signed_in(AnonymousUser())


def test_a_superuser_flag_means_nothing() -> None:
    cast = make_cast()
    nobody = make_person("Nobody")
    vars(nobody)["is_superuser"] = True
    assert not any(accounts.can(nobody, act, cast.workflow) for act in roles_acts())


def test_services_set_up_and_never_decide() -> None:
    assert accounts.can(BOOTSTRAP, "registry.edit", accounts.ORGANISATION)
    assert not accounts.can(BOOTSTRAP, "changes.vote", accounts.ORGANISATION)
    assert not accounts.can(Service("someone"), "registry.edit", accounts.ORGANISATION)


def test_a_mistyped_act_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"changes\.vte"):
        roles_with("changes.vte")


def test_lists_show_a_team_its_own() -> None:
    cast = make_cast()
    change, (key, _token) = make_change(cast), make_key(cast)
    for person in (cast.owner, cast.lead, cast.auditor):
        assert set(Workflow.objects.visible_to(person)) == {cast.workflow}
        assert set(Change.objects.visible_to(person)) == {change}
        assert set(ApiKey.objects.visible_to(person)) == {key}
    for rows in (Workflow.objects, Change.objects, ApiKey.objects):
        assert not rows.visible_to(cast.stranger)
        assert not rows.visible_to(AnonymousUser())
    assert set(Model.objects.visible_to(cast.stranger)) == set(cast.models)
    assert not Model.objects.visible_to(make_person("Nobody"))


def test_the_audit_of_a_team_is_read_in_the_team_and_of_the_organisation_by_all_of_it() -> None:
    cast = make_cast()
    change = make_change(cast)
    everything = set(AuditEvent.objects.values_list("pk", flat=True))
    assert set(AuditEvent.objects.visible_to(cast.auditor).values_list("pk", flat=True)) == everything
    local = make_person("Local auditor", Role.AUDITOR, cast.team)
    seen = AuditEvent.objects.visible_to(local)
    assert seen.about(change).exists()
    assert set(seen.values_list("team", flat=True)) == {cast.team.pk}
    assert not AuditEvent.objects.visible_to(cast.owner)


def roles_acts() -> set[str]:
    """Every act there is."""
    return set().union(*PERMISSIONS.values())


def test_acts_on_says_in_one_query_what_can_says_of_each() -> None:
    cast = make_cast()
    staging = make_environment("staging")
    for place in (staging, cast.production):
        local = make_person("Local")
        accounts.grant(user=local, role=Role.OWNER, team=cast.team, environment=place, by=BOOTSTRAP)
        change = make_change(cast, 0.6)
        every = set().union(*PERMISSIONS.values())
        for person in (local, *cast.people.values()):
            assert acts_on(person, change) == {act for act in every if accounts.can(person, act, change)}
