"""Pages of API keys: the token stands on one page once, the list knows no more than its first letters."""

import json
import re
from typing import Any

import pytest
from django.core import signing
from django.urls import reverse

from governance import accounts, registry, workflows
from governance.models import ApiKey, AuditEvent
from governance.views import choices
from tests import cast as casting
from tests.cast import BOOTSTRAP, Cast, make_cast, make_key
from tests.pages import file, signed_in, text

pytestmark = pytest.mark.django_db
TOKEN = re.compile(r"sf_[A-Za-z0-9]{8}_[A-Za-z0-9_-]{43}")


@pytest.fixture
def cast() -> Cast:
    """Everybody, with a gateway in production."""
    made = make_cast()
    registry.set_gateway_url(environment=made.production, url="https://gateway.example.com", by=BOOTSTRAP)
    return made


def sent(client: Any, **fields: str) -> dict[str, str]:
    """What the form of a new key sends, as it was opened by this browser."""
    page = client.get(reverse("key_new")).content.decode()
    found = re.search(r'name="once" value="([^"]+)"', page)
    assert found
    return {
        "once": found[1],
        "name": "Feedback form",
        "workflow": "customer-feedback",
        "environment": "production",
        **fields,
    }


def test_a_token_stands_on_one_page_with_lines_ready_to_send(cast: Cast) -> None:
    client = signed_in(cast.integrator)
    answer = client.post(reverse("key_new"), sent(client))
    page = text(answer)
    token = TOKEN.search(page)
    assert token
    assert answer.status_code == 200
    assert "no-store" in answer["cache-control"]
    key = ApiKey.objects.get(name="Feedback form")
    assert key.sha256 == accounts.token_sha256(token[0])
    assert f"curl -s https://gateway.example.com/v1/chat/completions -H 'authorization: Bearer {token[0]}'" in page
    assert 'base_url="https://gateway.example.com/v1"' in page
    body = re.search(r"-d '([^']+)'", page)
    assert body
    assert json.loads(body[1])["metadata"] == {"step": "language"}

    assert token[0] not in str(client.session.items())
    assert client.cookies.get("messages") is None
    assert token[0] not in str([*AuditEvent.objects.values(), *ApiKey.objects.values()])
    for address in (reverse("keys"), reverse("keys_csv"), reverse("workflow", args=[cast.workflow.slug])):
        assert token[0][12:] not in client.get(address).getvalue().decode()


def test_the_same_form_sent_twice_makes_one_key(cast: Cast) -> None:
    client = signed_in(cast.integrator)
    form = sent(client)
    client.post(reverse("key_new"), form)
    again = client.post(reverse("key_new"), form, follow=True)
    assert again.redirect_chain == [(reverse("keys"), 302)]
    assert "its token not shown again" in text(again)
    assert not TOKEN.search(text(again))
    assert ApiKey.objects.filter(name="Feedback form").count() == 1


def test_without_a_gateway_no_line_is_made_up(cast: Cast) -> None:
    registry.set_gateway_url(environment=cast.production, url="", by=BOOTSTRAP)
    client = signed_in(cast.integrator)
    page = text(client.post(reverse("key_new"), sent(client)))
    assert "Where its gateway is reached is not known" in page
    assert "curl" not in page


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": " "}, "This field is required"),
        ({"workflow": "nothing"}, "valid choice"),
        ({"environment": "recordings"}, "valid choice"),
        ({"once": "forged"}, "too old"),
        ({"once": signing.dumps("no id", salt="another")}, "too old"),
    ],
)
def test_what_does_not_fit_is_named_and_makes_nothing(cast: Cast, fields: dict[str, str], said: str) -> None:
    registry.add_environment(name="recordings", votes_needed=0, position=99, recorded=True, by=BOOTSTRAP)
    client = signed_in(cast.integrator)
    before = AuditEvent.objects.count()
    answer = client.post(reverse("key_new"), sent(client, **fields))
    assert (answer.status_code, said in text(answer)) == (422, True)
    assert (ApiKey.objects.count(), AuditEvent.objects.count()) == (0, before)


def test_a_stranger_makes_none_for_another_teams_workflow(cast: Cast) -> None:
    client = signed_in(cast.stranger)
    assert client.post(reverse("key_new"), sent(client)).status_code == 422
    assert not ApiKey.objects.exists()


def test_among_many_workflows_one_is_written_by_its_short_name(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "MOST_CHOICES", 1)
    casting.make_workflow(cast.team, cast.owner, "returns")
    casting.make_workflow(cast.elsewhere, cast.stranger, "elsewhere")
    client = signed_in(cast.integrator)
    page = client.get(f"{reverse('key_new')}?workflow=returns").content.decode()
    assert '<input type="text" name="workflow" value="returns"' in page
    assert "Customer feedback</option>" not in page
    for slug in ("elsewhere", "nowhere", "Returns"):
        answer = client.post(reverse("key_new"), sent(client, workflow=slug))
        assert (answer.status_code, "Write the short name" in text(answer)) == (422, True)
        assert not ApiKey.objects.exists()
    assert client.post(reverse("key_new"), sent(client, workflow="returns")).status_code == 200
    assert ApiKey.objects.get().workflow.slug == "returns"


def test_a_grant_for_one_environment_makes_keys_there_alone(cast: Cast) -> None:
    staging = casting.make_environment("staging")
    person = casting.make_person("Tester")
    accounts.grant(user=person, role="integrator", team=cast.team, environment=staging, by=BOOTSTRAP)
    client = signed_in(person)
    assert client.post(reverse("key_new"), sent(client)).status_code == 422
    assert client.post(reverse("key_new"), sent(client, environment="staging")).status_code == 200
    assert ApiKey.objects.get().environment == staging


def test_a_key_is_revoked_with_a_reason(cast: Cast) -> None:
    key, _token = make_key(cast)
    address = reverse("key_revoke", args=[key.pk])
    assert signed_in(cast.owner).post(address, {"reason": ""}).status_code == 422
    assert signed_in(cast.reviewer).post(address, {"reason": "mine"}).status_code == 403
    assert signed_in(cast.stranger).post(address, {"reason": "mine"}).status_code == 404
    assert list(ApiKey.objects.usable()) == [key]

    answer = signed_in(cast.owner).post(address, {"reason": "It leaked"}, follow=True)
    assert "is revoked" in text(answer)
    assert not ApiKey.objects.usable().exists()
    assert AuditEvent.objects.about(key).newest_first()[0].reason == "It leaked"
    again = signed_in(cast.owner).post(address, {"reason": "Again"})
    assert (again.status_code, "already" in text(again)) == (422, True)


def test_the_list_filters_sorts_and_files_what_one_may_see(cast: Cast) -> None:
    first, _token = make_key(cast, "Shop")
    second, _token = make_key(cast, "App")
    accounts.revoke_key(key=second, by=cast.owner)
    client = signed_in(cast.integrator)

    def names(**query: str) -> list[str]:
        listed = [key.name for key in client.get(reverse("keys"), query).context["page"]]
        assert [row["name"] for row in file(client.get(reverse("keys_csv"), query))] == listed
        return listed

    assert names() == ["Shop"]
    assert names(state="ended") == ["App"]
    assert names(state="all", sort="name") == ["App", "Shop"]
    assert names(state="all", sort="-name") == ["Shop", "App"]
    assert names(q=f"sf_{first.prefix}") == ["Shop"]
    assert names(workflow="customer-feedback", environment="production") == ["Shop"]
    assert names(purpose="trial") == []
    assert "No key matches" in text(client.get(reverse("keys"), {"purpose": "trial"}))
    assert list(signed_in(cast.stranger).get(reverse("keys"), {"state": "all"}).context["page"]) == []

    row = text(client.get(reverse("keys")))
    assert f"sf_{first.prefix}… Customer feedback production" in row
    workflows.retire(workflow=cast.workflow, reason="closed", by=cast.lead)
    assert "ended with its workflow" in text(client.get(reverse("keys"), {"state": "all"}))


def test_an_empty_list_says_what_to_do(cast: Cast) -> None:
    assert reverse("key_new") in signed_in(cast.integrator).get(reverse("keys")).content.decode()
    page = signed_in(cast.finance).get(reverse("keys"))
    assert "Whoever owns or integrates a workflow makes its keys" in text(page)
    assert reverse("key_new") not in page.content.decode()
