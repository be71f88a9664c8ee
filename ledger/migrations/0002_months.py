"""Monthly partitions of the three large tables, the function that makes more of them, and the rights of the application.

A partition covers the UUIDv7 keys made in one month, UTC. What belongs to no month that exists falls into the default
partition, so nothing is ever turned away; it moves when its month is made.
"""

from django.db import migrations

TABLES = ("ledger_usageevent", "ledger_decision", "ledger_charge")

FLOOR = """
CREATE FUNCTION ledger_floor(moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
-- The lowest key of a millisecond: 48 bits of time, then nothing.
RETURN (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
"""

# Runs with the rights of its owner, the migrator: the application makes no tables. Its arguments are two dates.
ENSURE = """
CREATE FUNCTION ledger_ensure_partitions(first_month date, last_month date) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
SET lock_timeout = '5s'
AS $$
DECLARE
    parent text;
    rest text;
    part text;
    month date;
    low uuid;
    high uuid;
    strays boolean;
BEGIN
    IF last_month > first_month + interval '10 years' THEN
        RAISE EXCEPTION 'more than ten years of partitions asked for' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- One at a time; the other then finds them made.
    PERFORM pg_advisory_xact_lock(hashtext('ledger_ensure_partitions'));
    FOREACH parent IN ARRAY ARRAY['ledger_usageevent', 'ledger_decision', 'ledger_charge'] LOOP
        rest := parent || '_default';
        month := date_trunc('month', first_month);
        WHILE month <= last_month LOOP
            part := parent || to_char(month, '"_"YYYY"_"MM');
            low := ledger_floor(month::timestamp AT TIME ZONE 'UTC');
            high := ledger_floor((month + interval '1 month') AT TIME ZONE 'UTC');
            month := month + interval '1 month';
            CONTINUE WHEN to_regclass(part) IS NOT NULL;

            -- The other partitions stay open to readers of their rows.
            EXECUTE format('LOCK TABLE ONLY %I, ONLY %I IN ACCESS EXCLUSIVE MODE', parent, rest);
            EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE id >= %L AND id < %L)', rest, low, high) INTO strays;
            IF strays THEN
                -- No row of the table may be deleted, so the partition leaves it, is emptied, and comes back.
                EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, rest);
            END IF;
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', part, parent, low, high);
            EXECUTE format('REVOKE ALL ON %I FROM smallfirst_app', part);
            IF strays THEN
                EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE id >= %L AND id < %L', parent, rest, low, high);
                EXECUTE format('DELETE FROM %I WHERE id >= %L AND id < %L', rest, low, high);
                EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I DEFAULT', parent, rest);
            END IF;
            RETURN NEXT part;
        END LOOP;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION ledger_ensure_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_ensure_partitions TO smallfirst_app;
"""

# The application adds and reads, by the parent alone; its triggers refuse changes to everyone else, the owner too.
RIGHTS = "".join(
    f"""
CREATE TABLE {table}_default PARTITION OF {table} DEFAULT;
REVOKE ALL ON {table}, {table}_default FROM smallfirst_app;
GRANT SELECT, INSERT ON {table} TO smallfirst_app;
"""
    for table in TABLES
)

FIRST_MONTHS = """
SELECT ledger_ensure_partitions((now() - interval '1 month')::date, (now() + interval '3 months')::date)
"""


class Migration(migrations.Migration):

    # Installations from before these were one go on with them.
    replaces = [
        ('ledger', '0001_ledger'),
        ('ledger', '0002_partitions'),
        ('ledger', '0003_decisions_observed'),
        ('ledger', '0004_savings'),
        ('ledger', '0005_decisions_found'),
        ('ledger', '0006_usageevent_newest'),
        ('ledger', '0007_audited_rows'),
        ('ledger', '0008_decisions_packed'),
    ]

    dependencies = [
        ("ledger", "0001_tables"),
    ]

    operations = [
        migrations.RunSQL(RIGHTS, "".join(f"DROP TABLE {table}_default;" for table in TABLES)),
        migrations.RunSQL(FLOOR, "DROP FUNCTION ledger_floor"),
        migrations.RunSQL(ENSURE, "DROP FUNCTION ledger_ensure_partitions"),
        migrations.RunSQL(FIRST_MONTHS, migrations.RunSQL.noop),
    ]
