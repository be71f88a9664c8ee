"""Names in addresses that Django has no converter for."""

from django.urls import register_converter


class ModelName:
    """A model's name, slashes included: `<model:name>`. No part of one is `-`, so /models/<name>/-/edit/ is clear."""

    regex = r"[a-z0-9][a-z0-9._:-]*(?:/[a-z0-9][a-z0-9._:-]*)*"

    def to_python(self, value: str) -> str:
        """The name."""
        return value

    def to_url(self, value: str) -> str:
        """The name as it stands in an address."""
        return value


register_converter(ModelName, "model")

# A model's part of an address.
MODEL = "<model:name>"
