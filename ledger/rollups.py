"""The fold: queued usage is priced, charged and added to the day sums, in one statement."""

from zoneinfo import ZoneInfo

from django.db import connection, transaction

# Rows of one transaction. Larger ones gain nothing and hold their locks longer.
CHUNK = 5_000


# `taken`: rows that another fold holds are skipped, so that folds share the work and never wait for the same row.
# `rated`: the price that held when the attempt was made, the organisation's own before the list. Tokens times rate has
# ten decimals and a millionth six, so the product is exact and rounded once. Null when tokens or rate are not known,
# unless the other one is zero.
# `charged`: an event that has its charge already gets no second one and is not counted again.
# The sums are added in the order of their key, so that two folds never wait for each other in a circle.
FOLD = """
WITH picked AS MATERIALIZED (
    SELECT event_id FROM ledger_usagequeue ORDER BY event_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
),
taken AS (
    DELETE FROM ledger_usagequeue q USING picked WHERE q.event_id = picked.event_id RETURNING q.event_id
),
rated AS MATERIALIZED (
    SELECT
        e.id, (e.booked_at AT TIME ZONE %(zone)s)::date AS day, e.booked_at, e.recorded_at,
        e.workflow_id, e.step, e.endpoint_id, e.key_id, e.outcome, e.kept,
        e.input_tokens, e.output_tokens, e.cache_read_tokens, e.cache_write_tokens,
        p.id AS price_id, p.currency,
        CASE WHEN e.input_tokens = 0 OR p.input = 0 THEN 0
            ELSE round(e.input_tokens * p.input * 0.000001, 10) END AS input_amount,
        CASE WHEN e.output_tokens = 0 OR p.output = 0 THEN 0
            ELSE round(e.output_tokens * p.output * 0.000001, 10) END AS output_amount,
        CASE WHEN e.cache_read_tokens = 0 OR p.cache_read = 0 THEN 0
            ELSE round(e.cache_read_tokens * p.cache_read * 0.000001, 10) END AS cache_read_amount,
        CASE WHEN e.cache_write_tokens = 0 OR p.cache_write = 0 THEN 0
            ELSE round(e.cache_write_tokens * p.cache_write * 0.000001, 10) END AS cache_write_amount,
        (e.input_tokens IS NULL AND p.input <> 0) OR (e.output_tokens IS NULL AND p.output <> 0)
            AS tokens_missing
    FROM taken
    JOIN ledger_usageevent e ON e.id = taken.event_id
    JOIN governance_endpoint place ON place.id = e.endpoint_id
    JOIN governance_provider provider ON provider.id = place.provider_id
    LEFT JOIN LATERAL (
        SELECT * FROM ledger_price
        WHERE (
            kind = 'own' AND endpoint_id = place.id
            OR kind = 'list' AND ledger_price.provider = provider.slug AND model = place.upstream_model
                AND coalesce(e.input_tokens, 0)::bigint + e.cache_read_tokens + e.cache_write_tokens >= input_from
                AND (input_below IS NULL
                    OR coalesce(e.input_tokens, 0)::bigint + e.cache_read_tokens + e.cache_write_tokens < input_below)
        )
        AND valid_from <= e.booked_at AND (valid_until IS NULL OR valid_until > e.booked_at)
        ORDER BY kind = 'own' DESC
        LIMIT 1
    ) p ON true
),
summed AS (
    SELECT *, input_amount + output_amount + cache_read_amount + cache_write_amount AS amount FROM rated
),
charged AS (
    INSERT INTO ledger_charge (
        id, recorded_at, state, unpriced, price_id, currency,
        input_amount, output_amount, cache_read_amount, cache_write_amount, amount
    )
    SELECT
        id, now(),
        CASE WHEN amount IS NULL THEN 'unpriced' ELSE 'priced' END,
        CASE
            WHEN amount IS NOT NULL THEN NULL
            WHEN price_id IS NULL THEN 'no_price'
            WHEN tokens_missing THEN 'no_tokens'
            ELSE 'no_rate'
        END,
        price_id,
        CASE WHEN amount IS NOT NULL THEN currency END,
        CASE WHEN amount IS NOT NULL THEN input_amount END,
        CASE WHEN amount IS NOT NULL THEN output_amount END,
        CASE WHEN amount IS NOT NULL THEN cache_read_amount END,
        CASE WHEN amount IS NOT NULL THEN cache_write_amount END,
        amount
    FROM summed
    ON CONFLICT (id) DO NOTHING
    RETURNING id, currency, amount
),
added AS (
    INSERT INTO ledger_rollup (
        day, workflow_id, step, endpoint_id, key_id, outcome, currency,
        events, kept, unpriced, late,
        input_tokens, cache_read_tokens, cache_write_tokens, output_tokens,
        kept_input_tokens, kept_output_tokens, amount, last_at
    )
    SELECT
        day, workflow_id, step, endpoint_id, key_id, outcome, charged.currency,
        count(*),
        count(*) FILTER (WHERE kept),
        count(*) FILTER (WHERE charged.amount IS NULL),
        -- More than an hour after midnight of the day after, in the reporting zone.
        count(*) FILTER (WHERE recorded_at > (day + 1)::timestamp AT TIME ZONE %(zone)s + interval '1 hour'),
        coalesce(sum(input_tokens), 0), sum(cache_read_tokens), sum(cache_write_tokens),
        coalesce(sum(output_tokens), 0),
        coalesce(
            sum(coalesce(input_tokens, 0)::bigint + cache_read_tokens + cache_write_tokens) FILTER (WHERE kept), 0
        ),
        coalesce(sum(output_tokens) FILTER (WHERE kept), 0),
        sum(charged.amount), max(booked_at)
    FROM charged JOIN summed USING (id)
    GROUP BY day, workflow_id, step, endpoint_id, key_id, outcome, charged.currency
    ORDER BY day, workflow_id, step, endpoint_id, key_id, outcome, charged.currency
    ON CONFLICT (day, workflow_id, step, endpoint_id, key_id, outcome, currency) DO UPDATE SET
        events = ledger_rollup.events + excluded.events,
        kept = ledger_rollup.kept + excluded.kept,
        unpriced = ledger_rollup.unpriced + excluded.unpriced,
        late = ledger_rollup.late + excluded.late,
        input_tokens = ledger_rollup.input_tokens + excluded.input_tokens,
        cache_read_tokens = ledger_rollup.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = ledger_rollup.cache_write_tokens + excluded.cache_write_tokens,
        output_tokens = ledger_rollup.output_tokens + excluded.output_tokens,
        kept_input_tokens = ledger_rollup.kept_input_tokens + excluded.kept_input_tokens,
        kept_output_tokens = ledger_rollup.kept_output_tokens + excluded.kept_output_tokens,
        amount = ledger_rollup.amount + excluded.amount,
        last_at = greatest(ledger_rollup.last_at, excluded.last_at)
)
SELECT count(*) FROM taken
"""


def fold(*, zone: ZoneInfo, limit: int = CHUNK) -> int:
    """Price and count at most `limit` queued events; return how many were taken from the queue.

    Days are those of `zone`. All in one transaction: a fold that dies has done nothing, and the next one does it. Folds
    may run side by side. An event is charged once, whatever is queued again; what is charged is never priced again.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(FOLD, {"limit": limit, "zone": zone.key})
        (taken,) = cursor.fetchone() or (0,)
        return int(taken)


def fold_all(*, zone: ZoneInfo) -> int:
    """Fold until nothing is queued that no other fold holds; return how many events were taken."""
    total = 0
    while taken := fold(zone=zone):
        total += taken
    return total
