"""Audit samples: entries of the log drawn for an auditor, so that anybody can draw the same ones again."""

from dataclasses import dataclass
from typing import Self

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Exists, F, Q

from governance.models import guards
from governance.models.accounts import SHA256, Grant, User
from governance.models.ids import Identified

# As many as a person looks into.
LARGEST = 1_000


@dataclass(frozen=True)
class Kind:
    """Acts that an auditor thinks of as one."""

    label: str
    acts: tuple[str, ...]


# Acts of no kind are drawn with all of them, or by their names.
KINDS: dict[str, Kind] = {
    "live": Kind("What became live", ("changes.activate", "emergencies.begin", "emergencies.end", "rollbacks.go_back")),
    "votes": Kind("Votes and later words on changes", ("changes.ratify", "changes.vote", "emergencies.look_back")),
    "changes": Kind(
        "Proposals of changes",
        ("changes.expire", "changes.go_stale", "changes.propose", "changes.revise", "changes.withdraw"),
    ),
    "stops": Kind("Stops", ("stops.begin", "stops.lift")),
    "reviews": Kind("Outcomes of reviews", ("reviews.answer", "reviews.cancel", "reviews.expire")),
    "personal": Kind(
        "What was read, taken out or erased",
        (
            *("audit_bodies.erase", "audit_exports.make", "audit_exports.make_of_sample"),
            *("reviews.erase", "reviews.read"),
            *("sample_sets.erase", "sample_sets.read", "sample_sets.read_sample"),
        ),
    ),
    "people": Kind(
        "People and their roles",
        (
            *("accounts.create_person", "accounts.create_team", "accounts.deactivate", "accounts.grant"),
            *("accounts.reactivate", "accounts.rename_team", "accounts.revoke", "accounts.set_password"),
            *("delegations.delegate", "delegations.revoke", "people.edit", "people.end_sessions", "people.invite"),
        ),
    ),
    "keys": Kind(
        "Keys and access tokens",
        (
            *("access_tokens.create", "access_tokens.revoke"),
            *("accounts.create_key", "accounts.recording_key", "accounts.revoke_key"),
            *("gateways.register", "gateways.revoke"),
        ),
    ),
    "registry": Kind(
        "The register of models",
        (
            *("registry.add_endpoint", "registry.add_environment", "registry.add_provider", "registry.add_version"),
            *("registry.close_endpoint", "registry.close_provider", "registry.edit_model", "registry.edit_provider"),
            *("registry.move_endpoint", "registry.register_model", "registry.retire", "registry.set_gateway_url"),
            "suspensions.suspend",
        ),
    ),
    "workflows": Kind("Workflows", ("workflows.add_step", "workflows.create", "workflows.edit", "workflows.retire")),
    "money": Kind("Prices and baselines", ("prices.seed_list_prices", "prices.set_own_price", "savings.set_baseline")),
    "evaluations": Kind(
        "Evaluations",
        (
            *("evaluations.cancel", "evaluations.fail", "evaluations.finish", "evaluations.schedule"),
            *("evaluations.start", "evaluations.unschedule", "sample_sets.create"),
        ),
    ),
}


class AuditSampleQuerySet(models.QuerySet["AuditSample"]):
    """Samples by reader."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """All for whoever may read the log of the whole organisation, which they are drawn from."""
        return self.filter(Exists(Grant.objects.allowing(user, "audit.view").filter(team=None)))

    def newest_first(self) -> Self:
        """In the order of a list."""
        return self.order_by("-created_at", "-id")


class AuditSample(Identified):
    """`n` entries drawn at random from a population of the log. Written once; stands alone, as the entries do.

    The population: of the leaves below `size`, which the checkpoint of this number was signed over, those whose entry
    was written from `since` on and before `until`, by one of `acts`; no acts are all acts. The draw: each of them has a
    ticket,

        ticket = SHA-256(seed as UTF-8, then the 32 bytes of the leaf's hash)

    and those with the `n` smallest tickets are drawn, the smallest first. This is Rivest's consistent sampling without
    replacement (arXiv:1808.10016; github.com/ron-rivest/consistent_sampler) with one hash for a ticket. Whoever knows
    the seed only after the checkpoint was signed cannot have steered it: a leaf is fixed by then.

    `draws` are the leaves' indexes. `size`, `root`, `population` and `draws` are filled in by PostgreSQL itself,
    whatever is written there, so that there is no sample which was not drawn like this.
    """

    actor_id = models.CharField(max_length=80)
    actor_name = models.CharField(max_length=120)
    purpose = models.CharField(max_length=200, blank=True, default="")
    acts = ArrayField(models.CharField(max_length=60), blank=True)
    since = models.DateTimeField()
    until = models.DateTimeField()
    seed = models.CharField(max_length=200)
    n = models.PositiveIntegerField("entries asked for")
    checkpoint = models.PositiveBigIntegerField("number of the checkpoint")
    size = models.PositiveBigIntegerField("leaves under the checkpoint", default=0, editable=False)
    root = models.CharField("root over them", max_length=64, default="", editable=False)
    population = models.PositiveBigIntegerField(default=0, editable=False)
    draws = ArrayField(models.PositiveBigIntegerField(), default=list, editable=False)

    objects = AuditSampleQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(since__lt=F("until")),
                name="auditsample_period",
                violation_error_message="The period ends before it begins.",
            ),
            models.CheckConstraint(
                condition=Q(n__gte=1, n__lte=LARGEST),
                name="auditsample_n",
                violation_error_message=f"A sample has 1 to {LARGEST:,} entries.",
            ),
            models.CheckConstraint(
                condition=~Q(seed="") & ~Q(actor_id="") & Q(root__regex=SHA256),
                name="auditsample_form",
                violation_error_message="A sample names who drew it, a seed, and a root of 64 hexadecimal digits.",
            ),
        ]
        triggers = [
            *guards.append_only(),
            guards.Guard(
                name="drawn_by_the_database",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[("signed", "governance_auditcheckpoint%ROWTYPE")],
                func="""
                    SELECT * INTO signed FROM governance_auditcheckpoint WHERE number = NEW.checkpoint;
                    IF NOT FOUND OR NEW.until > signed.at THEN
                        RAISE EXCEPTION 'no checkpoint % was signed after that period', NEW.checkpoint
                            USING ERRCODE = 'check_violation';
                    END IF;
                    NEW.size := signed.size;
                    NEW.root := signed.root;
                    WITH population AS (
                        SELECT l.index, sha256(convert_to(NEW.seed, 'UTF8') || decode(l.hash, 'hex')) AS ticket
                        FROM governance_auditevent e JOIN governance_auditleaf l ON l.event_id = e.id
                        WHERE l.index < NEW.size AND e.at >= NEW.since AND e.at < NEW.until
                            AND (cardinality(NEW.acts) = 0 OR e.action = ANY (NEW.acts))
                    )
                    SELECT (SELECT count(*) FROM population),
                        ARRAY(SELECT index FROM population ORDER BY ticket, index LIMIT NEW.n)
                    INTO NEW.population, NEW.draws;
                    RETURN NEW;
                """,
            ),
            guards.audited(),
        ]

    def __str__(self) -> str:
        return f"Sample of {len(self.draws):,} of {self.population:,} entries"

    @property
    def all_drawn(self) -> bool:
        """Whether the population had no more than were asked for."""
        return self.population <= self.n

    @property
    def drawn_from(self) -> list[str]:
        """What was drawn from, in words: the kinds, then acts of none that was chosen whole. Empty for every entry."""
        whole = [kind for kind in KINDS.values() if set(kind.acts) <= set(self.acts)]
        told = {act for kind in whole for act in kind.acts}
        return [*(kind.label for kind in whole), *(act for act in self.acts if act not in told)]
