"""An index by which the newest attempts are found without sorting all of them."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0005_decisions_found'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='usageevent',
            index=models.Index(fields=['-booked_at', '-id'], name='usageevent_newest'),
        ),
    ]
