"""Places that hold each checkpoint of the audit log, and how far they are."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0010_audit_log'),
    ]

    operations = [
        migrations.CreateModel(
            name='Anchor',
            fields=[
                ('kind', models.CharField(choices=[('file', 'File'), ('git', 'Git repository'), ('webhook', 'Webhook')], max_length=10, primary_key=True, serialize=False)),
                ('place', models.CharField(max_length=400)),
                ('held', models.PositiveBigIntegerField(default=0, verbose_name='number of the last checkpoint it took')),
                ('held_at', models.DateTimeField(null=True)),
                ('failed_at', models.DateTimeField(null=True)),
                ('failure', models.TextField(blank=True, default='')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['file', 'git', 'webhook'])), name='anchor_kind_known', violation_error_message='An anchor is a file, a git repository or a webhook.')],
            },
        ),
    ]
