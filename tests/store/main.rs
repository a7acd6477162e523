//! The ports of the tables, the queue and the state machine: one contract, kept by every implementation, and what only DynamoDB can get
//! wrong.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backend;
mod batches;
mod catalog;
mod contract;
mod definitions;
mod dynamodb;
mod executions;
mod faults;
mod grants;
mod http;
mod ids;
mod notices;
mod queue;
mod sample;

use backend::{Embedded, Endpoint};
use certbridge_sync::memory::MemoryStore;

/// Runs each case of the contract on every implementation.
macro_rules! contract {
    ($($case:ident,)*) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::contract::$case(super::MemoryStore::new()).await;
            })*
        }

        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let world = super::Embedded::start().await;
                super::contract::$case(world.store.clone()).await;
            })*
        }

        mod endpoint {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(world) = super::Endpoint::start().await {
                    super::contract::$case(world.store.clone()).await;
                    world.clear().await;
                }
            })*
        }
    };
}

contract! {
    a_row_is_new_once,
    the_same_id_with_other_bytes_leaves_the_row_alone,
    of_many_inserts_at_once_one_is_new,
    an_unknown_key_has_no_row,
    a_full_row_comes_back_as_it_was,
    a_bare_row_comes_back_as_it_was,
    every_state_operation_and_order_comes_back,
    keys_may_hold_separators,
    a_pending_row_is_rescheduled,
    a_doubt_about_a_row_stays,
    a_row_that_moved_is_not_rescheduled,
    a_pending_row_is_set_aside,
    a_row_that_moved_is_not_set_aside,
    overdue_rows_come_oldest_first_and_not_too_many,
    a_row_is_not_overdue_before_its_time,
    only_pending_rows_are_overdue,
    overdue_rows_are_found_in_the_shard_of_their_key,
    records_are_listed_page_by_page,
    unsettled_events_are_listed_by_state,
    the_first_claim_makes_the_record,
    a_live_lease_keeps_others_out,
    a_lease_that_ran_out_is_replaced_and_must_push,
    an_owner_may_repeat_a_claim,
    a_repeated_claim_still_must_push,
    fences_grow,
    of_two_racing_claims_one_wins,
    a_clean_release_ends_the_lease_without_doubt,
    a_release_in_doubt_must_push,
    a_clean_release_clears_an_older_doubt,
    a_replaced_claimant_releases_nothing,
    a_commit_writes_record_trail_and_event,
    a_commit_may_settle_nothing,
    a_commit_without_a_state_keeps_the_old_one,
    every_field_of_a_state_comes_back,
    a_commit_clears_an_older_doubt,
    a_lost_fence_commits_nothing,
    a_released_claim_commits_nothing,
    an_owners_older_claim_is_not_its_newer_one,
    an_event_that_moved_commits_nothing,
    a_claim_outlives_a_commit_whose_event_moved,
    an_unknown_event_commits_nothing,
    a_commit_may_be_repeated,
    a_commit_may_be_repeated_after_another,
    a_settled_event_moves_no_more,
    of_two_commits_of_one_event_one_settles_it,
    trails_are_whole_and_in_order,
    records_do_not_share_a_trail,
    breakers_open_change_and_close,
    a_batch_is_new_once,
    of_many_registrations_at_once_one_is_new,
    an_unknown_batch_is_none,
    every_field_of_a_batch_comes_back,
    an_updated_batch_is_shown_everywhere,
    steps_told_twice_count_once,
    batches_do_not_share_their_progress,
    batches_come_newest_first_page_by_page,
    of_all_who_want_the_turn_one_has_it,
    a_turn_that_ran_out_is_taken,
    a_turn_is_kept_and_given_up_by_its_holder,
    a_poll_mark_comes_back_as_it_was,
    a_poll_mark_follows_the_one_before,
    a_poll_mark_may_be_written_again,
    of_polls_at_once_one_writes,
    poll_marks_stand_apart,
    an_id_is_begun_and_then_known,
    an_id_that_is_known_stays,
    a_stale_id_is_replaced,
    of_many_ids_at_once_one_stays,
    ids_stand_apart_by_record_and_role,
    a_grant_comes_back_as_it_was,
    of_all_who_take_a_grant_one_has_it,
    a_grant_is_taken_by_whoever_saw_its_newest_state,
    a_lease_on_a_grant_runs_out,
    a_grant_may_be_taken_again_by_its_owner,
    only_the_holder_renews_a_grant,
    a_grant_that_needs_a_person_is_taken_by_nobody,
    a_persons_grant_goes_over_everything,
    records_are_indexed_by_when_they_were_synced,
    what_is_open_is_indexed_by_how_long_it_waits,
    deliveries_come_without_their_bodies_and_only_those_that_are_kept,
    a_trail_is_read_backwards_page_by_page,
    a_row_is_opened_again_once,
}
