"""Delegations: whose vote each is, and that it counts only while that may be."""

from importlib import import_module

import datetime
import django.db.models.deletion
import django.db.models.expressions
import django.utils.timezone
import governance.models.guards
import governance.models.ids
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


# Whose vote one is: by a delegation that of who gave it, as long as it holds, he may vote there and did not vote himself;
# null where it counts for nobody.
VOTE_OF = """
CREATE FUNCTION governance_vote_of(asked uuid) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN vote.delegation_id IS NULL THEN vote.voter_id ELSE (
        SELECT held.by_id
        FROM governance_delegation held
        JOIN governance_revision revision ON revision.id = vote.revision_id
        WHERE held.id = vote.delegation_id AND held.to_id = vote.voter_id AND held.revoked_at IS NULL
            AND held.starts_at <= clock_timestamp() AND held.ends_at > clock_timestamp()
            AND held.by_id IN (SELECT user_id FROM governance_voters(revision.change_id))
            AND coalesce((
                SELECT own.choice FROM governance_vote own
                WHERE own.revision_id = vote.revision_id AND own.voter_id = held.by_id
                ORDER BY own.number DESC LIMIT 1
            ), 'withdraw') = 'withdraw'
    ) END
    FROM governance_vote vote WHERE vote.id = asked
$$;
"""

# As before, but for whose vote each is. No delegation is revoked between the count of votes and what they let through.
REFUSE_BEFORE = import_module("governance.migrations.0014_requirement").REFUSE.replace(
    "CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"
)
REFUSE = (
    REFUSE_BEFORE.replace(
        "    requirement := governance_requirement(asked);",
        """    PERFORM FROM governance_delegation
        WHERE id IN (SELECT delegation_id FROM governance_vote WHERE revision_id = revision.id) FOR SHARE;
    requirement := governance_requirement(asked);""",
    )
    .replace("array_agg(newest.voter_id)", "array_agg(newest.vote_of)")
    .replace("DISTINCT ON (voter_id) voter_id,", "DISTINCT ON (voter_id) voter_id, governance_vote_of(id) AS vote_of,")
    .replace(
        "WHERE newest.digest = revision.payload_digest",
        "WHERE newest.vote_of IS NOT NULL AND newest.digest = revision.payload_digest",
    )
)


class Migration(migrations.Migration):

    dependencies = [
        ('governance', '0020_emergencies'),
    ]

    operations = [
        migrations.CreateModel(
            name='Delegation',
            fields=[
                ('id', models.UUIDField(default=governance.models.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField()),
                ('reason', models.TextField(max_length=2000)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='vote',
            trigger=pgtrigger.compiler.Trigger(name='by_delegation', sql=governance.models.guards.GuardSql(func="\n                    IF NEW.delegation_id IS NOT NULL AND NOT EXISTS (\n                        SELECT FROM governance_delegation held\n                        JOIN governance_revision revision ON revision.id = NEW.revision_id\n                        WHERE held.id = NEW.delegation_id AND held.to_id = NEW.voter_id AND held.revoked_at IS NULL\n                            AND held.starts_at <= clock_timestamp() AND held.ends_at > clock_timestamp()\n                            AND held.by_id IN (SELECT user_id FROM governance_voters(revision.change_id))\n                            AND held.to_id IN (SELECT user_id FROM governance_voters(revision.change_id))\n                    ) THEN\n                        RAISE EXCEPTION 'this delegation lets nobody vote here now' USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='88173e032817ffbdcefef827c24fb240d406f080', operation='INSERT', pgid='pgtrigger_by_delegation_88a2c', table='governance_vote', when='BEFORE')),
        ),
        migrations.AddField(
            model_name='delegation',
            name='by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='delegations', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='delegation',
            name='to',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='stands_in', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='vote',
            name='delegation',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='votes', to='governance.delegation'),
        ),
        migrations.AddIndex(
            model_name='delegation',
            index=models.Index(condition=models.Q(('revoked_at', None)), fields=['to', 'ends_at'], name='delegation_to'),
        ),
        migrations.AddConstraint(
            model_name='delegation',
            constraint=models.CheckConstraint(condition=models.Q(('by', models.F('to')), _negated=True), name='delegation_to_another', violation_error_message='Name somebody else.'),
        ),
        migrations.AddConstraint(
            model_name='delegation',
            constraint=models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at')), ('ends_at__lte', django.db.models.expressions.CombinedExpression(models.F('starts_at'), '+', models.Value(datetime.timedelta(days=30))))), name='delegation_within_30_days', violation_error_message='Choose an end after the start, within 30 days.'),
        ),
        migrations.AddConstraint(
            model_name='delegation',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='delegation_reason_given', violation_error_message='Say why.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='delegation',
            trigger=pgtrigger.compiler.Trigger(name='kept', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='3fe952b0ef74c7bf7b27813887651172d7672225', operation='DELETE', pgid='pgtrigger_kept_29c30', table='governance_delegation', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='delegation',
            trigger=pgtrigger.compiler.Trigger(name='no_truncate', sql=governance.models.guards.GuardSql(func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'check_violation';", hash='fb8725340338d7ee20363e7f0159d4212c2db145', level='STATEMENT', operation='TRUNCATE', pgid='pgtrigger_no_truncate_94ec4', table='governance_delegation', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='delegation',
            trigger=pgtrigger.compiler.Trigger(name='fixed_columns', sql=governance.models.guards.GuardSql(func="IF NEW.id IS DISTINCT FROM OLD.id OR NEW.created_at IS DISTINCT FROM OLD.created_at OR NEW.by_id IS DISTINCT FROM OLD.by_id OR NEW.to_id IS DISTINCT FROM OLD.to_id OR NEW.starts_at IS DISTINCT FROM OLD.starts_at OR NEW.ends_at IS DISTINCT FROM OLD.ends_at OR NEW.reason IS DISTINCT FROM OLD.reason THEN RAISE EXCEPTION '% rows keep their id, created_at, by_id, to_id, starts_at, ends_at, reason', TG_TABLE_NAME USING ERRCODE = 'check_violation'; END IF; RETURN NEW;", hash='50ddbb2859afe09007f2517eabfd93a375ce66d8', operation='UPDATE', pgid='pgtrigger_fixed_columns_bf952', table='governance_delegation', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='delegation',
            trigger=pgtrigger.compiler.Trigger(name='no_chain', sql=governance.models.guards.GuardSql(func="\n                    PERFORM FROM governance_user WHERE id IN (NEW.by_id, NEW.to_id) ORDER BY id FOR NO KEY UPDATE;\n                    IF EXISTS (\n                        SELECT FROM governance_delegation other\n                        WHERE other.revoked_at IS NULL\n                            AND other.starts_at < NEW.ends_at AND other.ends_at > NEW.starts_at\n                            AND (other.by_id IN (NEW.by_id, NEW.to_id) OR other.to_id = NEW.by_id)\n                    ) THEN\n                        RAISE EXCEPTION 'one delegate at a time, and none who delegates or stands in himself'\n                            USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='f1b6f13d47d2e4d7caab21cd5279df3256832fb9', operation='INSERT', pgid='pgtrigger_no_chain_ca144', table='governance_delegation', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='delegation',
            trigger=pgtrigger.compiler.Trigger(name='revoked_once', sql=governance.models.guards.GuardSql(func="\n                    IF OLD.revoked_at IS NOT NULL AND NEW IS DISTINCT FROM OLD THEN\n                        RAISE EXCEPTION 'this delegation was revoked' USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NEW;\n                ", hash='4a1c777d06d38951fa3d64d69dad76c0225a336f', operation='UPDATE', pgid='pgtrigger_revoked_once_fc71f', table='governance_delegation', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='delegation',
            trigger=pgtrigger.compiler.Trigger(name='audited', sql=governance.models.guards.GuardSql(constraint='CONSTRAINT', func="\n            IF TG_OP = 'DELETE' THEN NEW := OLD; END IF;\n            IF NOT EXISTS (SELECT FROM governance_auditevent WHERE xid = pg_current_xact_id() AND object_id IN (NEW.id::text) AND object_type || '' = split_part(TG_TABLE_NAME, '_', 2)) THEN\n                RAISE EXCEPTION '% was written without an audit event in the same transaction', TG_TABLE_NAME\n                    USING ERRCODE = 'check_violation';\n            END IF;\n            RETURN NULL;\n        ", hash='5ec24ea6228da8a8012edb92703d33ffe425a728', operation='INSERT OR UPDATE OR DELETE', pgid='pgtrigger_audited_71696', table='governance_delegation', timing='DEFERRABLE INITIALLY DEFERRED', when='AFTER')),
        ),
        migrations.RunSQL(VOTE_OF, "DROP FUNCTION governance_vote_of(uuid)"),
        migrations.RunSQL(REFUSE, REFUSE_BEFORE),
    ]
