"""Which bodies of reviews are still there, found without reading the erased ones."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    # An index is made beside the writers only outside a transaction.
    atomic = False

    dependencies = [
        ('governance', '0008_session_rounds'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='reviewbody',
            index=models.Index(condition=models.Q(('erased_at', None)), fields=['review'], name='reviewbody_kept'),
        ),
    ]
