"""The retention of the tables of observables.

An observable stays for good, and with it each source's last assertion about it, also when nobody
asserts it any more: a value is new once, a late report is compared with the newest assertion, and
`as_of` and `first_seen` answer for it. The number of distinct values bounds these tables.
"""

from typing import Final

from services.observables.store.models import HISTORY_DAYS
from shared.retention import INFRASTRUCTURE, QUOTAS, RetentionPolicy


def _history(table: str) -> RetentionPolicy:
    return RetentionPolicy(
        table=table,
        reason="What was recorded until then; `as_of` is refused for times before.",
        days=HISTORY_DAYS,
        age="recorded_until",
        group="history",
    )


JOBS: Final = RetentionPolicy(
    table="enrichment_job",
    reason="A job that has ended is history; its answer is stored elsewhere.",
    days=30,
    age="finished_at",
)
RAW_ANSWERS: Final = RetentionPolicy(
    table="enrichment",
    reason="A raw answer serves to look into a parser's work; its facts stay.",
    days=30,
    age="obtained_at",
    clears="raw",
)
REQUESTS: Final = RetentionPolicy(
    table="enrichment_request",
    reason="A request goes when its jobs have gone.",
    days=30,
    age="created_at",
    condition="NOT EXISTS (SELECT FROM enrichment_request_job job "
    "WHERE job.request_id = enrichment_request.id)",
)
RUN_CHUNKS: Final = RetentionPolicy(
    table="run_chunk",
    reason="The progress of feed runs. While the log may repeat a chunk (seven days), its row "
    "tells that it is applied.",
    days=30,
    minimum=8,
    age="handled_at",
)

EXPECTATIONS: Final = RetentionPolicy(
    table="run_expectation",
    reason="What a feed run published; it is compared with the progress of the run.",
    days=30,
    minimum=8,
    age="received_at",
)
FAILED_ROWS: Final = RetentionPolicy(
    table="failed_row",
    reason="A row that upkeep could not work on; the next attempt notes it again.",
    days=30,
    age="failed_at",
)

LIST_CHANGES: Final = RetentionPolicy(
    table="list_change",
    reason="The versions of lists: they can be compared, and read as of a moment, so far back.",
    days=400,
    minimum=30,
    age="changed_at",
    condition="number <= (SELECT l.published_number FROM dissemination_list l "
    "WHERE l.id = list_change.list_id)",
)

POLICIES: Final = (
    *INFRASTRUCTURE,
    *QUOTAS,
    RetentionPolicy(table="source", reason="One row for each feed."),
    RetentionPolicy(table="observable", reason="A value is new once, and has a past."),
    RetentionPolicy(
        table="assertion",
        reason="The last word of each source, with which a later one is compared.",
    ),
    RetentionPolicy(table="sighting", reason="People's reports stay; they can be withdrawn."),
    RetentionPolicy(table="relation", reason="One row for each connection of two observables."),
    RetentionPolicy(
        table="enrichment", reason="One answer for each observable and enricher: the newest."
    ),
    RetentionPolicy(table="enrichment_queue", reason="One row for each key of a provider."),
    RetentionPolicy(table="enricher_setting", reason="A tenant's settings of an enricher."),
    RetentionPolicy(table="enrichment_policy", reason="It stays until its tenant deletes it."),
    RetentionPolicy(table="attack_technique", reason="One row for each technique of ATT&CK."),
    RetentionPolicy(
        table="scoring_model",
        reason="One row for each model of scores: `as_of` answers by the model of the time.",
    ),
    RetentionPolicy(
        table="source_pair", reason="One row for each pair of sources of which one copies another."
    ),
    RetentionPolicy(table="source_quality", reason="A row for each source and type of observable."),
    RetentionPolicy(
        table="source_rescoring", reason="A note for marks of scores; it goes with the last."
    ),
    RetentionPolicy(table="evidence_policy", reason="One row for each tenant that has decided."),
    RetentionPolicy(
        table="observable_number", reason="One row for each observable that a source asserts."
    ),
    RetentionPolicy(table="source_bitmap", reason="One row for each source and bucket."),
    RetentionPolicy(table="source_cost", reason="What a tenant states of a source; one row each."),
    RetentionPolicy(table="dissemination_list", reason="It stays until its tenant deletes it."),
    RetentionPolicy(
        table="list_entry", reason="What lists have at present; it goes when it matches no more."
    ),
    RetentionPolicy(table="list_fill", reason="One row for each list that is being filled."),
    RetentionPolicy(
        table="list_fill_change", reason="Notes for a fill; it takes them when it ends."
    ),
    LIST_CHANGES,
    RetentionPolicy(table="protected_value", reason="It stays until its tenant deletes it."),
    RetentionPolicy(table="list_consumer", reason="It stays until its tenant deletes it."),
    RetentionPolicy(table="list_poll", reason="One row for each consumer, list and format."),
    RetentionPolicy(table="list_file", reason="One row for each list and format: the newest."),
    RetentionPolicy(table="list_content", reason="The files of the newest versions alone."),
    RetentionPolicy(table="dataset", reason="One row for each set of reference data."),
    RUN_CHUNKS,
    EXPECTATIONS,
    FAILED_ROWS,
    RetentionPolicy(
        table="full_statement", reason="One row for each source and bucket: the newest."
    ),
    JOBS,
    RetentionPolicy(
        table="enrichment_request_job", reason="The database deletes it with its job or request."
    ),
    REQUESTS,
    RAW_ANSWERS,
    RetentionPolicy(
        table="enrichment_policy_use",
        reason="What a policy asked on a day; only today's counts for its budget.",
        days=30,
        age="day",
    ),
    RetentionPolicy(
        table="collection", reason="It stays until its tenant deletes it, with all objects."
    ),
    RetentionPolicy(
        table="collection_member", reason="One row for each entry that a list has in a collection."
    ),
    RetentionPolicy(
        table="collection_object",
        reason="What is revoked or replaced must reach every client; the rest stays.",
        days=180,
        minimum=30,
        age="date_added",
        condition="is_revoked OR NOT is_last",
    ),
    RetentionPolicy(table="push", reason="It stays until its tenant deletes it."),
    RetentionPolicy(
        table="collection_post",
        reason="The status of a posted document, for its client.",
        days=7,
        age="finished_at",
    ),
    RetentionPolicy(table="posted_object", reason="The database deletes it with its document."),
    RetentionPolicy(table="trend", reason="A trend is news, once.", days=90, age="announced_at"),
    RetentionPolicy(
        table="trend_peak",
        reason="Rises are judged by the four weeks before them.",
        days=35,
        age="hour",
    ),
    *map(_history, ("source_past", "context_past", "assertion_past", "enrichment_past")),
)
