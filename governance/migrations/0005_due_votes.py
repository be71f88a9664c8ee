"""A rule may say by when votes are due: of the rule as it stood and as it is now, the shorter time."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("governance.migrations.0002_functions").REQUIREMENT
REQUIREMENT = BEFORE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION").replace(
    "        'expires_days', least(",
    "        'due_hours', least((rule ->> 'due_hours')::int, (now ->> 'due_hours')::int),\n        'expires_days', least(",
)


class Migration(migrations.Migration):

    dependencies = [
        ("governance", "0004_access_tokens"),
    ]

    operations = [
        migrations.RunSQL(REQUIREMENT, BEFORE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")),
    ]
