"""Rows 12 to 35 of the fault matrix: what arrives is wrong, late, hostile or repeated."""

from tests.faults import log_faults as log
from tests.faults import network_faults as network
from tests.faults import process_faults as process
from tests.faults import schedule_faults as schedules
from tests.faults import storage_faults as storage
from tests.faults.row import Row, Trigger, tests_of
from tests.faults.scenario import (
    AFTER_FREEZE,
    AFTER_KAFKA,
    AFTER_PROCESS,
)

ROWS = (
    Row(
        12,
        "A provider is slow",
        "Each request has a deadline; other providers do not wait for it.",
        proofs=(
            *tests_of("shared/http/test_client.py", "test_a_trickle_ends_at_the_deadline"),
            *tests_of(
                "observables/enrichment/queues/test_turns.py",
                "test_one_provider_in_trouble_does_not_hold_the_others",
            ),
        ),
    ),
    Row(
        13,
        "A provider answers 429 with Retry-After",
        "No call comes before its time, from no worker.",
        proofs=(
            *tests_of(
                "observables/enrichment/execution/test_worker_processes.py",
                "test_four_workers_make_no_call_too_early_and_none_twice",
            ),
            *tests_of(
                "observables/enrichment/execution/test_faults.py",
                "test_a_refusal_outlives_the_worker_that_received_it",
            ),
        ),
    ),
    Row(
        14,
        "A provider answers with errors or garbage, or resets connections",
        "Calls are repeated with growing pauses; nothing partial is stored.",
        proofs=(
            *tests_of(
                "observables/enrichment/execution/test_outcomes.py",
                "test_an_invalid_answer_is_not_stored_and_its_query_is_retried",
            ),
            *tests_of(
                "observables/enrichment/execution/test_faults.py",
                "test_an_answer_that_breaks_the_enricher_fails_its_job_alone",
            ),
            *tests_of(
                "observables/enrichment/execution/test_worker.py",
                "test_the_breaker_opens_for_a_failing_provider_and_jobs_wait",
            ),
        ),
    ),
    Row(
        15,
        "Records that nobody can read, in every partition",
        "Each is one dead letter; the records beside it are applied. A flood of what no service has"
        " signed is passed over and told once; a flood that our own handlers fail at halts the"
        " partition.",
        (Trigger(log.poisoned_records, AFTER_PROCESS),),
        (
            *tests_of(
                "shared/kafka/test_refusals.py",
                "test_a_flood_of_garbage_on_each_partition_is_passed_within_seconds",
            ),
            *tests_of("shared/kafka/test_halts.py", "test_restarts_do_not_let_more_records_pass"),
        ),
    ),
    Row(
        16,
        "A malformed object in a STIX bundle",
        "It is reported with its place; all others are stored.",
        proofs=tests_of("feeds/formats/test_stix.py", "test_malformed_documents"),
    ),
    Row(
        17,
        "Documents that are meant to break a parser: deep, wide, endless",
        "They are refused, or read, within their limits; the worker lives.",
        proofs=tests_of(
            "feeds/runs/test_hostile.py",
            "test_documents_that_are_meant_to_break_a_parser",
            "test_a_pattern_with_a_thousand_ors_is_a_thousand_observables",
        ),
    ),
    Row(
        18,
        "Decompression bombs",
        "Reading ends at the limit; nothing of them is kept.",
        proofs=(
            *tests_of(
                "shared/http/test_decode.py",
                "test_a_bomb_is_given_up_early_and_in_little_memory",
                "test_a_hundred_thousand_empty_members_cost_nothing",
            ),
            *tests_of(
                "shared/http/test_redirects.py",
                "test_a_bomb_in_a_redirect_is_never_unpacked_nor_kept",
            ),
        ),
    ),
    Row(
        19,
        "Redirects and names that lead to private addresses",
        "No connection is made; credentials never reach another host.",
        proofs=(
            *tests_of(
                "shared/http/test_redirects.py",
                "test_a_redirect_to_a_private_address_is_not_followed",
                "test_nothing_secret_follows_to_another_origin",
            ),
            *tests_of("shared/http/test_guard.py", "test_known_disguises_are_refused"),
            *tests_of(
                "shared/http/test_client.py",
                "test_a_name_is_resolved_once_and_the_vetted_address_is_dialled",
            ),
        ),
    ),
    Row(
        20,
        "Every event is delivered again",
        "Effects happen once; a rule notifies of an event once.",
        proofs=(
            *tests_of(
                "observables/store/test_storm.py",
                "test_two_consumers_that_come_and_go_end_where_a_model_ends",
            ),
            *tests_of(
                "notifications/rules/test_handlers.py",
                "test_an_event_is_matched_once_however_often_it_is_handled",
            ),
        ),
    ),
    Row(
        21,
        "Events arrive late and out of order",
        "The newest statement counts; nothing that was retracted comes back.",
        proofs=tests_of(
            "observables/store/test_plan.py",
            "test_words_that_are_shuffled_and_repeated_come_to_the_end_of_the_model",
            "test_an_older_word_that_arrives_late_is_not_believed",
        ),
    ),
    Row(
        22,
        "Members join and leave the consumer group all the time",
        "Nothing is lost, nothing is applied twice.",
        (Trigger(process.rebalance_storm, AFTER_FREEZE),),
        tests_of(
            "observables/store/test_storm.py",
            "test_two_consumers_that_come_and_go_end_where_a_model_ends",
        ),
    ),
    Row(
        23,
        "A process ends between its commit and the publication of its events",
        "Committed events are published; others never are.",
        proofs=tests_of(
            "shared/kafka/test_outbox.py",
            "test_the_outbox_publishes_what_was_committed_and_nothing_else",
            "test_another_relay_takes_over_from_one_that_falls_silent_during_a_batch",
        ),
    ),
    Row(
        24,
        "Several Beats; one is frozen and wakes",
        "Each due time fires once; the woken one fires nothing again.",
        (Trigger(schedules.frozen_beat, AFTER_FREEZE, is_short=False),),
        tests_of(
            "scheduler/beat/test_beat.py",
            "test_five_beats_fire_each_due_time_once",
            "test_killed_between_claim_and_send_is_sent_later_once",
        ),
        "Dozens of schedules are shown, not 10,000.",
    ),
    Row(
        25,
        "The clock of a worker is five minutes off; summer time begins and ends",
        "Times are the database's; a schedule in local time fires once.",
        (Trigger(schedules.skewed_clock, AFTER_PROCESS, is_short=False),),
        tests_of(
            "scheduler/schedules/test_timing.py",
            "test_clock_put_forward_fires_the_skipped_hour_once",
            "test_clock_put_back_fires_the_repeated_hour_once",
        ),
        "The clock of the database itself has to be right; leap seconds are the system's.",
    ),
    Row(
        26,
        "A schedule is changed or deleted while it is due",
        "The change is effective within two seconds.",
        proofs=tests_of(
            "scheduler/beat/test_beat.py", "test_edits_are_effective_within_two_seconds"
        ),
        gap="It is shown for single edits, not for a thousand a minute.",
    ),
    Row(
        27,
        "A feed is cut off, empty, half its size, or an HTML page; its files are lost or old",
        "The last good list stays; a large loss needs a confirmation; what is not listed any more"
        " is retracted, even after the snapshot was lost.",
        (
            Trigger(storage.lost_data_folder, AFTER_PROCESS),
            Trigger(storage.older_data_folder, AFTER_PROCESS),
        ),
        (
            *tests_of("feeds/runs/test_hostile.py", "test_a_list_stays_what_it_was"),
            *tests_of(
                "feeds/runs/test_changes.py",
                "test_a_list_that_breaks_down_is_held_back_until_it_was_seen_three_times",
            ),
            *tests_of(
                "shared/http/test_download.py", "test_a_connection_cut_half_way_leaves_the_file"
            ),
        ),
    ),
    Row(
        28,
        "A receiver hangs, fails, redirects, or is gone",
        "Attempts have growing pauses and an end; 410 disables the channel; others do not wait.",
        proofs=(
            *tests_of(
                "notifications/deliveries/test_dispatcher.py",
                "test_attempts_end_and_waits_grow",
                "test_a_slow_receiver_does_not_keep_the_others_waiting",
            ),
            *tests_of(
                "notifications/deliveries/test_misbehaviour.py",
                "test_others_are_told_while_receivers_misbehave",
                "test_a_name_that_is_bound_to_a_private_address_later_is_refused",
            ),
            *tests_of(
                "shared/http/test_tls.py", "test_a_certificate_that_does_not_verify_is_refused"
            ),
        ),
    ),
    Row(
        29,
        "A receiver takes a webhook, and the answer is lost",
        "It comes again with the same webhook-id.",
        (Trigger(network.unanswered_webhooks, AFTER_PROCESS),),
        gap="A webhook may come more than once; its id tells.",
    ),
    Row(
        30,
        "Keys and secrets are replaced under load",
        "Nothing that is valid is refused while the installation's secret and all logins are"
        " replaced; stored secrets open; nothing of the former ones is valid five seconds after"
        " they end. A provider's new key is used at once, by waiting jobs too.",
        proofs=(
            *tests_of(
                "cli/test_rotation.py",
                "test_nothing_valid_is_refused_while_everything_is_replaced",
                "test_nothing_of_the_former_keys_is_valid_after_a_rotation_at_once",
            ),
            *tests_of(
                "observables/enrichment/requests/test_api.py",
                "test_waiting_jobs_go_on_with_a_new_key",
            ),
            *tests_of(
                "observables/enrichment/execution/test_faults.py",
                "test_a_job_of_a_lost_worker_uses_the_key_that_was_set_meanwhile",
            ),
        ),
        gap="The secrets of webhooks have no overlap: signatures change at once.",
    ),
    Row(
        31,
        "A tenant asks for another tenant's rows; an event with a forged tenant",
        "Row-level security answers with nothing; a record that nobody who may has signed is a dead"
        " letter, with an entry of the audit, and no answer tells of it.",
        (Trigger(log.poisoned_records, AFTER_PROCESS),),
        (
            *tests_of(
                "shared/test_database.py",
                "test_a_tenant_reads_its_own_rows_and_the_public_ones",
                "test_every_table_with_a_tenant_is_protected_and_every_table_has_one",
            ),
            *tests_of(
                "conventions/test_permissions.py", "test_nobody_passes_with_a_role_that_is_too_low"
            ),
            *tests_of(
                "feeds/runs/test_runs.py", "test_feeds_of_other_tenants_cannot_be_seen_or_changed"
            ),
            *tests_of(
                "shared/kafka/test_refusals.py",
                "test_forged_records_are_dead_letters_and_one_entry_of_the_audit",
            ),
            *tests_of("cli/test_forged_work.py", "test_no_lookup_tells_of_forged_events"),
        ),
    ),
    Row(
        32,
        "An ATT&CK release is older, damaged, or cut off",
        "A release is stored as a whole or not at all; the same one again changes nothing.",
        proofs=tests_of(
            "mitre/imports/test_imports.py",
            "test_the_same_again_changes_nothing_and_tells_nothing",
            "test_a_worker_killed_before_its_commit_is_repeated_with_the_same_end",
            "test_bad_bundles_fail_with_their_place_and_store_nothing",
        ),
    ),
    Row(
        33,
        "Faults of all kinds for half an hour",
        "Memory, descriptors, connections, outbox and lag stay bounded.",
        gap="`python -m tests.faults.soak --minutes 30 --seed 1 --write` shows it, and enters its"
        " figures here.",
    ),
    Row(
        34,
        "Links to PostgreSQL, Valkey or Kafka are slow, half-open, or cut",
        "Work goes on when the link does, within 30 s, and no process is restarted by hand.",
        (
            Trigger(network.half_open_postgres, AFTER_KAFKA),
            Trigger(network.half_open_valkey, AFTER_KAFKA, is_short=False),
            Trigger(network.half_open_kafka, AFTER_KAFKA, is_short=False),
            Trigger(network.cut_links, AFTER_KAFKA),
            Trigger(network.slow_links, AFTER_KAFKA, is_short=False),
        ),
    ),
    Row(
        35,
        "Events of older versions are read again",
        "Each is read in full.",
        proofs=(
            *tests_of(
                "shared/events/test_catalogue.py",
                "test_payloads_written_by_older_releases_are_still_read_in_full",
            ),
            *tests_of(
                "observables/store/test_typed_ids.py",
                "test_a_chunk_of_old_ids_waits_for_the_one_of_new_ids",
            ),
        ),
    ),
)
