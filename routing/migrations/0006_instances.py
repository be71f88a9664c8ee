"""Instances: the processes behind gateways' credentials and API keys."""

import django.db.models.deletion
import django.utils.timezone
import governance.models.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0026_gateways_without_bundles'),
        ('routing', '0005_bundle_proofs'),
    ]

    operations = [
        migrations.CreateModel(
            name='Instance',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('name', models.CharField(blank=True, default='', max_length=36)),
                ('host', models.CharField(blank=True, default='', max_length=120)),
                ('program', models.CharField(blank=True, default='', max_length=60)),
                ('version', models.CharField(blank=True, default='', max_length=40)),
                ('held', models.PositiveBigIntegerField(blank=True, null=True, verbose_name='serial of the bundle it has')),
                ('proof', models.CharField(blank=True, default='', max_length=40)),
                ('refused', models.CharField(blank=True, default='', max_length=40)),
                ('last_seen_at', models.DateTimeField()),
                ('gateway', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='instances', to='governance.gateway')),
            ],
            options={
                'indexes': [models.Index(fields=['last_seen_at'], name='instance_seen')],
                'constraints': [models.UniqueConstraint(fields=('gateway', 'name'), name='instance_name_once', violation_error_message='This gateway has an instance of that name already.')],
            },
        ),
    ]
