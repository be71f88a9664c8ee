"""Indexes by which lists of requests find few among many: by key, by the model that answered, by what went wrong, by run."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0004_savings'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(fields=['key', '-id'], name='decision_key_newest'),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(fields=['kept_model', '-id'], name='decision_model_newest'),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(condition=models.Q(('outcome', 'kept'), _negated=True), fields=['outcome', '-id'], name='decision_outcome_newest'),
        ),
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(condition=models.Q(('run__isnull', False)), fields=['workflow', 'run', '-id'], name='decision_run'),
        ),
    ]
