"""Comments: what people say of a place in a revision, immutable, and whether it is settled."""

import django.db.models.deletion
import django.utils.timezone
import governance.models.guards
import governance.models.ids
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0021_delegations'),
    ]

    operations = [
        migrations.CreateModel(
            name='Comment',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('path', models.CharField(blank=True, default='', max_length=300, verbose_name='JSON pointer into the document')),
                ('text', models.TextField(max_length=2000)),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('change', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='comments', to='governance.change')),
                ('resolved_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('revision', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.revision')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('text', ''), _negated=True), name='comment_says_something', violation_error_message='Say something.'), models.CheckConstraint(condition=models.Q(('path', ''), ('path__startswith', '/'), _connector='OR'), name='comment_path_form', violation_error_message='A place begins with a slash; none is the whole.'), models.CheckConstraint(condition=models.Q(models.Q(('resolved_at', None), ('resolved_by', None)), models.Q(('resolved_at__isnull', False), ('resolved_by__isnull', False)), _connector='OR'), name='comment_resolved_by_and_at', violation_error_message='Who resolved a comment stands with the time.')],
            },
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='comment',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='506e8e6fa823c353da48fc8a6c776ac49aa8ae44', operation='DELETE', pgid='pgtrigger_kept_0696b', table='governance_comment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='comment',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='1d553dff54ed0f8574438675f4219ef25d99b9f8', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_fc032', table='governance_comment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='comment',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.created_at IS DISTINCT FROM OLD.created_at OR NEW.change_id IS DISTINCT FROM OLD.change_id OR NEW.revision_id IS DISTINCT FROM OLD.revision_id OR NEW.path IS DISTINCT FROM OLD.path OR NEW.text IS DISTINCT FROM OLD.text OR NEW.by_id IS DISTINCT FROM OLD.by_id THEN RAISE EXCEPTION '% rows keep their id, created_at, change_id, revision_id, path, text, by_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='66361588419ad5f38d6093a5f1114581d71515c4', operation='UPDATE', pgid='pgtrigger_fixed_columns_072da', table='governance_comment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='comment',
            trigger=pgtrigger.compiler.Trigger(name='of_present_form', sql=governance.models.guards.GuardSql(declare='DECLARE change governance_change%ROWTYPE;', func="\n                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n                    IF TG_OP = 'UPDATE' THEN\n                        IF OLD.resolved_at IS NOT NULL AND NEW IS DISTINCT FROM OLD THEN\n                            RAISE EXCEPTION 'this comment was resolved' USING ERRCODE = 'check_violation';\n                        END IF;\n                        IF NEW.resolved_by_id NOT IN (NEW.by_id, change.proposed_by_id) AND NOT EXISTS (\n                            SELECT FROM governance_contributor\n                            WHERE change_id = change.id AND user_id = NEW.resolved_by_id\n                        ) THEN\n                            RAISE EXCEPTION 'who wrote the comment or the change resolves it'\n                                USING ERRCODE = 'check_violation';\n                        END IF;\n                    ELSIF NEW.resolved_at IS NOT NULL OR change.revision_id <> NEW.revision_id\n                        OR change.state NOT IN ('in_review', 'approved', 'stale')\n                    THEN\n                        RAISE EXCEPTION 'change % has another content by now, or has ended', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='8519cfc3c38b08c02146ac0a18a279d7afb1146c', operation='INSERT OR UPDATE', pgid='pgtrigger_of_present_form_617ef', table='governance_comment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='comment',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.change_id::text) AND object_type || '' = 'change') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='b6ecb6a63326902fc6e92e8f6a80d2c36c1f4e85', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_bd9db', table='governance_comment', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
    ]
