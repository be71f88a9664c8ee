"""Changes of approval rules: contents and their head, and what a change and a revision say of either kind."""

import django.db.models.deletion
import django.utils.timezone
import governance.models.guards
import governance.models.ids
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


def add_head(apps, schema_editor):
    """Put the head where it can be locked, before there is a content and a trigger that asks for a change."""
    apps.get_model("governance", "ContentHead").objects.create(kind="approval_rules")


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0012_brakes'),
    ]

    operations = [
        migrations.CreateModel(
            name='Content',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('kind', models.CharField(choices=[('approval_rules', 'Approval rules')], max_length=20)),
                ('number', models.PositiveIntegerField()),
                ('document', models.JSONField()),
                ('digest', models.CharField(max_length=64, verbose_name='sha256 of the canonical document')),
                ('note', models.TextField(blank=True, default='')),
            ],
        ),
        migrations.CreateModel(
            name='ContentHead',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('kind', models.CharField(choices=[('approval_rules', 'Approval rules')], max_length=20, unique=True)),
            ],
        ),
        migrations.RunPython(add_head, migrations.RunPython.noop),
        pgtrigger.migrations.RemoveTrigger(
            model_name='change',
            name='state_moves',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='change',
            name='applied_is_live',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='policyhead',
            name='moves_by_votes',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='revision',
            name='belongs_together',
        ),
        migrations.RemoveConstraint(
            model_name='change',
            name='change_kind_known',
        ),
        migrations.RemoveConstraint(
            model_name='change',
            name='change_state_known',
        ),
        migrations.RemoveConstraint(
            model_name='revision',
            name='revision_mode_known',
        ),
        migrations.AlterField(
            model_name='change',
            name='environment',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='changes', to='governance.environment'),
        ),
        migrations.AlterField(
            model_name='change',
            name='kind',
            field=models.CharField(choices=[('policy', 'Policy'), ('approval_rules', 'Approval rules')], default='policy', max_length=20),
        ),
        migrations.AlterField(
            model_name='change',
            name='state',
            field=models.CharField(choices=[('in_review', 'In review'), ('approved', 'Approved'), ('applied', 'Applied'), ('rejected', 'Rejected'), ('withdrawn', 'Withdrawn'), ('stale', 'Stale'), ('expired', 'Expired')], max_length=20),
        ),
        migrations.AlterField(
            model_name='change',
            name='workflow',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='changes', to='governance.workflow'),
        ),
        migrations.AlterField(
            model_name='revision',
            name='mode',
            field=models.CharField(blank=True, choices=[('observe', 'Observes'), ('enforce', 'Enforces')], default='', max_length=10),
        ),
        migrations.AlterField(
            model_name='revision',
            name='version',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='revision', to='governance.policyversion'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='change',
            trigger=pgtrigger.compiler.Trigger(name='state_moves', sql=governance.models.guards.GuardSql(func="\n                    IF TG_OP = 'INSERT' THEN\n                        IF NEW.state NOT IN ('in_review', 'approved') THEN\n                            RAISE EXCEPTION 'a change begins in review'\n                                USING ERRCODE = 'check_violation';\n                        END IF;\n                    ELSIF NEW.state <> ALL (CASE OLD.state WHEN 'in_review' THEN ARRAY['in_review', 'approved', 'rejected', 'withdrawn', 'stale', 'expired'] WHEN 'approved' THEN ARRAY['approved', 'in_review', 'applied', 'rejected', 'withdrawn', 'stale', 'expired'] WHEN 'stale' THEN ARRAY['stale', 'in_review', 'approved', 'withdrawn', 'expired'] ELSE ARRAY[OLD.state] END)\n                    THEN\n                        RAISE EXCEPTION 'change % cannot go from % to %', OLD.number, OLD.state, NEW.state\n                            USING ERRCODE = 'check_violation';\n                    ELSIF OLD.state NOT IN ('in_review', 'approved', 'stale') AND NEW IS DISTINCT FROM OLD THEN\n                        RAISE EXCEPTION 'change % has ended', OLD.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='856cc7b47e1a1cc7170c6038d794b8de266f8fcf', operation='INSERT OR UPDATE', pgid='pgtrigger_state_moves_30a66', table='governance_change', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='change',
            trigger=pgtrigger.compiler.Trigger(name='applied_is_live', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', declare='DECLARE leads_to uuid;', func="\n                    IF NEW.state = 'applied' AND OLD.state <> 'applied' THEN\n                        SELECT coalesce(version_id, content_id) INTO leads_to\n                            FROM governance_revision WHERE id = NEW.revision_id;\n                        IF NOT EXISTS (SELECT FROM governance_policyhead WHERE change_id = NEW.id)\n                            AND NOT EXISTS (SELECT FROM governance_contenthead WHERE change_id = NEW.id)\n                            AND NOT EXISTS (\n                                SELECT FROM governance_change later\n                                JOIN governance_revision r ON r.id = later.revision_id\n                                WHERE later.state = 'applied' AND leads_to IN (r.base_version_id, r.base_content_id)\n                            )\n                        THEN\n                            RAISE EXCEPTION 'change % is marked applied, but nothing moved', NEW.number\n                                USING ERRCODE = 'check_violation';\n                        END IF;\n                    END IF;\n                    RETURN NULL;\n                ", hash='517f59cd5104a5ff49eef8520a6e7936ffcc9243', operation='UPDATE', pgid='pgtrigger_applied_is_live_47182', table='governance_change', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='policyhead',
            trigger=pgtrigger.compiler.Trigger(name='moves_by_votes', sql=governance.models.guards.GuardSql(declare='DECLARE live uuid; change governance_change%ROWTYPE; revision governance_revision%ROWTYPE;', func="\n    IF TG_OP = 'UPDATE' THEN\n        IF (NEW.id, NEW.workflow_id, NEW.environment_id) IS DISTINCT FROM (OLD.id, OLD.workflow_id, OLD.environment_id)\n        THEN\n            RAISE EXCEPTION 'a policy head stays with its workflow and environment'\n                USING ERRCODE = 'check_violation';\n        END IF;\n        live := OLD.version_id;\n    END IF;\n    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n    IF NOT FOUND OR change.state <> 'applied' THEN\n        RAISE EXCEPTION 'a policy head moves only to the version of an applied change'\n            USING ERRCODE = 'check_violation';\n    END IF;\n    IF (change.workflow_id, change.environment_id) IS DISTINCT FROM (NEW.workflow_id, NEW.environment_id) THEN\n        RAISE EXCEPTION 'change % belongs to another workflow or environment', change.number\n            USING ERRCODE = 'check_violation';\n    END IF;\n    SELECT * INTO revision FROM governance_revision WHERE change_id = change.id ORDER BY number DESC LIMIT 1;\n    IF NOT FOUND OR revision.id <> change.revision_id OR revision.version_id <> NEW.version_id\n        OR revision.mode <> NEW.mode\n    THEN\n        RAISE EXCEPTION 'change % does not lead to this version and mode', change.number\n            USING ERRCODE = 'check_violation';\n    END IF;\n    IF revision.base_version_id IS DISTINCT FROM live THEN\n        RAISE EXCEPTION 'change % starts from another version than the live one', change.number\n            USING ERRCODE = 'check_violation';\n    END IF;\n    PERFORM governance_refuse_unapproved(change.id);\n    RETURN NEW;\n", hash='17dafb944653fffd811ebf9f01b2c6ad66d8f07e', operation='INSERT OR UPDATE', pgid='pgtrigger_moves_by_votes_1bfbe', table='governance_policyhead', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='revision',
            trigger=pgtrigger.compiler.Trigger(name='belongs_together', sql=governance.models.guards.GuardSql(declare='DECLARE change governance_change%ROWTYPE;', func="\n                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n                    IF change.state NOT IN ('in_review', 'approved', 'stale') THEN\n                        RAISE EXCEPTION 'change % has ended', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF EXISTS (\n                        SELECT FROM governance_policyversion\n                        WHERE id IN (NEW.version_id, NEW.base_version_id)\n                            AND workflow_id IS DISTINCT FROM change.workflow_id\n                    ) THEN\n                        RAISE EXCEPTION 'change % leads to a policy of another workflow', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF EXISTS (\n                        SELECT FROM governance_content\n                        WHERE id IN (NEW.content_id, NEW.base_content_id) AND kind <> change.kind\n                    ) THEN\n                        RAISE EXCEPTION 'change % leads to content of another kind', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='0a05e0bdd19ef4d1e9e6711afb6af31eae41d36c', operation='INSERT', pgid='pgtrigger_belongs_together_41d67', table='governance_revision', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='change',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('environment__isnull', False), ('kind', 'policy'), ('workflow__isnull', False)), models.Q(('environment', None), ('kind', 'approval_rules'), ('workflow', None)), _connector='OR'), name='change_kind_known', violation_error_message='A policy has a workflow and an environment, approval rules have neither.'),
        ),
        migrations.AddConstraint(
            model_name='change',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['in_review', 'approved', 'applied', 'rejected', 'withdrawn', 'stale', 'expired'])), name='change_state_known', violation_error_message='Choose one of the states that a change can be in.'),
        ),
        migrations.AddField(
            model_name='content',
            name='created_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='revision',
            name='base_content',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.content'),
        ),
        migrations.AddField(
            model_name='revision',
            name='content',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='revision', to='governance.content'),
        ),
        migrations.AddConstraint(
            model_name='revision',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('base_content', None), ('content', None), ('mode__in', ['observe', 'enforce']), ('version__isnull', False)), models.Q(('base_version', None), ('content__isnull', False), ('mode', ''), ('version', None)), _connector='OR'), name='revision_leads_to_one', violation_error_message='A revision leads to a policy that observes or enforces, or to other content.'),
        ),
        migrations.AddField(
            model_name='contenthead',
            name='change',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='content_head', to='governance.change'),
        ),
        migrations.AddField(
            model_name='contenthead',
            name='content',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.content'),
        ),
        migrations.AddConstraint(
            model_name='content',
            constraint=models.UniqueConstraint(fields=('kind', 'number'), name='content_number_once', violation_error_message='There is a version of that number already.'),
        ),
        migrations.AddConstraint(
            model_name='content',
            constraint=models.CheckConstraint(condition=models.Q(('number__gt', 0)), name='content_number_positive', violation_error_message='Versions count from 1.'),
        ),
        migrations.AddConstraint(
            model_name='content',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['approval_rules'])), name='content_kind_known', violation_error_message='Choose a kind.'),
        ),
        migrations.AddConstraint(
            model_name='content',
            constraint=models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='content_digest_form', violation_error_message='A digest is 64 hexadecimal digits.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='content',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='56beb5a6f0bfd4d478e01e73d163f1f7db242281', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_b296b', table='governance_content', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='content',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='e52de3d53889ddcd966a9b2dc938ec8c0753b73e', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_c3499', table='governance_content', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='content',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='b4ab283cb812f038b3731941b3979e01b6e6fb96', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_68b97', table='governance_content', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='contenthead',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('change', None), ('content', None)), models.Q(('change__isnull', False), ('content__isnull', False)), _connector='OR'), name='contenthead_moved_by_a_change', violation_error_message='What is live became so by a change.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contenthead',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='5012505f0d25cd5d67bf9e7b084a3d32adff23e2', operation='DELETE', pgid='pgtrigger_kept_56020', table='governance_contenthead', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contenthead',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='8248435cc3ed49af99bda9dad058e532e02e6db9', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_91024', table='governance_contenthead', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contenthead',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.kind IS DISTINCT FROM OLD.kind THEN RAISE EXCEPTION '% rows keep their id, kind', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='e5110d2c9e337d36849b64f05d8c7c3835c15aeb', operation='UPDATE', pgid='pgtrigger_fixed_columns_10b99', table='governance_contenthead', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contenthead',
            trigger=pgtrigger.compiler.Trigger(name='moves_by_votes', sql=governance.models.guards.GuardSql(declare='DECLARE change governance_change%ROWTYPE; revision governance_revision%ROWTYPE;', func="\n                    IF TG_OP = 'INSERT' THEN\n                        RAISE EXCEPTION 'a content head is there already, and moves by a change'\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n                    IF NOT FOUND OR change.state <> 'applied' OR change.kind <> NEW.kind THEN\n                        RAISE EXCEPTION 'a content head moves only to the content of an applied change of its kind'\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    SELECT * INTO revision FROM governance_revision\n                        WHERE change_id = change.id ORDER BY number DESC LIMIT 1;\n                    IF NOT FOUND OR revision.id <> change.revision_id\n                        OR revision.content_id IS DISTINCT FROM NEW.content_id\n                    THEN\n                        RAISE EXCEPTION 'change % does not lead to this content', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF revision.base_content_id IS DISTINCT FROM OLD.content_id THEN\n                        RAISE EXCEPTION 'change % starts from another content than the live one', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    PERFORM governance_refuse_unapproved(change.id);\n                    RETURN NEW;\n                ", hash='c0a19a18ceb95237384e0d19b14eab635b15faca', operation='INSERT OR UPDATE', pgid='pgtrigger_moves_by_votes_1cb2a', table='governance_contenthead', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contenthead',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id()) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='0cdaa6e87f9ffa51837378b5c7d1fc38091f18c6', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_ef3a3', table='governance_contenthead', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
    ]
