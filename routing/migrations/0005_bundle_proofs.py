"""Bundles: the proof that the audit log holds their issue."""

import governance.models.guards
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('routing', '0004_simulations'),
    ]

    operations = [
        migrations.AddField(
            model_name='bundle',
            name='proof',
            field=models.TextField(blank=True, db_default='', default=''),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='bundle',
            trigger=pgtrigger.compiler.Trigger(name='proved_once', sql=governance.models.guards.GuardSql(func="IF OLD.proof <> '' AND NEW.proof <> OLD.proof THEN RAISE EXCEPTION 'a bundle keeps its proof' USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='9a9bb52fda636ffe75c6f4ec132f53f26d3b890e', operation='UPDATE', pgid='pgtrigger_proved_once_4fa97', table='routing_bundle', when='BEFORE')),
        ),
    ]
