"""What policies that are only watched would have done, beside the decisions, to be filtered and summed."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0002_partitions'),
    ]

    operations = [
        migrations.AddField(
            model_name='decision',
            name='mode',
            field=models.TextField(choices=[('enforce', 'The policy decided'), ('observe', 'The policy was only watched')], db_default='enforce'),
        ),
        migrations.AddField(
            model_name='decision',
            name='observed_clause',
            field=models.TextField(null=True),
        ),
        migrations.AddField(
            model_name='decision',
            name='observed_ladder',
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name='decision',
            name='observed_model',
            field=models.TextField(null=True),
        ),
        migrations.AddField(
            model_name='decision',
            name='observed_tier',
            field=models.TextField(null=True),
        ),
        migrations.AddConstraint(
            model_name='decision',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('mode', 'enforce'), ('observed_clause', None), ('observed_ladder__isnull', True), ('observed_model', None), ('observed_tier', None)), models.Q(('mode', 'observe'), ('observed_clause', None), ('observed_ladder__isnull', False), ('observed_model__isnull', False), ('observed_tier__isnull', False)), models.Q(('mode', 'observe'), ('observed_clause__isnull', False), ('observed_ladder__isnull', False), ('observed_model', None), ('observed_tier', None)), _connector='OR'), name='decision_observed_where_watched', violation_error_message='A policy that was only watched would have started somewhere, or refused.'),
        ),
    ]
