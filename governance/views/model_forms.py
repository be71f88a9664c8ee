"""Forms of the register: a model, its versions and its endpoints."""

from typing import Any

from django import forms
from django.db.models import Q

from governance.models import DataClass, Endpoint, Environment, Hosting, Model, ModelVersion, Provider, Team, Tier, User
from governance.models.accounts import holding
from governance.models.registry import REFERENCE
from governance.views.filters import Among, ListFilter

LONG = {"rows": 3}


class CardForm(forms.Form):
    """What a model's card says, and who answers for it."""

    title = forms.CharField(max_length=120, help_text="As people call it.")
    purpose = forms.CharField(label="What it is for", widget=forms.Textarea(attrs=LONG))
    owner = forms.ModelChoiceField(label="Owner", queryset=User.objects.none(), help_text="Answers for this entry.")
    limitations = forms.CharField(label="Known limitations", required=False, widget=forms.Textarea(attrs=LONG))
    forbidden_uses = forms.CharField(label="What it is not for", required=False, widget=forms.Textarea(attrs=LONG))
    documentation = forms.URLField(
        label="Documentation",
        required=False,
        max_length=400,
        assume_scheme="https",
        help_text="Where its supplier describes it.",
    )
    review_due = forms.DateField(
        label="Look at this entry again on", required=False, widget=forms.DateInput(attrs={"type": "date"})
    )

    def __init__(self, data: Any = None, *, model: Model | None = None, **more: Any) -> None:
        """Start from the card of a model, if one is given."""
        names = ("title", "purpose", "owner", "limitations", "forbidden_uses", "documentation", "review_due")
        initial = {name: getattr(model, name) for name in names} if model else None
        super().__init__(data, initial=initial, **more)
        owners = Q(is_active=True) | Q(pk=model.owner_id) if model else Q(is_active=True)
        self.fields["owner"] = forms.ModelChoiceField(
            label="Owner",
            queryset=User.objects.filter(owners).order_by("name"),
            empty_label="Choose…",
            help_text="Answers for this entry.",
        )


class VersionForm(forms.Form):
    """An edition of a model: what it is, what it can take in, and what it may see."""

    version = forms.CharField(max_length=80, help_text="As its supplier names it, such as 2026-08-07 or L6-v2.")
    context_tokens = forms.IntegerField(label="Context, tokens", min_value=1, max_value=2_000_000_000)
    data_classes = forms.MultipleChoiceField(
        label="May see data that is", choices=DataClass.choices, widget=forms.CheckboxSelectMultiple
    )
    regions = forms.CharField(
        label="Regions", max_length=400, help_text="Where it may run, with commas between, such as eu, us."
    )
    digest = forms.RegexField(
        label="SHA-256 of the weights",
        regex=r"^[0-9a-fA-F]{64}$",
        required=False,
        error_messages={"invalid": "A digest is 64 hexadecimal digits."},
        widget=forms.TextInput(attrs={"class": "mono"}),
    )
    parameters = forms.IntegerField(
        label="Weights, number", required=False, min_value=1, max_value=9_000_000_000_000_000_000
    )
    training_data = forms.CharField(
        label="What is said of its training data", required=False, widget=forms.Textarea(attrs=LONG)
    )

    def clean_regions(self) -> list[str]:
        """The regions, each once."""
        named = [word.strip() for word in self.cleaned_data["regions"].split(",") if word.strip()]
        if not named or max(map(len, named)) > 40:
            raise forms.ValidationError("Name at least one region, each with at most 40 letters.")
        return list(dict.fromkeys(named))

    def clean_digest(self) -> str | None:
        """The digest in lower case; None where it is not known."""
        return self.cleaned_data["digest"].lower() or None


class RegisterForm(CardForm, VersionForm):
    """A model with its first version."""

    name = forms.CharField(
        max_length=80,
        help_text="What policies and requests call it: lower case, digits and . _ : / -. It stays for good.",
        widget=forms.TextInput(attrs={"class": "mono"}),
    )
    tier = forms.ChoiceField(choices=Tier.choices, help_text="How large and dear it is; ladders rise by it.")
    supplier = forms.CharField(max_length=120, help_text="Who made it.")
    licence = forms.CharField(max_length=80, help_text="An SPDX name such as Apache-2.0, or proprietary.")
    hosting = forms.ChoiceField(choices=Hosting.choices, help_text="Whose machines it runs on.")
    team = forms.ModelChoiceField(queryset=Team.objects.none(), help_text="Owns the entry.")

    def __init__(self, data: Any = None, *, teams: Any) -> None:
        """Let choose among the teams that the person registers models for."""
        super().__init__(data)
        self.fields["team"] = forms.ModelChoiceField(queryset=teams, empty_label="Choose…", help_text="Owns the entry.")


class AddressForm(forms.Form):
    """Where an endpoint is reached."""

    url = forms.CharField(
        label="Address",
        max_length=400,
        help_text="The base of an OpenAI-compatible API, such as https://api.example.com/v1.",
        widget=forms.TextInput(attrs={"class": "mono", "inputmode": "url"}),
    )


class EndpointForm(forms.Form):
    """Where a version of a model is served."""

    url = forms.CharField(
        label="Address",
        required=False,
        max_length=400,
        help_text="The base of an OpenAI-compatible API, such as https://api.example.com/v1. Left empty, the "
        "provider’s address and key are taken.",
        widget=forms.TextInput(attrs={"class": "mono", "inputmode": "url"}),
    )
    upstream_model = forms.CharField(label="Its name there", max_length=200)
    secret = forms.RegexField(
        label="Key",
        regex=REFERENCE,
        required=False,
        max_length=120,
        help_text="Where the gateway finds it, such as env:PROVIDER_API_KEY. Never the key itself. It goes only to the "
        "hosts that the operator has bound it to.",
        error_messages={"invalid": "Name the gateway’s environment variable, such as env:PROVIDER_API_KEY."},
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off"}),
    )
    logprobs = forms.BooleanField(
        label="Tells the probabilities of its tokens", required=False, help_text="Gates read confidence from them."
    )
    timeout_ms = forms.IntegerField(label="Timeout, ms", min_value=100, max_value=600_000, initial=30_000)

    field_order = ("environment", "provider", "url", "upstream_model", "region", "hosting", "secret")

    def __init__(self, data: Any = None, *, version: ModelVersion, environments: Any) -> None:
        """Offer what the version may run in and the environments given; where there is one provider, start with it."""
        providers = Provider.objects.in_use().order_by("name")
        only = providers[:2]
        initial = {
            "upstream_model": version.model.name,
            "hosting": version.model.hosting,
            "provider": only[0] if len(only) == 1 else None,
        }
        super().__init__(data, initial=initial)
        regions = [(region, region) for region in version.regions]
        # The first that a gateway of it could ask this version in, and does not: development comes before production.
        served = Endpoint.objects.filter(version=version, active=True).values("environment")
        next_one = environments.exclude(gateway_url="").exclude(pk__in=served).first()
        self.fields["environment"] = forms.ModelChoiceField(
            queryset=environments, initial=next_one or environments.last(), empty_label=None
        )
        self.fields["provider"] = forms.ModelChoiceField(
            queryset=providers, empty_label="Choose…", help_text="Whose account pays for it."
        )
        self.fields["region"] = forms.ChoiceField(choices=regions)
        self.fields["hosting"] = forms.ChoiceField(
            choices=Hosting.choices, initial=version.model.hosting, help_text="Whose machines answer there."
        )
        self.order_fields(self.field_order)

    def clean_secret(self) -> str | None:
        """The reference; None where the endpoint asks for no key."""
        return self.cleaned_data["secret"] or None


class ModelFilter(ListFilter):
    """Which models are listed."""

    q = forms.CharField(label="Name", required=False, max_length=80, widget=forms.TextInput(attrs={"type": "search"}))
    tier = forms.ChoiceField(required=False, choices=[("", "Any"), *Tier.choices])
    hosting = forms.ChoiceField(required=False, choices=[("", "Any"), *Hosting.choices])
    environment = forms.CharField(label="Served in", required=False, max_length=40)
    provider = forms.CharField(label="Served by", required=False, max_length=60)
    team = forms.CharField(label="Team", required=False, max_length=60)
    state = forms.ChoiceField(required=False, choices=[("", "In use"), ("retired", "Retired"), ("all", "All")])

    def among(self) -> dict[str, Among]:
        """The register is the organisation's, and so are the teams it names."""
        user = self.request.user
        return {
            "environment": Among(Environment.objects.visible_to(user), "environment"),
            "provider": Among(Provider.objects.visible_to(user), "provider", by=("slug",)),
            "team": Among(holding(Team.objects.all(), user, "registry.view"), "team", by=("slug",)),
        }
