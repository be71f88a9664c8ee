"""What simulations read of very many decisions at once, packed; rows from before have none and are read one by one."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0007_audited_rows'),
    ]

    operations = [
        migrations.AddField(
            model_name='decision',
            name='packed',
            field=models.BinaryField(null=True),
        ),
        migrations.AddField(
            model_name='decision',
            name='packed_attempts',
            field=models.BinaryField(null=True),
        ),
    ]
