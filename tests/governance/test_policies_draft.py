"""A document to start from: what may serve the workflow there, in rising tier, and it always passes its own check."""

import json

import pytest
from django.urls import reverse

from governance import policies, registry, workflows
from governance.models import Change, Endpoint, PolicyHead
from tests import cast as casting
from tests.cast import Cast, make_cast, make_environment, make_workflow
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Everybody, and three models up to confidential data in production."""
    return make_cast()


def test_all_that_may_serve_stands_in_rising_tier_behind_a_gate(cast: Cast) -> None:
    made = policies.draft(cast.workflow, cast.production)
    ladder = [{"model": "lexicon"}, {"model": "tf-idf"}, {"model": "smollm2"}]
    assert made is not None
    assert made["steps"] == [{"name": "*", "ladder": ladder, "gate": {"keep_from": 0.8}}]
    assert policies.check(made, workflow=cast.workflow, environment=cast.production)


def test_where_no_confidence_is_told_one_model_stands_alone(cast: Cast) -> None:
    staging = make_environment("staging")
    provider = Endpoint.objects.all()[0].provider
    for model in cast.models[1:]:
        registry.add_endpoint(
            version=model.versions.get(),
            provider=provider,
            environment=staging,
            url="http://127.0.0.1:9/v1",
            upstream_model=model.name,
            region="eu",
            hosting="self",
            logprobs=False,
            by=casting.BOOTSTRAP,
        )
    made = policies.draft(cast.workflow, staging)
    assert made == {"format": 1, "pin": "allow", "steps": [{"name": "*", "ladder": [{"model": "tf-idf"}]}]}


def test_without_a_model_that_may_there_is_no_draft(cast: Cast) -> None:
    assert policies.draft(cast.workflow, make_environment("staging")) is None
    secret = make_workflow(cast.team, cast.owner, "secret", data_class="restricted")
    assert policies.draft(secret, cast.production) is None
    abroad = make_workflow(cast.team, cast.owner, "abroad", regions=["us"])
    assert policies.draft(abroad, cast.production) is None


def test_the_first_policy_is_written_from_the_draft_without_a_word_of_json(cast: Cast) -> None:
    development = make_environment("development", 0)
    casting.serve(cast.models[0], development)
    client = signed_in(cast.owner)
    address = reverse("change_new", args=[cast.workflow.slug])
    page = client.get(f"{address}?environment=production")
    assert "The first policy in production, drafted from the models served there" in text(page)
    assert "For development instead" in text(page)
    address = f"{address}?environment=development"
    form = client.get(address).context["form"]
    assert [form[f"step-0-model-{place}"].value() for place in range(2)] == ["lexicon", ""]
    answer = client.post(address, {"title": "First", "mode": "enforce", "note": "", "step-0-model-0": "lexicon"})
    assert answer.status_code == 302
    assert PolicyHead.objects.get().environment == development
    assert Change.objects.get().state == Change.State.APPLIED
    # The document is one press away, and starts as the same draft.
    draft = signed_in(cast.owner).get(f"{address.partition('?')[0]}?whole=1").context["form"]["text"].value()
    assert json.loads(draft)["steps"][0]["name"] == "*"


def test_one_who_may_not_propose_gets_no_draft(cast: Cast) -> None:
    address = reverse("change_new", args=[cast.workflow.slug])
    assert signed_in(cast.finance).get(address).status_code == 403
    assert signed_in(cast.stranger).get(address).status_code == 404
    workflows.retire(workflow=cast.workflow, reason="closed", by=cast.lead)
    assert not Change.objects.exists()
