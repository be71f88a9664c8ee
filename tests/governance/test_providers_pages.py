"""Pages of providers: the account, its key by name alone, what is served there, and its end."""

from typing import Any

import pytest
from django.urls import reverse

from governance import probes, registry
from governance.errors import InvalidInput
from governance.models import AuditEvent, Endpoint, Provider
from tests import cast as casting
from tests.cast import BOOTSTRAP, Cast, make_cast
from tests.governance.test_probes_try import Provider as Answering
from tests.governance.test_probes_try import listing
from tests.pages import file, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Everybody, with three models at the provider `local`."""
    return make_cast()


def entry(**fields: str) -> dict[str, str]:
    """What the form of a new provider sends."""
    return {
        "name": "Acme AI",
        "slug": "acme",
        "kind": "openai",
        "url": "https://api.acme.example.com/v1",
        "secret": "env:ACME_API_KEY",
        "region": "eu",
        **fields,
    }


def add(slug: str = "acme", **fields: Any) -> Provider:
    """A provider in the EU, by the verb."""
    return registry.add_provider(
        **{
            "name": f"Acme {slug}",
            "slug": slug,
            "url": "https://api.acme.example.com/v1",
            "secret": "env:ACME_API_KEY",
            "region": "eu",
            "by": BOOTSTRAP,
            **fields,
        }
    )


def place(cast: Cast, provider: Provider, **fields: Any) -> Endpoint:
    """An endpoint of the first model at a provider."""
    given = {"url": "", "upstream_model": "gpt-small", "region": "eu", "hosting": "hosted", **fields}
    version = cast.models[0].versions.get()
    return registry.add_endpoint(version=version, provider=provider, environment=cast.production, by=cast.lead, **given)


def test_a_provider_is_added_and_its_page_names_the_key_alone(cast: Cast) -> None:
    answer = signed_in(cast.lead).post(reverse("provider_new"), entry(), follow=True)
    assert answer.redirect_chain == [("/providers/acme/", 302)]
    page = text(answer)
    for said in ("Acme AI serves nothing yet", "https://api.acme.example.com/v1", "env:ACME_API_KEY", "eu and nowhere"):
        assert said in page, said
    made = Provider.objects.get(slug="acme")
    assert AuditEvent.objects.about(made).get().action == "registry.add_provider"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": " "}, "required"),
        ({"name": "Provider local"}, "already exists"),
        ({"slug": "Acme AI"}, "valid “slug”"),
        ({"slug": "acme_ai"}, "lower case"),
        ({"slug": "local"}, "already exists"),
        ({"kind": "telepathy"}, "valid choice"),
        ({"url": "api.acme.example.com"}, "http or https address"),
        ({"url": "https://user:word@acme.example.com?x=1"}, "without query"),
        ({"secret": "sk-the-key-itself"}, "Name the gateway’s environment variable"),
    ],
)
def test_what_does_not_fit_is_named_and_adds_nothing(cast: Cast, fields: dict[str, str], said: str) -> None:
    before = (Provider.objects.count(), AuditEvent.objects.count())
    answer = signed_in(cast.lead).post(reverse("provider_new"), entry(**fields))
    assert (answer.status_code, said in text(answer)) == (422, True)
    assert (Provider.objects.count(), AuditEvent.objects.count()) == before


def test_an_endpoint_takes_address_and_key_from_its_provider(cast: Cast) -> None:
    acme = add()
    taken = place(cast, acme)
    assert (taken.url, taken.secret) == (acme.url, "env:ACME_API_KEY")
    # A key goes to no address that its provider did not name.
    elsewhere = place(cast, acme, url="https://other.example.com/v1")
    assert elsewhere.secret is None
    with pytest.raises(InvalidInput, match="no address of its own"):
        place(cast, Provider.objects.get(slug="local"))


def test_a_providers_region_is_its_endpoints(cast: Cast) -> None:
    registry.add_version(
        model=cast.models[0],
        version="2",
        context_tokens=1,
        data_classes=["public"],
        regions=["eu", "us"],
        by=cast.lead,
    )
    acme = add()
    version = cast.models[0].versions.get(is_current=True)
    given: dict[str, Any] = {
        "version": version,
        "environment": cast.production,
        "upstream_model": "x",
        "hosting": "hosted",
    }
    with pytest.raises(InvalidInput, match="runs everything in eu"):
        registry.add_endpoint(provider=acme, url="", region="us", by=cast.lead, **given)
    open_to_all = add("wide", region="")
    registry.add_endpoint(provider=open_to_all, url="", region="us", by=cast.lead, **given)
    fields = {"name": "Wide", "url": open_to_all.url, "secret": "", "region": "eu"}
    answer = signed_in(cast.lead).post(reverse("provider_edit", args=["wide"]), fields)
    assert (answer.status_code, "It has an endpoint in us" in text(answer)) == (422, True)
    assert Provider.objects.get(slug="wide").region == ""


def test_an_entry_is_edited_and_the_same_again_writes_nothing(cast: Cast) -> None:
    add()
    address = reverse("provider_edit", args=["acme"])
    assert "env:ACME_API_KEY" in signed_in(cast.lead).get(address).content.decode()
    fields = {"name": "Acme Europe", "url": "https://eu.acme.example.com/v1", "secret": "", "region": "eu"}
    answer = signed_in(cast.lead).post(address, fields, follow=True)
    assert "The entry of Acme Europe is saved" in text(answer)
    held = Provider.objects.get(slug="acme")
    assert (held.name, held.secret) == ("Acme Europe", None)
    assert AuditEvent.objects.about(held).newest_first()[0].summary == "Changed name, url, secret of Acme Europe"
    before = AuditEvent.objects.count()
    signed_in(cast.lead).post(address, fields)
    for who in ("owner", "finance", "admin", "stranger"):
        assert signed_in(cast.people[who]).post(address, fields | {"name": "Mine"}).status_code == 403
    assert (Provider.objects.get(slug="acme").name, AuditEvent.objects.count()) == ("Acme Europe", before)


def test_a_provider_with_open_endpoints_is_not_closed(cast: Cast) -> None:
    acme = add()
    made = place(cast, acme)
    address = reverse("provider_close", args=["acme"])
    assert "Its 1 open endpoint has to be closed first" in text(signed_in(cast.lead).get(address))
    answer = signed_in(cast.lead).post(address, {"reason": "dear"})
    assert (answer.status_code, "has open endpoints of Lexicon" in text(answer)) == (422, True)
    assert Provider.objects.get(slug="acme").closed_at is None
    registry.close_endpoint(endpoint=made, reason="dear", by=cast.lead)
    assert "to be closed first" not in text(signed_in(cast.lead).get(address))
    page = text(signed_in(cast.lead).post(address, {"reason": "dear"}, follow=True))
    assert "Acme acme is closed" in page
    assert "1 closed endpoint" in page
    assert AuditEvent.objects.about(acme).newest_first()[0].reason == "dear"
    with pytest.raises(InvalidInput, match="is closed; choose one in use"):
        place(cast, acme)
    again = signed_in(cast.lead).post(address, {"reason": "dear"})
    assert (again.status_code, "closed already" in text(again)) == (422, True)
    edited = signed_in(cast.lead).post(reverse("provider_edit", args=["acme"]), entry())
    assert (edited.status_code, "its entry stays" in text(edited)) == (422, True)
    assert acme not in Provider.objects.in_use()


def test_the_page_shows_what_came_of_the_last_try(cast: Cast) -> None:
    add()
    with Answering(listing("gpt-other")) as answering:
        made = place(cast, Provider.objects.get(slug="acme"), url=f"{answering.url}/v1")
        probes.try_endpoint(endpoint=made, by=cast.lead)
    page = text(signed_in(cast.owner).get(reverse("provider", args=["acme"])))
    assert "did not answer well at 1 of 1 endpoint" in page
    assert "Does not list the model" in page
    assert "it lists no gpt-small" in page
    row = text(signed_in(cast.owner).get(reverse("providers")))
    assert "Acme acme acme https://api.acme.example.com/v1" in row
    assert "a try failed" in row
    assert "not tried from here yet" in text(signed_in(cast.owner).get(reverse("provider", args=["local"])))


def test_the_list_filters_sorts_and_files(cast: Cast) -> None:
    registry.close_provider(provider=add("old"), reason="gone", by=cast.lead)
    place(cast, add("new", region="eu"))
    client = signed_in(cast.finance)

    def slugs(**query: str) -> list[str]:
        listed = [each.slug for each in client.get(reverse("providers"), query).context["page"]]
        assert [row["slug"] for row in file(client.get(reverse("providers_csv"), query))] == listed
        return listed

    assert slugs() == ["new", "local"]
    assert slugs(sort="models") == ["new", "local"]
    assert slugs(sort="-models") == slugs(sort="-name") == ["local", "new"]
    assert slugs(state="closed") == ["old"]
    assert slugs(state="all", region="eu") == ["new", "old", "local"]
    assert slugs(q="LOC") == ["local"]
    assert slugs(q="none") == []
    assert "No provider matches" in text(client.get(reverse("providers"), {"q": "none"}))
    page = text(client.get(reverse("providers")))
    assert "2 providers run the models" in page
    # `local` serves all three, the first of them from the new one too.
    assert [len(client.get(reverse("models"), {"provider": slug}).context["page"]) for slug in ("local", "new")] == [
        3,
        1,
    ]


def test_who_reads_no_register_finds_none(cast: Cast) -> None:
    nobody = signed_in(casting.make_person("Nobody"))
    assert nobody.get(reverse("providers")).status_code == 403
    assert nobody.get(reverse("provider", args=["local"])).status_code == 404
    assert signed_in(cast.lead).get("/providers/nothing/").status_code == 404
