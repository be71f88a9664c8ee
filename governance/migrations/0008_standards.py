"""What the organisation or a team sets for all its workflows, and exceptions from it, become kinds of contents."""

from importlib import import_module

import django.db.models.deletion
import governance.models.guards
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

# Of a team's standard too, those of the team.
VOTERS_BEFORE = import_module("governance.migrations.0007_admissions").VOTERS
# Of an exception from the organisation's standard those of the organisation: no team lets itself off what binds all.
VOTERS = VOTERS_BEFORE.replace(
    "(held.team_id IS NULL OR held.team_id = coalesce(workflow.team_id, model.team_id))",
    """(
            held.team_id IS NULL
            OR held.team_id = coalesce(workflow.team_id, model.team_id, change.for_team_id) AND NOT EXISTS (
                SELECT FROM governance_revision told JOIN governance_content said ON said.id = told.content_id
                WHERE told.id = change.revision_id AND change.kind = 'exception'
                    AND said.document -> 'exceptions' @> '[{"standard": "organisation"}]'
            )
        )""",
)
MAY_VOTE = """
CREATE FUNCTION governance_may_vote(asked uuid, person uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM governance_voters(asked) may WHERE may.user_id = person)
$$;
"""

# Of which kind an appointment is was said by its change alone. Nothing else of it is written, and its owner does it.
KINDS_OF_APPOINTMENTS = """
ALTER TABLE governance_appointment DISABLE TRIGGER USER;
UPDATE governance_appointment SET kind = change.kind
    FROM governance_change change WHERE change.id = governance_appointment.change_id AND change.kind <> 'policy';
ALTER TABLE governance_appointment ENABLE TRIGGER USER;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0007_admissions'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='appointment',
            name='fixed_columns',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='appointment',
            name='of_approved',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='change',
            name='fixed_columns',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='contenthead',
            name='fixed_columns',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='contenthead',
            name='moves_by_votes',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='contenthead',
            name='audited',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='revision',
            name='belongs_together',
        ),
        migrations.RemoveConstraint(
            model_name='appointment',
            name='appointment_one_waits',
        ),
        migrations.RemoveConstraint(
            model_name='change',
            name='change_kind_known',
        ),
        migrations.RemoveConstraint(
            model_name='content',
            name='content_number_once',
        ),
        migrations.RemoveConstraint(
            model_name='content',
            name='content_of_its_place',
        ),
        migrations.RemoveConstraint(
            model_name='contenthead',
            name='contenthead_one_per_place',
        ),
        migrations.RemoveConstraint(
            model_name='contenthead',
            name='contenthead_of_its_place',
        ),
        migrations.AddField(
            model_name='appointment',
            name='for_team',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.team'),
        ),
        migrations.AddField(
            model_name='appointment',
            name='kind',
            field=models.CharField(choices=[('policy', 'Policy'), ('approval_rules', 'Approval rules'), ('workflow', 'Workflow entry'), ('model', 'Model admission'), ('standard', 'Standard'), ('exception', 'Exception')], default='policy', max_length=20),
        ),
        migrations.RunSQL(KINDS_OF_APPOINTMENTS, migrations.RunSQL.noop),
        migrations.AddField(
            model_name='change',
            name='for_team',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='changes', to='governance.team'),
        ),
        migrations.AddField(
            model_name='content',
            name='for_team',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.team'),
        ),
        migrations.AddField(
            model_name='contenthead',
            name='for_team',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='content_heads', to='governance.team'),
        ),
        migrations.RunSQL(VOTERS, VOTERS_BEFORE),
        migrations.RunSQL(MAY_VOTE, "DROP FUNCTION governance_may_vote(uuid, uuid)"),
        migrations.AlterField(
            model_name='change',
            name='kind',
            field=models.CharField(choices=[('policy', 'Policy'), ('approval_rules', 'Approval rules'), ('workflow', 'Workflow entry'), ('model', 'Model admission'), ('standard', 'Standard'), ('exception', 'Exception')], default='policy', max_length=20),
        ),
        migrations.AlterField(
            model_name='content',
            name='kind',
            field=models.CharField(choices=[('approval_rules', 'Approval rules'), ('workflow', 'Workflow entry'), ('model', 'Model admission'), ('standard', 'Standard'), ('exception', 'Exception')], max_length=20),
        ),
        migrations.AlterField(
            model_name='contenthead',
            name='kind',
            field=models.CharField(choices=[('approval_rules', 'Approval rules'), ('workflow', 'Workflow entry'), ('model', 'Model admission'), ('standard', 'Standard'), ('exception', 'Exception')], max_length=20),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='appointment',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.change_id IS DISTINCT FROM OLD.change_id OR NEW.revision_id IS DISTINCT FROM OLD.revision_id OR NEW.kind IS DISTINCT FROM OLD.kind OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id OR NEW.environment_id IS DISTINCT FROM OLD.environment_id OR NEW.model_version_id IS DISTINCT FROM OLD.model_version_id OR NEW.for_team_id IS DISTINCT FROM OLD.for_team_id OR NEW.at IS DISTINCT FROM OLD.at OR NEW.by_id IS DISTINCT FROM OLD.by_id OR NEW.created_at IS DISTINCT FROM OLD.created_at THEN RAISE EXCEPTION '% rows keep their id, change_id, revision_id, kind, workflow_id, environment_id, model_version_id, for_team_id, at, by_id, created_at', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='d2da2f55c869b587386aea6a674a269e8ae8fff0', operation='UPDATE', pgid='pgtrigger_fixed_columns_b5f8f', table='governance_appointment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='appointment',
            trigger=pgtrigger.compiler.Trigger(name='of_approved', sql=governance.models.guards.GuardSql(declare='DECLARE change governance_change%ROWTYPE;', func="\n                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n                    IF TG_OP = 'INSERT' THEN\n                        IF NEW.state <> 'waiting' OR NEW.at <= clock_timestamp() THEN\n                            RAISE EXCEPTION 'an appointment begins before its moment'\n                                USING ERRCODE = 'check_violation';\n                        END IF;\n                        IF change.state <> 'approved' OR change.revision_id <> NEW.revision_id\n                            OR NOT (change.kind, change.workflow_id, change.model_version_id, change.for_team_id, change.environment_id) IS NOT DISTINCT FROM (NEW.kind, NEW.workflow_id, NEW.model_version_id, NEW.for_team_id, NEW.environment_id)\n                        THEN\n                            RAISE EXCEPTION 'change % is not approved with this content for this place', change.number\n                                USING ERRCODE = 'check_violation';\n                        END IF;\n                    ELSIF OLD.state <> 'waiting' THEN\n                        RAISE EXCEPTION 'this appointment has ended' USING ERRCODE = 'check_violation';\n                    ELSIF NEW.state = 'kept'\n                        AND (change.state <> 'applied' OR change.revision_id <> NEW.revision_id)\n                    THEN\n                        RAISE EXCEPTION 'change % did not become live', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='df9e4d35d2efae52a059595c4cb4011f0424a73a', operation='INSERT OR UPDATE', pgid='pgtrigger_of_approved_e4e6b', table='governance_appointment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='change',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.kind IS DISTINCT FROM OLD.kind OR NEW.number IS DISTINCT FROM OLD.number OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id OR NEW.environment_id IS DISTINCT FROM OLD.environment_id OR NEW.model_version_id IS DISTINCT FROM OLD.model_version_id OR NEW.for_team_id IS DISTINCT FROM OLD.for_team_id OR NEW.proposed_by_id IS DISTINCT FROM OLD.proposed_by_id OR NEW.created_at IS DISTINCT FROM OLD.created_at THEN RAISE EXCEPTION '% rows keep their id, kind, number, workflow_id, environment_id, model_version_id, for_team_id, proposed_by_id, created_at', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='bcafe2638fb67e53f61bbb698cde39e358029d37', operation='UPDATE', pgid='pgtrigger_fixed_columns_5f5d2', table='governance_change', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contenthead',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.kind IS DISTINCT FROM OLD.kind OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id OR NEW.model_version_id IS DISTINCT FROM OLD.model_version_id OR NEW.for_team_id IS DISTINCT FROM OLD.for_team_id OR NEW.environment_id IS DISTINCT FROM OLD.environment_id THEN RAISE EXCEPTION '% rows keep their id, kind, workflow_id, model_version_id, for_team_id, environment_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='77901a6f2787f48d4de1ade06827822b6c7e077f', operation='UPDATE', pgid='pgtrigger_fixed_columns_10b99', table='governance_contenthead', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contenthead',
            trigger=pgtrigger.compiler.Trigger(name='moves_by_votes', sql=governance.models.guards.GuardSql(declare='DECLARE live uuid; change governance_change%ROWTYPE; revision governance_revision%ROWTYPE; content governance_content%ROWTYPE;', func="\n                    IF NEW.change_id IS NULL THEN\n                        SELECT * INTO content FROM governance_content WHERE id = NEW.content_id;\n                        IF TG_OP = 'INSERT' AND NEW.content_id IS NULL THEN\n                            RETURN NEW;\n                        ELSIF (content.kind, content.workflow_id, content.model_version_id, content.for_team_id, content.environment_id) IS NOT DISTINCT FROM (NEW.kind, NEW.workflow_id, NEW.model_version_id, NEW.for_team_id, NEW.environment_id) THEN\n                            IF NEW.kind = 'workflow' AND TG_OP = 'INSERT' AND content.number = 1 THEN\n                                RETURN NEW;\n                            ELSIF NEW.kind = 'model' AND (TG_OP = 'INSERT' OR OLD.change_id IS NULL) AND NOT EXISTS (\n                                SELECT FROM governance_policyhead WHERE environment_id = NEW.environment_id\n                            ) THEN\n                                RETURN NEW;\n                            END IF;\n                        END IF;\n                        RAISE EXCEPTION 'a content head moves by a change' USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF TG_OP = 'UPDATE' THEN\n                        live := OLD.content_id;\n                    END IF;\n                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n                    IF NOT FOUND OR change.state <> 'applied'\n                        OR NOT (change.kind, change.workflow_id, change.model_version_id, change.for_team_id, change.environment_id) IS NOT DISTINCT FROM (NEW.kind, NEW.workflow_id, NEW.model_version_id, NEW.for_team_id, NEW.environment_id)\n                    THEN\n                        RAISE EXCEPTION 'a content head moves only to the content of an applied change of its place'\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    SELECT * INTO revision FROM governance_revision\n                        WHERE change_id = change.id ORDER BY number DESC LIMIT 1;\n                    IF NOT FOUND OR revision.id <> change.revision_id\n                        OR revision.content_id IS DISTINCT FROM NEW.content_id\n                    THEN\n                        RAISE EXCEPTION 'change % does not lead to this content', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF revision.base_content_id IS DISTINCT FROM live THEN\n                        RAISE EXCEPTION 'change % starts from another content than the live one', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    PERFORM governance_refuse_unapproved(change.id);\n                    RETURN NEW;\n                ", hash='1e20d1abb84c01ca1bcc4fe1b8cd84d8966a1660', operation='INSERT OR UPDATE', pgid='pgtrigger_moves_by_votes_1cb2a', table='governance_contenthead', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contenthead',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT id::text FROM governance_change change WHERE (change.kind, change.workflow_id, change.model_version_id, change.for_team_id, change.environment_id) IS NOT DISTINCT FROM (NEW.kind, NEW.workflow_id, NEW.model_version_id, NEW.for_team_id, NEW.environment_id)) AND object_type || '' = 'change') AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT id::text FROM governance_endpoint WHERE version_id = NEW.model_version_id AND environment_id = NEW.environment_id) AND object_type || '' = 'endpoint') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='8037011a537938f09028007d923a76c2cb4ef3e6', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_ef3a3', table='governance_contenthead', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='revision',
            trigger=pgtrigger.compiler.Trigger(name='belongs_together', sql=governance.models.guards.GuardSql(declare='DECLARE change governance_change%ROWTYPE;', func="\n                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n                    IF change.state NOT IN ('in_review', 'approved', 'stale') THEN\n                        RAISE EXCEPTION 'change % has ended', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF EXISTS (\n                        SELECT FROM governance_policyversion\n                        WHERE id IN (NEW.version_id, NEW.base_version_id)\n                            AND workflow_id IS DISTINCT FROM change.workflow_id\n                    ) THEN\n                        RAISE EXCEPTION 'change % leads to a policy of another workflow', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF EXISTS (\n                        SELECT FROM governance_content content\n                        WHERE id IN (NEW.content_id, NEW.base_content_id)\n                            AND NOT (content.kind, content.workflow_id, content.model_version_id, content.for_team_id, content.environment_id) IS NOT DISTINCT FROM (change.kind, change.workflow_id, change.model_version_id, change.for_team_id, change.environment_id)\n                    ) THEN\n                        RAISE EXCEPTION 'change % leads to content of another place', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='ebfab3c4a325f1b65359fcef737a63d3986dc7f1', operation='INSERT', pgid='pgtrigger_belongs_together_41d67', table='governance_revision', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='appointment',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'waiting')), fields=('kind', 'workflow', 'model_version', 'for_team', 'environment'), name='appointment_one_waits', nulls_distinct=False, violation_error_message='Another change is to become live there by itself already.'),
        ),
        migrations.AddConstraint(
            model_name='change',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('environment__isnull', False), ('for_team', None), ('kind', 'policy'), ('model_version', None), ('workflow__isnull', False)), models.Q(('environment', None), ('for_team', None), ('kind', 'approval_rules'), ('model_version', None), ('workflow', None)), models.Q(('environment', None), ('for_team', None), ('kind', 'workflow'), ('model_version', None), ('workflow__isnull', False)), models.Q(('environment__isnull', False), ('for_team', None), ('kind', 'model'), ('model_version__isnull', False), ('workflow', None)), models.Q(('environment__isnull', False), ('kind', 'standard'), ('model_version', None), ('workflow', None)), models.Q(('environment__isnull', False), ('for_team', None), ('kind', 'exception'), ('model_version', None), ('workflow__isnull', False)), _connector='OR'), name='change_kind_known', violation_error_message='A policy is that of a workflow in an environment. An entry is that of a workflow, an admission that of a model’s version in an environment, a standard that of the organisation or of a team in an environment, an exception that of a workflow in an environment.'),
        ),
        migrations.AddConstraint(
            model_name='content',
            constraint=models.UniqueConstraint(fields=('kind', 'workflow', 'model_version', 'for_team', 'environment', 'number'), name='content_number_once', nulls_distinct=False, violation_error_message='There is a version of that number already.'),
        ),
        migrations.AddConstraint(
            model_name='content',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('environment', None), ('for_team', None), ('kind', 'approval_rules'), ('model_version', None), ('workflow', None)), models.Q(('environment', None), ('for_team', None), ('kind', 'workflow'), ('model_version', None), ('workflow__isnull', False)), models.Q(('environment__isnull', False), ('for_team', None), ('kind', 'model'), ('model_version__isnull', False), ('workflow', None)), models.Q(('environment__isnull', False), ('kind', 'standard'), ('model_version', None), ('workflow', None)), models.Q(('environment__isnull', False), ('for_team', None), ('kind', 'exception'), ('model_version', None), ('workflow__isnull', False)), _connector='OR'), name='content_of_its_place', violation_error_message='An entry is that of a workflow, an admission that of a model’s version in an environment, a standard that of the organisation or of a team in an environment, an exception that of a workflow in an environment.'),
        ),
        migrations.AddConstraint(
            model_name='contenthead',
            constraint=models.UniqueConstraint(fields=('kind', 'workflow', 'model_version', 'for_team', 'environment'), name='contenthead_one_per_place', nulls_distinct=False, violation_error_message='A place has one head.'),
        ),
        migrations.AddConstraint(
            model_name='contenthead',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('environment', None), ('for_team', None), ('kind', 'approval_rules'), ('model_version', None), ('workflow', None)), models.Q(('environment', None), ('for_team', None), ('kind', 'workflow'), ('model_version', None), ('workflow__isnull', False)), models.Q(('environment__isnull', False), ('for_team', None), ('kind', 'model'), ('model_version__isnull', False), ('workflow', None)), models.Q(('environment__isnull', False), ('kind', 'standard'), ('model_version', None), ('workflow', None)), models.Q(('environment__isnull', False), ('for_team', None), ('kind', 'exception'), ('model_version', None), ('workflow__isnull', False)), _connector='OR'), name='contenthead_of_its_place', violation_error_message='An entry is that of a workflow, an admission that of a model’s version in an environment, a standard that of the organisation or of a team in an environment, an exception that of a workflow in an environment.'),
        ),
    ]
