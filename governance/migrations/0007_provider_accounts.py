"""Address, key, region and end of providers; which bundle a gateway holds."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0006_probes'),
    ]

    operations = [
        migrations.AddField(
            model_name='gateway',
            name='bundle_held',
            field=models.PositiveBigIntegerField(blank=True, null=True, verbose_name='serial it last said it has'),
        ),
        migrations.AddField(
            model_name='gateway',
            name='bundle_sent',
            field=models.PositiveBigIntegerField(blank=True, null=True, verbose_name='serial it was last told of'),
        ),
        migrations.AddField(
            model_name='provider',
            name='closed_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='provider',
            name='region',
            field=models.CharField(blank=True, default='', max_length=40, verbose_name='where it runs everything'),
        ),
        migrations.AddField(
            model_name='provider',
            name='secret',
            field=models.CharField(blank=True, max_length=120, null=True, verbose_name='where gateways find its key'),
        ),
        migrations.AddField(
            model_name='provider',
            name='url',
            field=models.CharField(blank=True, default='', max_length=400, verbose_name='where its API is reached'),
        ),
        migrations.AddConstraint(
            model_name='provider',
            constraint=models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='provider_name_given', violation_error_message='Give the provider a name.'),
        ),
        migrations.AddConstraint(
            model_name='provider',
            constraint=models.CheckConstraint(condition=models.Q(('url', ''), ('url__regex', '^https?://[^\\s/?#]+(/[^\\s?#]*)?$'), _connector='OR'), name='provider_url_form', violation_error_message='Write an http or https address without query, such as https://host/v1.'),
        ),
        migrations.AddConstraint(
            model_name='provider',
            constraint=models.CheckConstraint(condition=models.Q(('secret', None), ('secret__regex', '^env:[A-Z][A-Z0-9_]*$'), _connector='OR'), name='provider_secret_form', violation_error_message="Name the gateway's environment variable, such as env:PROVIDER_KEY."),
        ),
    ]
