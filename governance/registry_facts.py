"""What audit entries say of the register's rows."""

from governance.models import Model, ModelVersion, Provider


def account_facts(provider: Provider) -> dict[str, object]:
    """Of a provider."""
    return {field: getattr(provider, field) for field in ("name", "url", "secret", "region")}


def card_facts(model: Model) -> dict[str, object]:
    """Of what a model's card says."""
    fields = ("title", "purpose", "limitations", "forbidden_uses", "documentation")
    due = model.review_due.isoformat() if model.review_due else None
    return {**{field: getattr(model, field) for field in fields}, "owner": model.owner_id, "review_due": due}


def model_facts(model: Model) -> dict[str, object]:
    """Of what stays of a model."""
    fields = ("name", "tier", "supplier", "licence", "hosting", "state")
    return {**{field: getattr(model, field) for field in fields}, "owner": model.owner_id, "team": model.team.slug}


def version_facts(version: ModelVersion) -> dict[str, object]:
    """Of a version."""
    fields = ("version", "digest", "context_tokens", "data_classes", "regions", "parameters", "training_data")
    return {field: getattr(version, field) for field in fields}
