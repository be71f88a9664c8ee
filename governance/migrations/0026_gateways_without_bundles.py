"""Gateways no longer say which bundle they hold: each of their instances does (routing)."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0025_audit_samples'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='gateway',
            name='bundle_held',
        ),
        migrations.RemoveField(
            model_name='gateway',
            name='bundle_sent',
        ),
    ]
