"""Tries of passwords that are counted, and until when none is taken."""

import django.utils.timezone
import governance.models.ids
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0011_anchors'),
    ]

    operations = [
        migrations.CreateModel(
            name='Brake',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('account', models.CharField(blank=True, default='', max_length=64, verbose_name='keyed digest of the account that was typed')),
                ('address', models.CharField(blank=True, max_length=45, verbose_name='where from: an address, or the /64 network of one')),
                ('tries', models.PositiveIntegerField(default=0)),
                ('last_at', models.DateTimeField(verbose_name='when the last try was taken')),
                ('until', models.DateTimeField(blank=True, null=True, verbose_name='until when none is taken')),
                ('told', models.BooleanField(default=False, verbose_name='stands in the audit log')),
            ],
            options={
                'indexes': [models.Index(fields=['-last_at'], name='brake_newest')],
                'constraints': [models.UniqueConstraint(fields=('account', 'address'), name='brake_once'), models.CheckConstraint(condition=models.Q(('account', ''), ('account__regex', '^[0-9a-f]{64}$'), _connector='OR'), name='brake_account_is_a_digest'), models.CheckConstraint(condition=models.Q(('account', ''), ('address', ''), _negated=True), name='brake_of_something')],
            },
        ),
    ]
