"""Give types that shared ids with others ids of their own, in every table that refers to them."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from shared.database import PLATFORM, PUBLIC
from shared.stix.ids import bucket, observable_id

revision = "observables_0010"
down_revision = "observables_0009"

SCHEMA = "observables"
_TYPES = (
    "x509-sha1",
    "x509-sha256",
    "mutex",
    "file-path",
    "ja3",
    "ja4",
    "user-agent",
    "cryptocurrency-wallet",
)
_ROWS = 5_000
# Table, column with an observable's id, and the columns that make it unique together.
_REFERENCES = (
    ("assertion", "observable_id", ("source_id",)),
    ("assertion_past", "observable_id", ("source_id", "recorded_until")),
    ("context_past", "observable_id", ("recorded_until",)),
    ("sighting", "observable_id", ("id",)),
    ("relation", "from_id", ("kind", "to_id", "source")),
    ("relation", "to_id", ("from_id", "kind", "source")),
    ("enrichment", "observable_id", ("enricher",)),
    ("enrichment_past", "observable_id", ("enricher", "recorded_until")),
)
_OPEN = "state IN ('waiting', 'running')"


def upgrade() -> None:
    """Give the rows their new ids; a row that has the new id already stays, the old one goes."""
    connection = op.get_bind()
    # The tables' owner sees nothing either without a tenant.
    before = connection.scalar(sa.text("SELECT current_setting('sentineliq.tenant', true)"))
    _enter(connection, PLATFORM)
    # Whoever writes waits: nothing may come under an old id while the rows move.
    tables = dict.fromkeys(
        ["observable", *(table for table, _, _ in _REFERENCES), "enrichment_job", "run_chunk"]
    )
    op.execute(
        f"LOCK TABLE {', '.join(f'{SCHEMA}.{table}' for table in tables)} IN SHARE ROW EXCLUSIVE "
        f"MODE"
    )
    _find(connection)
    _find_elsewhere(connection)
    for table, column, others in (*_REFERENCES, ("observable", "id", ())):
        _move(table, column, others)
    _move_jobs(connection)
    _move_notes()
    # How far the walk over all observables has come, in the order of their ids: it begins anew.
    op.execute(
        f"UPDATE {SCHEMA}.dataset SET progress = NULL WHERE progress IS NOT NULL AND EXISTS "
        f"(SELECT FROM moved)"
    )
    op.execute("DROP TABLE moved, asked, noted")
    _enter(connection, before or "")


def _enter(connection: sa.Connection, tenant: str) -> None:
    connection.execute(
        sa.text("SELECT set_config('sentineliq.tenant', :tenant, true)"), {"tenant": tenant}
    )


def _find(connection: sa.Connection) -> None:
    """Fill `moved` with the observables that have another id now, some thousands at a time."""
    op.execute(
        "CREATE TEMPORARY TABLE moved (tenant text, id uuid, fresh uuid NOT NULL, bucket integer "
        "NOT NULL, "
        "PRIMARY KEY (tenant, id))"
    )
    put = sa.text(
        "INSERT INTO moved SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:ids AS uuid[]), "
        "CAST(:fresh AS uuid[]), CAST(:buckets AS integer[]))"
    )
    for rows in _in_parts(
        connection, f"SELECT tenant, id::text, type, value FROM {SCHEMA}.observable"
    ):
        fresh = [observable_id(row.type, row.value) for row in rows]
        moved_rows = [
            (row, identity) for row, identity in zip(rows, fresh, strict=True) if row.id != identity
        ]
        values = {
            "tenants": [row.tenant for row, _ in moved_rows],
            "ids": [row.id for row, _ in moved_rows],
            "fresh": [identity for _, identity in moved_rows],
            "buckets": [bucket(identity) for _, identity in moved_rows],
        }
        connection.execute(put, values)
    op.execute("ANALYZE moved")


def _in_parts(connection: sa.Connection, query: str) -> Iterator[Sequence[sa.Row[Any]]]:
    statement = sa.text(f"{query} WHERE type = ANY(:types)")
    options = {"stream_results": True, "max_row_buffer": _ROWS}
    return connection.execute(
        statement, {"types": list(_TYPES)}, execution_options=options
    ).partitions(_ROWS)


def _find_elsewhere(connection: sa.Connection) -> None:
    """Add ids that a tenant refers to without a row: the public row decides, else all others.

    Shared answers of enrichers are public; the row they are about belongs to another tenant.
    """
    referred = " UNION ".join(
        f"SELECT tenant, {column} FROM {SCHEMA}.{table}" for table, column, _ in _REFERENCES
    )
    connection.execute(
        sa.text(
            "INSERT INTO moved SELECT DISTINCT ON (r.tenant, r.id) r.tenant, r.id, m.fresh, "
            "m.bucket "
            f"FROM ({referred}) r(tenant, id) JOIN moved m ON m.id = r.id "
            f"WHERE NOT EXISTS (SELECT FROM {SCHEMA}.observable o WHERE o.tenant = r.tenant AND "
            f"o.id = r.id) "
            f"AND (m.tenant = '{PUBLIC}' OR NOT EXISTS ("
            f"SELECT FROM {SCHEMA}.observable o WHERE o.id = r.id AND o.type <> ALL(:types))) "
            f"ORDER BY r.tenant, r.id, m.tenant = '{PUBLIC}' DESC, m.fresh"
        ),
        {"types": list(_TYPES)},
    )
    op.execute("ANALYZE moved")


def _move(table: str, column: str, others: tuple[str, ...]) -> None:
    """Put the new ids into one column."""
    name = f"{SCHEMA}.{table}"
    same = "".join(f" AND stays.{other} = mine.{other}" for other in others)
    is_moved = f"mine.tenant = m.tenant AND mine.{column} = m.id"
    op.execute(
        f"DELETE FROM {name} mine USING moved m WHERE {is_moved} AND EXISTS ("
        f"SELECT FROM {name} stays WHERE stays.tenant = mine.tenant AND stays.{column} = "
        f"m.fresh{same})"
    )
    op.execute(f"UPDATE {name} mine SET {column} = m.fresh FROM moved m WHERE {is_moved}")


def _move_jobs(connection: sa.Connection) -> None:
    """Move jobs, which name type and value; of two open ones about the same, the old one ends."""
    job = f"{SCHEMA}.enrichment_job"
    op.execute("CREATE TEMPORARY TABLE asked (id uuid PRIMARY KEY, fresh uuid NOT NULL)")
    put = sa.text(
        "INSERT INTO asked SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:fresh AS uuid[]))"
    )
    for rows in _in_parts(
        connection, f"SELECT id, observable_id::text AS about, type, value FROM {job}"
    ):
        fresh = [(row, observable_id(row.type, row.value)) for row in rows]
        moved_rows = {row.id: identity for row, identity in fresh if row.about != identity}
        connection.execute(put, {"ids": list(moved_rows), "fresh": list(moved_rows.values())})
    op.execute("ANALYZE asked")
    op.execute(
        f"UPDATE {job} mine SET state = 'cancelled', holder = NULL, finished_at = now() FROM asked "
        f"WHERE mine.id = asked.id AND mine.{_OPEN} AND EXISTS (SELECT FROM {job} stays "
        "WHERE stays.tenant = mine.tenant AND stays.observable_id = asked.fresh AND stays.enricher "
        "= mine.enricher "
        f"AND stays.{_OPEN})"
    )
    op.execute(
        f"UPDATE {job} mine SET observable_id = asked.fresh FROM asked WHERE mine.id = asked.id"
    )


def _move_notes() -> None:
    """Move the notes of repetitions, which are searched by bucket, to a row in the new bucket.

    It is no chunk, and has the number -1, so that no chunk of the run is taken for it.
    """
    chunk = f"{SCHEMA}.run_chunk"
    # Joined with nothing: the ids of a row are fetched once as a whole, not piece by piece.
    ids = (
        "(SELECT {row}.repeated || ''::bytea AS packed OFFSET 0) p CROSS JOIN LATERAL ("
        "SELECT CAST(encode(substring(p.packed FROM at FOR 16), 'hex') AS uuid) AS id, at "
        "FROM generate_series(1, length(p.packed), 16) at) one"
    )
    key = "tenant, run_id, bucket, chunk"
    op.execute(
        "CREATE TEMPORARY TABLE noted AS SELECT c.tenant, c.run_id, c.bucket, c.chunk, m.id, "
        "m.fresh, "
        f"m.bucket AS place FROM {chunk} c CROSS JOIN LATERAL {ids.format(row='c')} "
        "JOIN moved m ON m.tenant = c.tenant AND m.id = one.id WHERE c.repeated IS NOT NULL"
    )
    op.execute(f"CREATE INDEX ON noted ({key}, id)")
    op.execute("ANALYZE noted")
    # Row by row: a join would carry all ids of a row along with each of them.
    op.execute(
        f"UPDATE {chunk} mine SET repeated = ("
        f"SELECT string_agg(uuid_send(one.id), ''::bytea ORDER BY one.at) FROM "
        f"{ids.format(row='mine')} "
        "WHERE NOT EXISTS (SELECT FROM noted n WHERE (n.tenant, n.run_id, n.bucket, n.chunk, n.id) "
        "= "
        "(mine.tenant, mine.run_id, mine.bucket, mine.chunk, one.id))) "
        f"WHERE (tenant, run_id, bucket, chunk) IN (SELECT {key} FROM noted)"
    )
    op.execute(
        f"INSERT INTO {chunk} (tenant, run_id, bucket, chunk, received, new, changed, rejected, "
        f"handled_at, "
        "source_id, observed_at, repeated) "
        "SELECT tenant, run_id, n.place, -1, 0, 0, 0, 0, max(c.handled_at), "
        "(array_agg(c.source_id))[1], "
        "max(c.observed_at), string_agg(DISTINCT uuid_send(n.fresh), ''::bytea) "
        f"FROM noted n JOIN {chunk} c USING ({key}) GROUP BY tenant, run_id, n.place "
        "ON CONFLICT (tenant, run_id, bucket, chunk) DO UPDATE SET repeated = run_chunk.repeated "
        "|| excluded.repeated"
    )
