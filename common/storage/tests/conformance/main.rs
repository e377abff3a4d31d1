//! One suite per seam, run on every engine behind it.
//!
//! A story is a plain async function over a [`ground::Ground`], which opens the same storage any number of times, as
//! several processes would. On SQLite each story is a test of its own; on PostgreSQL, whose server takes a while to
//! start, they run one after the other on one server, each in a database of its own.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

mod backups;
mod bus;
mod cold;
mod crash;
mod cursors;
mod editions;
mod fleet;
mod full;
mod ground;
mod jobs;
mod library;
mod lists;
mod log;
mod migrations;
mod objects;
mod restart;
mod traffic;
mod transactions;
mod uploads;
mod videos;

/// A story while it is told.
type Told = std::pin::Pin<Box<dyn Future<Output = ()>>>;

/// Makes a test per story on SQLite, and one of all stories on PostgreSQL.
macro_rules! stories {
    ($($suite:ident: $($story:ident),+;)+) => {
        mod on_sqlite {
            $(mod $suite {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $story() {
                    crate::$suite::$story(crate::ground::Ground::sqlite()).await;
                })+
            })+
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn every_story_on_postgres() {
            let server = sluice_storage::testing::Postgres::start().await;
            // Each is made in a frame of its own, and all are told from one place: together they are more than a stack holds.
            let stories: &[(&str, fn(crate::ground::Ground) -> Told)] = &[$($(
                (concat!(stringify!($suite), ": ", stringify!($story)), |ground| Box::pin(crate::$suite::$story(ground))),
            )+)+];
            for (name, story) in stories {
                println!("{name}");
                story(crate::ground::Ground::postgres(&server).await).await;
            }
        }
    };
}

stories! {
    transactions:
        a_failed_closure_keeps_nothing,
        read_modify_write_loses_no_update,
        a_cancelled_write_keeps_nothing_and_blocks_nobody,
        a_duplicate_is_a_conflict;
    log:
        events_of_many_writers_are_relayed_in_order_without_gaps,
        committed_events_survive_the_death_of_their_writer,
        events_of_a_failed_transaction_never_appear,
        a_dead_relay_is_replaced,
        a_commit_wakes_other_processes,
        a_follower_that_joins_late_reads_everything_from_where_it_asks,
        versions_are_told_for_any_set_of_tags,
        a_tags_events_are_found_after_a_version,
        events_of_one_tag_that_are_emitted_together_keep_their_order;
    jobs:
        a_job_goes_to_one_of_many_workers,
        urgent_jobs_come_first_then_those_that_waited_longest,
        a_failing_job_backs_off_dies_and_is_revived,
        a_worker_that_lost_its_lease_cannot_commit,
        heartbeats_keep_a_job,
        a_job_whose_workers_all_vanish_is_buried_once,
        a_job_given_back_is_due_at_once_and_unharmed,
        enqueued_jobs_wake_workers_and_vanish_with_a_failed_transaction;
    uploads:
        of_parallel_appends_one_wins,
        nothing_is_appended_past_the_length_or_at_another_offset,
        piece_numbers_are_never_given_twice,
        uploads_expire_unless_prolonged_or_complete,
        promised_parts_are_used_once_and_looked_after_when_their_time_is_over,
        an_upload_reads_back_as_it_was_begun,
        partial_uploads_are_joined_before_they_are_complete,
        what_cannot_be_joined_is_refused_and_stays_as_it_was,
        of_two_that_join_the_same_one_wins,
        of_two_partial_uploads_that_end_at_once_one_ends_the_whole,
        partial_uploads_expire_alone_and_live_with_their_whole,
        equal_bytes_are_kept_once_until_nobody_has_them,
        a_joined_source_is_shared_like_any_other,
        of_equal_uploads_that_are_settled_at_once_one_holds_the_bytes,
        one_process_settles_an_upload_and_another_goes_on_after_it,
        a_fetch_is_one_process_s_and_goes_on_in_another,
        an_owner_s_use_is_what_is_stored_and_declared;
    videos:
        a_video_goes_through_its_life,
        listings_page_from_the_newest_down,
        segments_replace_themselves_and_keep_their_order,
        deleting_a_video_leaves_no_row_behind,
        changing_what_is_not_there_is_told;
    library:
        words_and_tags_find_without_case_and_diacritics,
        filters_and_orders_page_without_gaps,
        what_is_put_aside_comes_back_as_it_was,
        rows_go_first_and_objects_follow_whoever_dies,
        one_process_removes_at_a_time,
        usage_is_what_the_store_holds,
        a_page_costs_three_statements;
    cold:
        a_rung_that_nobody_asks_for_is_dropped,
        what_is_made_again_is_the_same_and_can_be_dropped_again,
        what_is_named_takes_nothing_until_it_is_made;
    editions:
        an_edition_takes_its_videos_place,
        one_that_fails_changes_nothing;
    cursors:
        one_reads_at_a_time_and_the_next_goes_on;
    fleet:
        reports_renew_and_keep_what_operators_set,
        of_two_control_planes_one_publishes,
        a_configuration_is_changed_once_and_every_version_kept,
        control_planes_share_the_key_that_was_first,
        control_planes_hear_what_the_others_see_while_it_is_news,
        what_operators_do_is_written_down_or_not_done,
        what_operators_did_is_forgotten_after_400_days;
    backups:
        each_restore_of_a_backup_has_numbers_of_its_own,
        a_backup_is_its_owners_alone_and_replaces_nothing;
    traffic:
        what_is_noted_twice_counts_once_and_months_are_apart;
    migrations:
        many_processes_open_a_new_database_at_once,
        the_schema_goes_down_and_up_again;
}
