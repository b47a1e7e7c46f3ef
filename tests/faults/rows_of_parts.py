"""Rows 1 to 11 of the fault matrix: processes, servers and disks fail."""

from tests.faults import log_faults as log
from tests.faults import process_faults as process
from tests.faults import server_faults as servers
from tests.faults import storage_faults as storage
from tests.faults.row import Row, Trigger, tests_of
from tests.faults.scenario import (
    AFTER_FREEZE,
    AFTER_KAFKA,
    AFTER_POSTGRES,
    AFTER_PROCESS,
)

ROWS = (
    Row(
        1,
        "A process of a worker's pool is killed in a task; a task takes longer than its lease",
        "Nothing is lost; another process repeats a killed task, and none repeats a living one.",
        (
            Trigger(process.killed_pool_children, AFTER_PROCESS),
            Trigger(process.long_task, AFTER_PROCESS),
        ),
        tests_of(
            "feeds/runs/test_changes.py", "test_a_run_killed_before_its_end_says_the_same_again"
        ),
    ),
    Row(
        2,
        "Whole workers, or all processes of all services, are killed",
        "Nothing is lost; leases end within 15 s (feed runs) or 60 s (deliveries).",
        (
            Trigger(process.killed_workers, AFTER_PROCESS),
            Trigger(process.killed_services, AFTER_PROCESS, is_short=False),
        ),
        (
            *tests_of(
                "faults/test_kill.py", "test_a_killed_process_loses_nothing_and_repeats_nothing"
            ),
            *tests_of(
                "notifications/deliveries/test_dispatcher.py", "test_a_killed_worker_loses_nothing"
            ),
        ),
    ),
    Row(
        3,
        "SIGTERM in the middle of an ingest; SIGSTOP and SIGCONT",
        "Every process ends by itself within 25 s with exit code 0; a frozen consumer is replaced"
        " within 15 s by another one, and changes nothing when it wakes.",
        (
            Trigger(process.terminated_processes, AFTER_PROCESS),
            Trigger(process.frozen_processes, AFTER_FREEZE),
            Trigger(process.frozen_consumer_with_successor, AFTER_FREEZE),
        ),
    ),
    Row(
        4,
        "A task kills whatever process runs it",
        "It is given up after five deaths, with the reason; other tasks go on.",
        (Trigger(process.task_that_kills_its_worker, AFTER_PROCESS, is_short=False),),
        (
            *tests_of(
                "feeds/runs/test_changes.py", "test_a_run_that_kills_its_workers_is_given_up"
            ),
            *tests_of("shared/test_leases.py", "test_a_row_that_kills_its_workers_is_given_up"),
        ),
    ),
    Row(
        5,
        "Valkey is killed and away for up to 60 s while tasks run that outlast it; Valkey is full",
        "APIs go on accepting; workers take work again without a restart by hand.",
        (
            Trigger(servers.valkey_outage, AFTER_PROCESS),
            Trigger(servers.valkey_full, AFTER_PROCESS),
        ),
        (
            *tests_of("scheduler/beat/test_beat.py", "test_broker_away_delays_and_loses_nothing"),
            *tests_of(
                "shared/runtime/test_worker.py",
                "test_a_worker_takes_messages_again_after_its_broker_was_killed_during_a_task",
                "test_a_full_broker_stops_no_worker_for_good",
            ),
            *tests_of(
                "notifications/deliveries/test_recording.py",
                "test_a_broker_that_is_frozen_holds_no_delivery",
            ),
        ),
    ),
    Row(
        6,
        "Valkey is emptied (FLUSHALL)",
        "Nothing is lost: what waits is a row, and sweeps find it. A firing of a tenant's own "
        "schedule is sent again after two minutes, or noted as missed if the schedule does not "
        "catch up.",
        (Trigger(servers.valkey_flushed, AFTER_PROCESS),),
        (
            *tests_of(
                "shared/runtime/test_worker.py",
                "test_a_flushed_broker_forgets_the_hints_with_the_messages",
            ),
            *tests_of(
                "scheduler/beat/test_lost_firings.py",
                "test_a_flushed_broker_loses_no_firing_of_a_tenant",
            ),
        ),
    ),
    Row(
        7,
        "Kafka is killed and away for up to 60 s",
        "APIs go on accepting; the outbox grows and drains in order.",
        (Trigger(servers.kafka_outage, AFTER_KAFKA),),
        tests_of(
            "shared/kafka/test_outbox.py",
            "test_what_was_not_acknowledged_is_sent_again_with_the_same_ids",
        ),
    ),
    Row(
        8,
        "A topic is deleted and made anew; an older log, or none, comes back",
        "It is noticed and reported; full statements and events that are sent again repair it.",
        (
            Trigger(log.recreated_topic, AFTER_KAFKA),
            Trigger(storage.older_log, AFTER_KAFKA, is_short=False),
            Trigger(storage.lost_log, AFTER_KAFKA, is_short=False),
        ),
        tests_of(
            "shared/kafka/test_log_gaps.py",
            "test_all_records_of_a_recreated_topic_are_applied",
            "test_records_behind_a_lost_tail_are_applied",
            "test_records_that_retention_deleted_are_told",
        ),
        "Only feeds that list everything (snapshots) can repeat what a lost log held; of streams"
        " and uploads, what was lost with it stays lost.",
    ),
    Row(
        9,
        "PostgreSQL is restarted, or killed; a backup of it comes back",
        "No acknowledged write is missing after a crash. A restored database applies the log again,"
        " and nobody is notified twice.",
        (
            Trigger(servers.postgres_crash, AFTER_POSTGRES),
            Trigger(servers.postgres_restart, AFTER_POSTGRES, is_short=False),
            Trigger(storage.older_database, AFTER_POSTGRES, is_short=False),
        ),
        tests_of("shared/kafka/test_consumer.py", "test_a_database_that_comes_back_loses_nothing"),
        "What only a row knew (a new subscription, a new rule) is as old as the backup.",
    ),
    Row(
        10,
        "PostgreSQL answers nothing; no connection is free",
        "APIs answer 503 in time and stay alive; all go on when it answers again.",
        (Trigger(servers.postgres_frozen, AFTER_POSTGRES),),
        tests_of(
            "shared/test_database.py",
            "test_a_caller_without_a_connection_is_told_to_try_again",
            "test_a_question_that_takes_too_long_is_ended",
        ),
    ),
    Row(
        11,
        "A full disk (PostgreSQL's, or that of payloads); a read-only database",
        "Writes are refused and tried again; no good record becomes a dead letter.",
        (
            Trigger(servers.postgres_read_only, AFTER_POSTGRES),
            Trigger(storage.full_data_folder, AFTER_PROCESS, is_short=False),
            Trigger(storage.full_database_disk, AFTER_POSTGRES, is_short=False),
        ),
        gap="Kafka ends when its own disk is full, and starts again once there is room.",
    ),
)
