"""Every address x every role: who gets in, who is told no, and for whom a thing does not exist.

A new address without a row here fails the first test.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client, override_settings
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from governance import access_tokens, changes, comments, delegations, gateways, notifications, stops, webhooks
from governance import people as persons
from governance.models import AuditEvent, Endpoint, Grant, Role
from routing import evaluations, simulations
from tests import cast as casting
from tests.ledger.reports import site_of
from tests.routing.asked import Shop
from tests.routing.lab import alike, bring_home, lab_of, measured, row

ROLES = ("anonymous", "viewer", "reviewer", "owner", "lead", "finance", "integrator", "auditor", "admin", "stranger")
SIGN_IN, GONE_ON, NO, ABSENT, INVALID, OK, NOTHING = 302, 302, 403, 404, 422, 200, 204


def everyone(status: int, **others: int) -> dict[str, int]:
    """The same for all who are signed in, save those named; who is not signed in is sent to the door."""
    return {"anonymous": SIGN_IN} | dict.fromkeys(ROLES[1:], status) | others


def only(*roles: str, gives: int = OK, else_: int = NO, stranger: int = ABSENT, **others: int) -> dict[str, int]:
    """What the named roles get; the rest of the team gets `else_`, someone of another team `stranger`."""
    return everyone(else_, stranger=stranger) | others | dict.fromkeys(roles, gives)


def governed(gives: int) -> dict[str, int]:
    """What those get who may change evaluations; who may only read them is told no, for others there are none."""
    return only(*VOTERS, gives=gives, else_=ABSENT) | dict.fromkeys(("finance", "integrator", "auditor"), NO)


READERS = ROLES[1:-1]
PROPOSERS = ("owner", "lead", "integrator")
VOTERS = ("owner", "lead")
REVIEW_READERS = ("reviewer", "owner", "lead", "integrator", "auditor")
SPENDERS = ("owner", "lead", "finance", "integrator", "auditor")
MODEL_FORMS = ("model_edit", "model_retire", "version_new", "endpoint_new")
REGISTER_FORMS = (*MODEL_FORMS, "endpoint_move", "endpoint_close")
MEASURERS = SPENDERS
PROVIDER_FORMS = ("provider_edit", "provider_close")
REGISTER_OF_ALL = ("provider_new", *PROVIDER_FORMS, "environment_new")
GATEWAY_FORMS = ("gateway_new", "gateway_revoke")
PERSON_FORMS = ("person_edit", "person_deactivate", "person_reactivate", "grant_new")
ACCOUNT_FORMS = (*PERSON_FORMS, "grant_revoke", "team_edit")
WEBHOOK_PAGES = ("webhook", "deliveries", "deliveries_csv")
WEBHOOK_FORMS = ("webhook_new", "webhook_edit", "webhook_close", "webhook_secret")
SAMPLE_PAGES = ("audit_samples", "audit_samples_csv", "audit_sample_new")
ABOVE = ("standard_revise", "exceptions_new", "exceptions_revise")
OWN_FORMS = ("account_edit", "account_password", "account_notifications", "token_new")
OPEN = dict.fromkeys(ROLES, OK)
ORGANISATION_WIDE = dict.fromkeys(("finance", "auditor", "admin"), NO)
GATEWAYS = BY_TOKEN = dict.fromkeys(ROLES, 401)
API_OF_CHANGES = (
    *(("api_changes", "get"), ("api_changes", "post"), ("api_policies", "get"), ("api_change", "get")),
    *((f"api_change_{part}", "post") for part in ("revisions", "withdrawal", "votes", "activation", "ratification")),
    *(("api_change_simulations", "get"), ("api_change_simulations", "post"), ("api_simulation", "get")),
)
RULES = {
    "rules": [{"name": "Gates", "when": {"parts": ["gate"], "risks": ["high"]}, "votes": 2, "expires_days": 14}],
    "freezes": [{"name": "Christmas trade", "start": "2030-12-20T00:00:00Z", "end": "2031-01-02T00:00:00Z"}],
}

# (name, method): the status each role gets. A stranger is the governance lead of another team; the change was proposed
# by the integrator, so only he may take it back.
MATRIX: dict[tuple[str, str], Mapping[str, int]] = {
    ("healthz", "get"): OPEN,
    ("readyz", "get"): OPEN,
    # From this machine; tests/config/test_metrics_read.py asks from elsewhere.
    ("metrics", "get"): OPEN,
    ("sign_in", "get"): everyone(GONE_ON, anonymous=OK),
    ("sign_out", "post"): everyone(GONE_ON),
    # Only by this machine's own name; tests/demo/test_door_open.py asks by that.
    ("demo", "get"): dict.fromkeys(ROLES, ABSENT),
    ("demo_as", "post"): dict.fromkeys(ROLES, ABSENT),
    ("home", "get"): everyone(OK),
    ("workflows", "get"): everyone(OK),
    ("workflows_csv", "get"): everyone(OK),
    ("workflow", "get"): only(*READERS),
    ("policy", "get"): only(*READERS),
    ("rollback_new", "get"): only(*VOTERS),
    ("rollback_new", "post"): only(*VOTERS, gives=INVALID),
    ("change_new", "get"): only(*PROPOSERS),
    ("change_new", "post"): only(*PROPOSERS, gives=INVALID),
    ("entry_new", "get"): only(*PROPOSERS),
    ("entry_new", "post"): only(*PROPOSERS, gives=INVALID),
    ("admission_new", "get"): only(*PROPOSERS, stranger=NO),
    ("admission_new", "post"): only(*PROPOSERS, gives=INVALID, stranger=NO),
    ("admission_revise", "get"): only(*PROPOSERS),
    ("admission_revise", "post"): only(*PROPOSERS, gives=INVALID),
    ("entry_revise", "get"): only(*PROPOSERS),
    ("entry_revise", "post"): only(*PROPOSERS, gives=INVALID),
    ("changes", "get"): everyone(OK),
    ("changes_csv", "get"): everyone(OK),
    ("change", "get"): only(*READERS),
    ("change_revise", "get"): only(*PROPOSERS),
    ("change_revise", "post"): only(*PROPOSERS, gives=INVALID),
    ("change_vote", "post"): only(*VOTERS, gives=INVALID),
    ("change_activate", "post"): only(*VOTERS, gives=GONE_ON),
    ("change_appoint", "post"): only(*VOTERS, gives=GONE_ON),
    ("change_cancel", "post"): only(*VOTERS, gives=GONE_ON),
    ("change_effects", "get"): only(*READERS),
    ("change_emergency", "get"): only(*VOTERS),
    ("change_emergency", "post"): only(*VOTERS, gives=INVALID),
    # No emergency made this change live: tests/governance/test_emergencies_pages.py has one that does.
    ("change_emergency_end", "get"): only(*VOTERS, gives=ABSENT),
    ("change_emergency_end", "post"): only(*VOTERS, gives=ABSENT),
    ("change_look_back", "post"): only(*VOTERS, gives=GONE_ON),
    ("change_comment", "post"): only(*PROPOSERS, gives=GONE_ON),
    # The integrator's own change: he and who wrote the comment settle it.
    ("comment_resolve", "post"): only("owner", "integrator", gives=GONE_ON),
    ("change_nudge", "post"): only("integrator", gives=GONE_ON),
    ("change_withdraw", "post"): only("integrator", gives=GONE_ON),
    ("change_ratify", "post"): only(*VOTERS, gives=GONE_ON),
    ("coordination", "get"): everyone(OK),
    ("coordination_csv", "get"): everyone(OK),
    ("approval_rules", "get"): everyone(OK),
    ("approval_rules_csv", "get"): everyone(OK),
    ("approval_rules_new", "get"): only("lead", stranger=NO),
    ("approval_rules_new", "post"): only("lead", gives=INVALID, stranger=NO),
    # A change of the whole organisation: those of one team do not see it.
    ("approval_rules_revise", "get"): only("lead", else_=ABSENT, **ORGANISATION_WIDE),
    ("approval_rules_revise", "post"): only("lead", gives=INVALID, else_=ABSENT, **ORGANISATION_WIDE),
    ("workflow_new", "get"): only("lead", stranger=OK),
    ("workflow_new", "post"): only("lead", gives=INVALID, stranger=INVALID),
    ("workflow_edit", "get"): only(*VOTERS),
    ("workflow_edit", "post"): only(*VOTERS, gives=INVALID),
    ("step_add", "get"): only(*VOTERS),
    ("step_add", "post"): only(*VOTERS, gives=INVALID),
    ("workflow_retire", "get"): only(*VOTERS),
    ("workflow_retire", "post"): only(*VOTERS, gives=INVALID),
    **{(name, "get"): everyone(OK) for name in ("stops", "stops_csv", "terms", "terms_csv")},
    ("workflow_stop", "get"): only(*VOTERS),
    ("workflow_stop", "post"): only(*VOTERS, gives=INVALID),
    # What is the organisation's or of all teams is not an owner's of one team to stop.
    ("model_stop", "get"): only(*VOTERS, stranger=NO),
    ("model_stop", "post"): only(*VOTERS, gives=INVALID, stranger=NO),
    ("stop_new", "get"): only("lead", stranger=NO),
    ("stop_new", "post"): only("lead", gives=INVALID, stranger=NO),
    ("stop_lift", "get"): only(*VOTERS, stranger=NO),
    ("stop_lift", "post"): only(*VOTERS, gives=INVALID, stranger=NO),
    # Webhooks are the organisation's: the lead of one team sees that there are some.
    **{(name, "get"): only("lead", "auditor", "admin", stranger=OK) for name in ("webhooks", "webhooks_csv")},
    **{(name, "get"): only("lead", "auditor", "admin", stranger=NO) for name in WEBHOOK_PAGES},
    **{(name, "get"): only("lead", "admin", stranger=NO) for name in WEBHOOK_FORMS},
    **{(name, "post"): only("lead", "admin", gives=INVALID, stranger=NO) for name in WEBHOOK_FORMS[:-1]},
    # Its answer alone shows the secret.
    ("webhook_secret", "post"): only("lead", "admin", stranger=NO),
    ("webhook_test", "post"): only("lead", "admin", gives=GONE_ON, stranger=NO),
    ("delivery_again", "post"): only("lead", "admin", gives=GONE_ON, stranger=NO),
    ("models", "get"): everyone(OK),
    ("models_csv", "get"): everyone(OK),
    ("model", "get"): everyone(OK),
    ("model_new", "get"): only("lead", stranger=OK),
    ("model_new", "post"): only("lead", gives=INVALID, stranger=INVALID),
    **{(name, "get"): only("lead", stranger=NO) for name in REGISTER_FORMS},
    **{(name, "post"): only("lead", gives=INVALID, stranger=NO) for name in REGISTER_FORMS},
    ("endpoint_try", "post"): only("lead", gives=GONE_ON, stranger=NO),
    ("model_prices", "get"): only(*SPENDERS, stranger=OK),
    ("price_new", "get"): only("lead", "finance", stranger=NO),
    ("price_new", "post"): only("lead", "finance", gives=INVALID, stranger=NO),
    **{
        (f"{noun}{kind}", "get"): everyone(OK)
        for noun in ("providers", "environments", "gateways", "instances")
        for kind in ("", "_csv")
    },
    ("provider", "get"): everyone(OK),
    # The stranger leads another team alone: what belongs to the organisation is not his to change.
    **{(name, "get"): only("lead", stranger=NO) for name in REGISTER_OF_ALL},
    **{(name, "post"): only("lead", gives=INVALID, stranger=NO) for name in REGISTER_OF_ALL},
    ("environment_address", "get"): only("lead", stranger=NO),
    # No address is one too.
    ("environment_address", "post"): only("lead", gives=GONE_ON, stranger=NO),
    **{(name, "get"): only("admin", stranger=NO) for name in GATEWAY_FORMS},
    **{(name, "post"): only("admin", gives=INVALID, stranger=NO) for name in GATEWAY_FORMS},
    **{(name, "get"): only("auditor", "admin", stranger=NO) for name in ("people", "people_csv", "teams", "teams_csv")},
    **{(name, "get"): only("auditor", "admin", else_=ABSENT) for name in ("person", "team")},
    **{(name, "get"): only("admin", stranger=NO) for name in ("person_new", "team_new")},
    **{(name, "post"): only("admin", gives=INVALID, stranger=NO) for name in ("person_new", "team_new")},
    ("person_invite", "post"): only("admin", else_=ABSENT, auditor=NO),
    **{(name, "get"): only("admin", else_=ABSENT, auditor=NO) for name in ACCOUNT_FORMS},
    **{(name, "post"): only("admin", gives=INVALID, else_=ABSENT, auditor=NO) for name in ACCOUNT_FORMS},
    ("account", "get"): everyone(OK),
    **{(name, "get"): everyone(OK) for name in OWN_FORMS},
    **{(name, "post"): everyone(INVALID) for name in OWN_FORMS},
    ("delegation_new", "get"): only(*VOTERS, stranger=OK),
    ("delegation_new", "post"): only(*VOTERS, gives=INVALID, stranger=INVALID),
    # The owner's to the lead: for others there is none.
    ("delegation_revoke", "post"): only(*VOTERS, gives=GONE_ON, else_=ABSENT),
    ("account_sessions", "post"): everyone(GONE_ON),
    # The owner's own; who administers people may end it too.
    ("token_revoke", "post"): everyone(ABSENT, owner=GONE_ON, admin=GONE_ON),
    # Whoever has the link.
    ("welcome", "get"): OPEN,
    ("welcome", "post"): dict.fromkeys(ROLES, INVALID),
    ("keys", "get"): everyone(OK),
    ("keys_csv", "get"): everyone(OK),
    ("key_new", "get"): only(*PROPOSERS, stranger=OK),
    ("key_new", "post"): only(*PROPOSERS, gives=INVALID, stranger=INVALID),
    ("key_revoke", "get"): only(*PROPOSERS),
    ("key_revoke", "post"): only(*PROPOSERS, gives=INVALID),
    ("reviews", "get"): only(*REVIEW_READERS, stranger=OK),
    ("reviews_csv", "get"): only(*REVIEW_READERS, stranger=OK),
    ("review", "get"): only(*REVIEW_READERS, else_=ABSENT),
    ("review_next", "post"): only("reviewer", gives=GONE_ON, stranger=NO),
    ("review_claim", "post"): only("reviewer", gives=GONE_ON, else_=ABSENT, stranger=ABSENT)
    | dict.fromkeys(REVIEW_READERS[1:], NO),
    ("review_release", "post"): only("reviewer", gives=GONE_ON, else_=ABSENT, stranger=ABSENT)
    | dict.fromkeys(REVIEW_READERS[1:], NO),
    ("review_answer", "post"): only("reviewer", gives=INVALID, else_=ABSENT, stranger=ABSENT)
    | dict.fromkeys(REVIEW_READERS[1:], NO),
    # 286 ends the polling of who does not hold the case.
    ("review_renew", "post"): only("reviewer", gives=286, else_=ABSENT, stranger=ABSENT)
    | dict.fromkeys(REVIEW_READERS[1:], NO),
    **{
        (name, method): dict.fromkeys(ROLES, ABSENT)
        | {"anonymous": GONE_ON}
        | dict.fromkeys(REVIEW_READERS, NO)
        | dict.fromkeys(roles, gives)
        for name, roles in (("review_cancel", ("lead", "integrator")), ("review_erase", ("lead",)))
        for method, gives in (("get", OK), ("post", INVALID))
    },
    ("audit", "get"): only("lead", "auditor", stranger=OK),
    ("audit_csv", "get"): only("lead", "auditor", stranger=OK),
    ("audit_entry", "get"): only("lead", "auditor", else_=ABSENT),
    ("audit_body_erase", "get"): only("lead", else_=ABSENT, auditor=NO),
    ("audit_body_erase", "post"): only("lead", gives=INVALID, else_=ABSENT, auditor=NO),
    ("audit_export", "post"): only("lead", "auditor", stranger=NO),
    **{(name, "get"): only("lead", "auditor", stranger=NO) for name in SAMPLE_PAGES},
    ("audit_sample_new", "post"): only("lead", "auditor", gives=INVALID, stranger=NO),
    ("audit_sample", "get"): only("lead", "auditor", else_=ABSENT),
    ("audit_sample_export", "post"): only("lead", "auditor", else_=ABSENT),
    ("spend", "get"): only(*SPENDERS, stranger=OK),
    ("spend_csv", "get"): only(*SPENDERS, stranger=OK),
    ("setup", "get"): only("lead", stranger=OK),
    ("month_facts", "get"): only(*SPENDERS, stranger=OK),
    ("month_saved", "get"): only(*SPENDERS, stranger=OK),
    ("month_requests", "get"): only(*SPENDERS, stranger=OK),
    ("answered", "get"): only(*SPENDERS, stranger=OK),
    ("workflow_figures", "get"): only(*SPENDERS, else_=NO),
    ("savings", "get"): only(*SPENDERS, stranger=OK),
    ("savings_csv", "get"): only(*SPENDERS, stranger=OK),
    ("baseline_new", "get"): only("lead", "finance", else_=ABSENT, owner=NO, integrator=NO, auditor=NO),
    ("baseline_new", "post"): only("lead", "finance", gives=INVALID, else_=ABSENT, owner=NO, integrator=NO, auditor=NO),
    ("spend_attempts", "get"): only(*SPENDERS, stranger=OK),
    ("spend_attempts_csv", "get"): only(*SPENDERS, stranger=OK),
    ("evaluations", "get"): only(*MEASURERS, stranger=OK),
    ("evaluations_csv", "get"): only(*MEASURERS, stranger=OK),
    ("sample_sets", "get"): only(*MEASURERS, stranger=OK),
    ("sample_sets_csv", "get"): only(*MEASURERS, stranger=OK),
    ("sample_set_new", "get"): only(*VOTERS, stranger=OK),
    ("sample_set_new", "post"): only(*VOTERS, gives=INVALID, stranger=INVALID),
    ("evaluation_part", "get"): only(*MEASURERS, else_=NO),
    ("observed_part", "get"): only(*MEASURERS, else_=NO),
    ("change_evaluated", "get"): only(*MEASURERS, else_=NO),
    ("change_simulated", "get"): only(*SPENDERS, else_=NO),
    ("simulations", "get"): only(*SPENDERS, stranger=OK),
    ("simulations_csv", "get"): only(*SPENDERS, stranger=OK),
    ("simulation", "get"): only(*SPENDERS, else_=ABSENT),
    ("simulation_progress", "get"): only(*SPENDERS, else_=ABSENT),
    ("simulation_new", "get"): only(*PROPOSERS),
    ("simulation_new", "post"): only(*PROPOSERS, gives=INVALID),
    ("change_simulate", "post"): only(*PROPOSERS, gives=GONE_ON),
    ("simulation_cancel", "post"): only(*PROPOSERS, gives=GONE_ON, else_=ABSENT, finance=NO, auditor=NO),
    ("evaluation", "get"): only(*MEASURERS, else_=ABSENT),
    ("evaluation_progress", "get"): only(*MEASURERS, else_=ABSENT),
    ("evaluation_live", "get"): only(*MEASURERS, else_=ABSENT),
    ("evaluation_results_csv", "get"): only(*MEASURERS, else_=ABSENT),
    ("sample_set", "get"): only(*MEASURERS, else_=ABSENT),
    ("sample_set_clusters", "get"): only(*MEASURERS, else_=ABSENT),
    ("sample_reveal", "post"): only(*MEASURERS, else_=ABSENT),
    ("sample_set_texts", "post"): governed(OK),
    ("sample_set_schedule", "get"): governed(OK),
    ("sample_set_schedule", "post"): governed(INVALID),
    ("sample_set_evaluate", "post"): governed(GONE_ON),
    ("sample_set_erase", "post"): governed(GONE_ON),
    ("evaluation_schedule_end", "post"): governed(GONE_ON),
    ("evaluation_cancel", "post"): governed(GONE_ON),
    ("evaluation_again", "post"): governed(GONE_ON),
    **{(name, "get"): everyone(OK) for name in ("standards", "standards_csv")},
    ("standard_new", "get"): only("lead", stranger=NO),
    ("standard_new", "post"): only("lead", gives=INVALID, stranger=NO),
    **{(name, "get"): only(*PROPOSERS) for name in ABOVE},
    **{(name, "post"): only(*PROPOSERS, gives=INVALID) for name in ABOVE},
    ("follow", "get"): only(*SPENDERS, stranger=OK),
    ("trial", "get"): only(*PROPOSERS, stranger=OK),
    ("trial", "post"): only(*PROPOSERS, gives=INVALID, stranger=INVALID),
    ("trial_answer", "get"): everyone(ABSENT),
    ("trial_answer", "post"): everyone(ABSENT),
    ("requests", "get"): only(*SPENDERS, stranger=OK),
    ("requests_csv", "get"): only(*SPENDERS, stranger=OK),
    ("troubles", "get"): only(*SPENDERS, stranger=OK),
    ("request", "get"): only(*SPENDERS, else_=ABSENT),
    ("request_ladder", "get"): only(*SPENDERS, else_=NOTHING, stranger=NOTHING),
    ("runs", "get"): only(*SPENDERS, stranger=OK),
    ("runs_csv", "get"): only(*SPENDERS, stranger=OK),
    ("run", "get"): only(*SPENDERS, else_=ABSENT),
    ("schema", "get"): OPEN,
    ("gateway_schema", "get"): OPEN,
    ("api_docs", "get"): everyone(OK),
    ("api_docs_gateway", "get"): everyone(OK),
    ("api_bundle", "get"): GATEWAYS,
    ("api_state", "get"): GATEWAYS,
    ("api_usage", "post"): GATEWAYS,
    ("api_decisions", "post"): GATEWAYS,
    ("api_reviews", "post"): GATEWAYS,
    ("api_review", "get"): GATEWAYS,
    # By access tokens; tests/governance/test_changes_api.py asks by those of every role.
    **dict.fromkeys(API_OF_CHANGES, BY_TOKEN),
}


@dataclass(frozen=True)
class Stage:
    """The cast with a live policy, a change in review, a waiting review, and who stands for each role."""

    people: Mapping[str, Any]
    arguments: Mapping[str, list[Any]]

    def path(self, name: str) -> str:
        """The address of a page about something of the cast's workflow."""
        return reverse(name, args=self.arguments.get(name, []))


@pytest.fixture
def stage(db: None, installation_keys: None) -> Stage:
    """Everything a page may be about."""
    return make_stage()


def make_stage() -> Stage:
    """Play the cast, and make one of everything that a page may be about."""
    cast = casting.make_cast()
    lab = lab_of(cast)
    answers = [{"label": "positive", "confidence": 0.9}, {"label": "negative", "confidence": 0.4}]
    evaluation = measured(lab, [row("Fine"), row("So so")], alike(answers))
    bring_home()
    sample_set = evaluation.sample_set
    schedule = evaluations.schedule(
        sample_set=sample_set, environment=cast.production, cron="0 6 * * 1", by=cast.owner, now=timezone.now()
    )
    change = casting.make_change(cast, 0.6)
    simulated = simulations.begin(change=change, by=cast.integrator, now=timezone.now())
    digest = change.revision.payload_digest
    comment = comments.add(change=change, digest=digest, path="", text="Why?", by=cast.owner)
    entry = casting.make_entry(cast, risk="high")
    admission = casting.make_admission(cast, cast.models[0], cost="5")
    standard = casting.make_standard(cast, team=cast.team, by=cast.integrator, guards={"regions": ["eu"]})
    excepted = casting.make_exceptions(cast, "guards.regions", standard="team")
    rules = changes.propose_approval_rules(document=RULES, title="Two votes", note="", by=cast.lead)
    endpoint = Endpoint.objects.get(version__model=cast.models[0])
    site = site_of(cast)
    review = casting.make_review(site.key)
    asked = Shop(site).ask(0.3, 0.5, 0.4, run="mail-1")
    until = timezone.now() + timedelta(days=2)
    away: dict[str, Any] = {"starts_at": timezone.now(), "ends_at": until, "reason": "Away"}
    delegation = delegations.delegate(to=cast.lead, by=cast.owner, **away)
    owned: dict[str, Any] = {"name": "Job", "scope": "read", "days": 30, "confirmed_at": timezone.now()}
    token, _ = access_tokens.create(by=cast.owner, **owned)
    stop = stops.begin(model=cast.models[1], reason="It harms.", by=cast.owner)
    with override_settings(WEBHOOK_ORIGINS={"http://127.0.0.1:9"}):
        webhook, _secret = webhooks.add(
            name="Chat",
            form="signed",
            url="http://127.0.0.1:9/take",
            kinds=["audit.faults"],
            owner=cast.lead,
            by=cast.admin,
        )
    with transaction.atomic():
        told = notifications.tell_of_faults(checkpoint=1, to=[], faults=1)
    gateway, _credential = gateways.register(name="Shop floor", environment=cast.production, by=casting.BOOTSTRAP)
    invited = casting.make_person("Invited")
    sample = casting.make_audit_sample(cast)
    people = cast.people | {"viewer": casting.make_person("Viewer", Role.VIEWER, cast.team), "anonymous": None}
    slug = cast.workflow.slug
    arguments: dict[str, list[Any]] = {
        "workflow": [slug],
        "policy": [slug, 1],
        "change_new": [slug],
        "rollback_new": [slug, cast.production.name],
        **{
            name: [slug]
            for name in (
                *("workflow_edit", "step_add", "workflow_retire", "workflow_stop", "workflow_figures"),
                "baseline_new",
                *("evaluation_part", "observed_part"),
            )
        },
        **{
            name: [change.pk]
            for name, _ in MATRIX
            if name == "change" or (name.startswith("change_") and name != "change_new")
        },
        "approval_rules_revise": [rules.pk],
        "standard_new": [cast.production.name],
        "standard_revise": [standard.pk],
        "change_effects": [standard.pk],
        "exceptions_new": [slug, cast.production.name],
        "exceptions_revise": [excepted.pk],
        "entry_new": [slug],
        "entry_revise": [entry.pk],
        "admission_new": ["lexicon", cast.production.name],
        "admission_revise": [admission.pk],
        **{
            name: [review.pk]
            for name, _ in MATRIX
            if name == "review" or (name.startswith("review_") and name != "review_next")
        },
        **{name: ["lexicon"] for name in ("model", "model_prices", "model_stop", *MODEL_FORMS)},
        **{name: [endpoint.pk] for name in ("endpoint_try", "endpoint_move", "endpoint_close", "price_new")},
        "stop_lift": [stop.pk],
        "delegation_revoke": [delegation.pk],
        "comment_resolve": [comment.pk],
        "key_revoke": [site.key.pk],
        **{name: [webhook.pk] for name in ("webhook", "webhook_test", *WEBHOOK_FORMS[1:])},
        "delivery_again": [told.deliveries.get().pk],
        "demo_as": ["lead"],
        **{name: ["local"] for name in ("provider", *PROVIDER_FORMS)},
        "environment_address": [cast.production.name],
        "gateway_revoke": [gateway.pk],
        **{name: [cast.owner.pk] for name in ("person", "person_invite", *PERSON_FORMS)},
        "grant_revoke": [Grant.objects.get(user=cast.owner).pk],
        **{name: [cast.team.slug] for name in ("team", "team_edit")},
        "welcome": [invited.pk, persons.invite(person=invited, by=cast.admin)],
        "api_review": [review.pk],
        "api_simulation": [simulated.pk],
        **{name: [change.pk] for name, _method in API_OF_CHANGES if name.startswith("api_change_")},
        "api_change": [change.pk],
        "token_revoke": [token.pk],
        **{
            f"evaluation{name}": [evaluation.pk]
            for name in ("", "_progress", "_live", "_results_csv", "_cancel", "_again")
        },
        **{
            f"sample_set{name}": [sample_set.pk]
            for name in ("", "_clusters", "_evaluate", "_schedule", "_erase", "_texts")
        },
        "sample_reveal": [sample_set.samples.get(position=1).pk],
        "evaluation_schedule_end": [schedule.pk],
        **{f"simulation{name}": [simulated.pk] for name in ("", "_progress", "_cancel")},
        "simulation_new": [slug],
        **{name: [asked.pk] for name in ("request", "request_ladder")},
        "run": [slug, asked.run],
        **{name: [sample.pk] for name in ("audit_sample", "audit_sample_export")},
        **{name: [AuditEvent.objects.about(change)[0].pk] for name in ("audit_entry", "audit_body_erase")},
        "trial_answer": ["nothing"],
    }
    return Stage(people, arguments)


def names() -> Iterator[str]:
    """The name of every address of the site."""

    def walk(patterns: list[URLPattern | URLResolver]) -> Iterator[str]:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns)
            elif str(pattern.pattern) != "^api/":
                assert pattern.name, f"{pattern.pattern} has no name"
                yield pattern.name

    yield from walk(get_resolver().url_patterns)


def test_every_address_has_a_row() -> None:
    assert set(names()) == {name for name, _method in MATRIX}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_gets_exactly_what_the_matrix_says(role: str, stage: Stage, valkey: str) -> None:
    got = {}
    for name, method in MATRIX:
        client = Client(raise_request_exception=False)
        if stage.people[role] is not None:
            # A page before may have ended all sessions, which begin anew from the row as it is.
            stage.people[role].refresh_from_db()
            client.force_login(stage.people[role])
        got[name, method] = getattr(client, method)(stage.path(name)).status_code
    assert got == {row: expected[role] for row, expected in MATRIX.items()}


def test_a_wrong_method_is_refused(stage: Stage) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(stage.people["lead"])
    asked = {name for name, _method in MATRIX} - {"healthz", "readyz", "sign_in"}
    got = {name: client.delete(stage.path(name)).status_code for name in asked}
    assert {name: status for name, status in got.items() if status not in (401, 405)} == {}
