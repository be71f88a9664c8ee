"""A model may be asked where an admission says so; what serves when this is applied stays admitted."""

from importlib import import_module

import django.db.models.deletion
import django.utils.timezone
import governance.models.guards
import governance.models.ids
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from governance import audit, canonical


# The open endpoints at which what is agreed lets a version of a model be asked now: by an admission that is live, not
# suspended, and whose last day is not over.
ADMITTED = """
CREATE FUNCTION governance_admitted() RETURNS SETOF uuid LANGUAGE sql STABLE AS $$
    SELECT (served ->> 'endpoint')::uuid
    FROM governance_contenthead head
    JOIN governance_content content ON content.id = head.content_id
    CROSS JOIN jsonb_array_elements(content.document -> 'endpoints') served
    WHERE head.kind = 'model'
        AND NOT EXISTS (SELECT FROM governance_suspension broke WHERE broke.content_id = content.id)
        AND coalesce((content.document #>> '{conditions,valid_until}')::date, current_date) >= current_date - 1
$$;
"""

# Where a version is asked is what was agreed. Asked when a transaction commits that wrote an endpoint or the head.
REFUSE_OTHER_ENDPOINTS = """
CREATE FUNCTION governance_refuse_other_endpoints(asked uuid, place uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM governance_contenthead head
        JOIN governance_content content ON content.id = head.content_id
        CROSS JOIN jsonb_array_elements(content.document -> 'endpoints') served
        JOIN governance_endpoint stands ON stands.id = (served ->> 'endpoint')::uuid
        WHERE head.kind = 'model' AND head.model_version_id = asked AND head.environment_id = place AND stands.active
            AND (stands.url, stands.upstream_model, stands.region, stands.hosting) IS DISTINCT FROM (
                served ->> 'url', served ->> 'upstream_model', served ->> 'region', served ->> 'hosting'
            )
    ) THEN
        RAISE EXCEPTION 'an endpoint says otherwise than what is agreed of it' USING ERRCODE = 'check_violation';
    END IF;
END
$$;
"""

_before = import_module("governance.migrations.0002_functions")
VOTERS_BEFORE = _before.VOTERS.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
# Of a model too, those of its team.
VOTERS = VOTERS_BEFORE.replace(
    "    JOIN governance_grant held",
    """    LEFT JOIN governance_modelversion version ON version.id = change.model_version_id
    LEFT JOIN governance_model model ON model.id = version.model_id
    JOIN governance_grant held""",
).replace("held.team_id = workflow.team_id", "held.team_id = coalesce(workflow.team_id, model.team_id)")


def admit_what_serves(apps, schema_editor):
    """What gateways were sent until now stays admitted, each with an entry of the log: no vote was ever asked of it."""
    Endpoint = apps.get_model("governance", "Endpoint")
    Content, ContentHead = (apps.get_model("governance", name) for name in ("Content", "ContentHead"))
    serving = Endpoint.objects.filter(active=True, version__is_current=True, version__model__state="active")
    places = {}
    for endpoint in serving.select_related("version__model", "environment").order_by("position"):
        places.setdefault((endpoint.version_id, endpoint.environment_id), []).append(endpoint)
    for endpoints in places.values():
        version, environment = endpoints[0].version, endpoints[0].environment
        document = {
            "format": 1,
            "licence": version.model.licence,
            "data_classes": version.data_classes,
            "endpoints": [
                {"endpoint": str(each.pk), "url": each.url, "upstream_model": each.upstream_model}
                | {"region": each.region, "hosting": each.hosting}
                for each in endpoints
            ],
            "conditions": {"score": None, "cost": None, "valid_until": None, "served_as": []},
        }
        place = {"kind": "model", "model_version": version, "environment": environment}
        content = Content.objects.create(**place, number=1, document=document, digest=canonical.digest(document))
        ContentHead.objects.create(**place, content=content)
        for each in endpoints:
            audit.record(
                action="registry.add_endpoint",
                actor=audit.Service("migration"),
                object=each,
                summary=f"{version.model.name} stays admitted in {environment.name}, where it served before admissions",
                after={"admission": content.digest, "url": each.url},
            )
    # What was written is checked now: no table is altered while its rows still wait to be.
    schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    schema_editor.execute("SET CONSTRAINTS ALL DEFERRED")


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0006_kinds'),
    ]

    operations = [
        migrations.RunSQL(REFUSE_OTHER_ENDPOINTS, "DROP FUNCTION governance_refuse_other_endpoints(uuid, uuid)"),
        migrations.CreateModel(
            name='Suspension',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('condition', models.CharField(choices=[('valid_until', 'Its time is over'), ('score', 'It scores too low'), ('cost', 'It costs too much'), ('served_as', 'Another model answers'), ('licence', 'Its licence is another')], max_length=20)),
                ('limit', models.CharField(max_length=200, verbose_name='what was agreed')),
                ('figure', models.CharField(max_length=400, verbose_name='what was found')),
                ('evidence', models.CharField(blank=True, max_length=300, verbose_name='the page that shows it')),
            ],
        ),
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
            model_name='content',
            name='audited',
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
            name='entry_is_live',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='contenthead',
            name='audited',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='endpoint',
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
            name='model_version',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.modelversion'),
        ),
        migrations.AddField(
            model_name='change',
            name='model_version',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='changes', to='governance.modelversion'),
        ),
        migrations.AddField(
            model_name='content',
            name='environment',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.environment'),
        ),
        migrations.AddField(
            model_name='content',
            name='model_version',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='contents', to='governance.modelversion'),
        ),
        migrations.AddField(
            model_name='contenthead',
            name='environment',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='content_heads', to='governance.environment'),
        ),
        migrations.AddField(
            model_name='contenthead',
            name='model_version',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='content_heads', to='governance.modelversion'),
        ),
        migrations.AlterField(
            model_name='change',
            name='kind',
            field=models.CharField(choices=[('policy', 'Policy'), ('approval_rules', 'Approval rules'), ('workflow', 'Workflow entry'), ('model', 'Model admission')], default='policy', max_length=20),
        ),
        migrations.AlterField(
            model_name='content',
            name='kind',
            field=models.CharField(choices=[('approval_rules', 'Approval rules'), ('workflow', 'Workflow entry'), ('model', 'Model admission')], max_length=20),
        ),
        migrations.AlterField(
            model_name='contenthead',
            name='kind',
            field=models.CharField(choices=[('approval_rules', 'Approval rules'), ('workflow', 'Workflow entry'), ('model', 'Model admission')], max_length=20),
        ),
        migrations.RunSQL(VOTERS, VOTERS_BEFORE),
        migrations.RunPython(admit_what_serves, migrations.RunPython.noop),
        pgtrigger.migrations.AddTrigger(
            model_name='appointment',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.change_id IS DISTINCT FROM OLD.change_id OR NEW.revision_id IS DISTINCT FROM OLD.revision_id OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id OR NEW.environment_id IS DISTINCT FROM OLD.environment_id OR NEW.model_version_id IS DISTINCT FROM OLD.model_version_id OR NEW.at IS DISTINCT FROM OLD.at OR NEW.by_id IS DISTINCT FROM OLD.by_id OR NEW.created_at IS DISTINCT FROM OLD.created_at THEN RAISE EXCEPTION '% rows keep their id, change_id, revision_id, workflow_id, environment_id, model_version_id, at, by_id, created_at', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='a942d646c65afd4736b37234839a68baba814ee0', operation='UPDATE', pgid='pgtrigger_fixed_columns_b5f8f', table='governance_appointment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='appointment',
            trigger=pgtrigger.compiler.Trigger(name='of_approved', sql=governance.models.guards.GuardSql(declare='DECLARE change governance_change%ROWTYPE;', func="\n                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n                    IF TG_OP = 'INSERT' THEN\n                        IF NEW.state <> 'waiting' OR NEW.at <= clock_timestamp() THEN\n                            RAISE EXCEPTION 'an appointment begins before its moment'\n                                USING ERRCODE = 'check_violation';\n                        END IF;\n                        IF change.state <> 'approved' OR change.revision_id <> NEW.revision_id\n                            OR change.workflow_id IS DISTINCT FROM NEW.workflow_id\n                            OR change.environment_id IS DISTINCT FROM NEW.environment_id\n                            OR change.model_version_id IS DISTINCT FROM NEW.model_version_id\n                        THEN\n                            RAISE EXCEPTION 'change % is not approved with this content for this place', change.number\n                                USING ERRCODE = 'check_violation';\n                        END IF;\n                    ELSIF OLD.state <> 'waiting' THEN\n                        RAISE EXCEPTION 'this appointment has ended' USING ERRCODE = 'check_violation';\n                    ELSIF NEW.state = 'kept'\n                        AND (change.state <> 'applied' OR change.revision_id <> NEW.revision_id)\n                    THEN\n                        RAISE EXCEPTION 'change % did not become live', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='c8435abce1514bc20f93cece469a747c7281784b', operation='INSERT OR UPDATE', pgid='pgtrigger_of_approved_e4e6b', table='governance_appointment', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='change',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.kind IS DISTINCT FROM OLD.kind OR NEW.number IS DISTINCT FROM OLD.number OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id OR NEW.environment_id IS DISTINCT FROM OLD.environment_id OR NEW.model_version_id IS DISTINCT FROM OLD.model_version_id OR NEW.proposed_by_id IS DISTINCT FROM OLD.proposed_by_id OR NEW.created_at IS DISTINCT FROM OLD.created_at THEN RAISE EXCEPTION '% rows keep their id, kind, number, workflow_id, environment_id, model_version_id, proposed_by_id, created_at', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='e51d4d7bdad1f4f97970cf05da8041341220c780', operation='UPDATE', pgid='pgtrigger_fixed_columns_5f5d2', table='governance_change', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='content',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT change_id::text FROM governance_revision WHERE content_id = NEW.id OR base_content_id = NEW.id) AND object_type || '' = 'change') AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT id::text FROM governance_endpoint WHERE version_id = NEW.model_version_id AND environment_id = NEW.environment_id) AND object_type || '' = 'endpoint') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='4e51dbd40661ce5389027b987595c3134b076ed3', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_68b97', table='governance_content', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contenthead',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.kind IS DISTINCT FROM OLD.kind OR NEW.workflow_id IS DISTINCT FROM OLD.workflow_id OR NEW.model_version_id IS DISTINCT FROM OLD.model_version_id OR NEW.environment_id IS DISTINCT FROM OLD.environment_id THEN RAISE EXCEPTION '% rows keep their id, kind, workflow_id, model_version_id, environment_id', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='db8798efe178cbaf4c2d7ded0670956d99a6b891', operation='UPDATE', pgid='pgtrigger_fixed_columns_10b99', table='governance_contenthead', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contenthead',
            trigger=pgtrigger.compiler.Trigger(name='moves_by_votes', sql=governance.models.guards.GuardSql(declare='DECLARE live uuid; change governance_change%ROWTYPE; revision governance_revision%ROWTYPE; content governance_content%ROWTYPE;', func="\n                    IF NEW.change_id IS NULL THEN\n                        SELECT * INTO content FROM governance_content WHERE id = NEW.content_id;\n                        IF TG_OP = 'INSERT' AND NEW.content_id IS NULL THEN\n                            RETURN NEW;\n                        ELSIF (content.kind, content.workflow_id, content.model_version_id, content.environment_id)\n                            IS NOT DISTINCT FROM (NEW.kind, NEW.workflow_id, NEW.model_version_id, NEW.environment_id)\n                        THEN\n                            IF NEW.kind = 'workflow' AND TG_OP = 'INSERT' AND content.number = 1 THEN\n                                RETURN NEW;\n                            ELSIF NEW.kind = 'model' AND (TG_OP = 'INSERT' OR OLD.change_id IS NULL) AND NOT EXISTS (\n                                SELECT FROM governance_policyhead WHERE environment_id = NEW.environment_id\n                            ) THEN\n                                RETURN NEW;\n                            END IF;\n                        END IF;\n                        RAISE EXCEPTION 'a content head moves by a change' USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF TG_OP = 'UPDATE' THEN\n                        live := OLD.content_id;\n                    END IF;\n                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n                    IF NOT FOUND OR change.state <> 'applied'\n                        OR (change.kind, change.workflow_id, change.model_version_id, change.environment_id)\n                            IS DISTINCT FROM (NEW.kind, NEW.workflow_id, NEW.model_version_id, NEW.environment_id)\n                    THEN\n                        RAISE EXCEPTION 'a content head moves only to the content of an applied change of its place'\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    SELECT * INTO revision FROM governance_revision\n                        WHERE change_id = change.id ORDER BY number DESC LIMIT 1;\n                    IF NOT FOUND OR revision.id <> change.revision_id\n                        OR revision.content_id IS DISTINCT FROM NEW.content_id\n                    THEN\n                        RAISE EXCEPTION 'change % does not lead to this content', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF revision.base_content_id IS DISTINCT FROM live THEN\n                        RAISE EXCEPTION 'change % starts from another content than the live one', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    PERFORM governance_refuse_unapproved(change.id);\n                    RETURN NEW;\n                ", hash='c83cad44a0072dbb032331a91482736f1a25aebf', operation='INSERT OR UPDATE', pgid='pgtrigger_moves_by_votes_1cb2a', table='governance_contenthead', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contenthead',
            trigger=pgtrigger.compiler.Trigger(name='rows_say_the_same', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n                    IF NEW.kind = 'workflow' THEN\n                        PERFORM governance_refuse_other_entry(NEW.workflow_id);\n                    ELSIF NEW.kind = 'model' THEN\n                        PERFORM governance_refuse_other_endpoints(NEW.model_version_id, NEW.environment_id);\n                    END IF;\n                    RETURN NULL;\n                ", hash='260f71592a6ea90e309da7f597c3672d90aabca8', operation='INSERT OR UPDATE', pgid='pgtrigger_rows_say_the_same_25805', table='governance_contenthead', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contenthead',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT id::text FROM governance_change WHERE (kind, workflow_id, model_version_id, environment_id) IS NOT DISTINCT FROM (NEW.kind, NEW.workflow_id, NEW.model_version_id, NEW.environment_id)) AND object_type || '' = 'change') AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT id::text FROM governance_endpoint WHERE version_id = NEW.model_version_id AND environment_id = NEW.environment_id) AND object_type || '' = 'endpoint') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='942003a6a818458c9a0abe7944f854513efcba02', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_ef3a3', table='governance_contenthead', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='endpoint',
            trigger=pgtrigger.compiler.Trigger(name='admission_is_live', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func='\n                    PERFORM governance_refuse_other_endpoints(NEW.version_id, NEW.environment_id);\n                    RETURN NULL;\n                ', hash='25232b99b1d3751912eba58655a270b4f5462953', operation='UPDATE', pgid='pgtrigger_admission_is_live_5030e', table='governance_endpoint', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='endpoint',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) AND NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (SELECT change_id::text FROM governance_contenthead WHERE kind = 'model' AND model_version_id = NEW.version_id AND environment_id = NEW.environment_id) AND object_type || '' = 'change') THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='5ae70af93fb7fdbe163ec6bf1e0a70b59fa98fa4', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_01ed7', table='governance_endpoint', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='revision',
            trigger=pgtrigger.compiler.Trigger(name='belongs_together', sql=governance.models.guards.GuardSql(declare='DECLARE change governance_change%ROWTYPE;', func="\n                    SELECT * INTO change FROM governance_change WHERE id = NEW.change_id FOR UPDATE;\n                    IF change.state NOT IN ('in_review', 'approved', 'stale') THEN\n                        RAISE EXCEPTION 'change % has ended', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF EXISTS (\n                        SELECT FROM governance_policyversion\n                        WHERE id IN (NEW.version_id, NEW.base_version_id)\n                            AND workflow_id IS DISTINCT FROM change.workflow_id\n                    ) THEN\n                        RAISE EXCEPTION 'change % leads to a policy of another workflow', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    IF EXISTS (\n                        SELECT FROM governance_content\n                        WHERE id IN (NEW.content_id, NEW.base_content_id)\n                            AND (kind, workflow_id, model_version_id, environment_id) IS DISTINCT FROM\n                                (change.kind, change.workflow_id, change.model_version_id, change.environment_id)\n                    ) THEN\n                        RAISE EXCEPTION 'change % leads to content of another place', change.number\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='6ece8a9e0cd670e975961dc8a811ae8e01b6732f', operation='INSERT', pgid='pgtrigger_belongs_together_41d67', table='governance_revision', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='appointment',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'waiting')), fields=('workflow', 'environment', 'model_version'), name='appointment_one_waits', nulls_distinct=False, violation_error_message='Another change is to become live there by itself already.'),
        ),
        migrations.AddConstraint(
            model_name='change',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('environment__isnull', False), ('kind', 'policy'), ('model_version', None), ('workflow__isnull', False)), models.Q(('environment', None), ('kind', 'approval_rules'), ('model_version', None), ('workflow', None)), models.Q(('environment', None), ('kind', 'workflow'), ('model_version', None), ('workflow__isnull', False)), models.Q(('environment__isnull', False), ('kind', 'model'), ('model_version__isnull', False), ('workflow', None)), _connector='OR'), name='change_kind_known', violation_error_message="A policy is that of a workflow in an environment. An entry is that of a workflow, an admission that of a model’s version in an environment."),
        ),
        migrations.AddConstraint(
            model_name='content',
            constraint=models.UniqueConstraint(fields=('kind', 'workflow', 'model_version', 'environment', 'number'), name='content_number_once', nulls_distinct=False, violation_error_message='There is a version of that number already.'),
        ),
        migrations.AddConstraint(
            model_name='content',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('environment', None), ('kind', 'approval_rules'), ('model_version', None), ('workflow', None)), models.Q(('environment', None), ('kind', 'workflow'), ('model_version', None), ('workflow__isnull', False)), models.Q(('environment__isnull', False), ('kind', 'model'), ('model_version__isnull', False), ('workflow', None)), _connector='OR'), name='content_of_its_place', violation_error_message="An entry is that of a workflow, an admission that of a model’s version in an environment."),
        ),
        migrations.AddConstraint(
            model_name='contenthead',
            constraint=models.UniqueConstraint(fields=('kind', 'workflow', 'model_version', 'environment'), name='contenthead_one_per_place', nulls_distinct=False, violation_error_message='A place has one head.'),
        ),
        migrations.AddConstraint(
            model_name='contenthead',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('environment', None), ('kind', 'approval_rules'), ('model_version', None), ('workflow', None)), models.Q(('environment', None), ('kind', 'workflow'), ('model_version', None), ('workflow__isnull', False)), models.Q(('environment__isnull', False), ('kind', 'model'), ('model_version__isnull', False), ('workflow', None)), _connector='OR'), name='contenthead_of_its_place', violation_error_message="An entry is that of a workflow, an admission that of a model’s version in an environment."),
        ),
        migrations.AddField(
            model_name='suspension',
            name='content',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='suspension', to='governance.content'),
        ),
        migrations.AddConstraint(
            model_name='suspension',
            constraint=models.CheckConstraint(condition=models.Q(('condition__in', ['valid_until', 'score', 'cost', 'served_as', 'licence'])), name='suspension_condition_known', violation_error_message='Name one of the conditions.'),
        ),
        migrations.AddConstraint(
            model_name='suspension',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('figure', ''), _negated=True), models.Q(('limit', ''), _negated=True)), name='suspension_says_what', violation_error_message='Say what was agreed and what was found.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='suspension',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='d06845157d9dd5ff9a9148cf2fe35071f27cadf1', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_5f87a', table='governance_suspension', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='suspension',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='73b7ae54a3cefeb67d39b7973619300db06dc590', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_f8b74', table='governance_suspension', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='suspension',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='248aabbabe57f4c0ed7a03301973452c7fe0bfb0', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_99185', table='governance_suspension', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.RunSQL(ADMITTED, "DROP FUNCTION governance_admitted()"),
    ]
