//! How the log goes on after a restore: with numbers that nobody has heard, and an event that has edges forget what they keep.

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{DatabaseTransaction, EntityTrait};
use sluice_wire::{EventKind, Tag};

use super::tables;
use crate::clock::{Clock, SystemClock};
use crate::database::convert::signed;
use crate::database::entity::{log, log_head, tag_version};
use crate::error::StorageError;
use crate::log::HEAD;

/// Numbers that a millisecond has. No log gets as many events in one, so one that begins with a time is not where a later
/// restore's begins; and they stay below 2^53, which numbers in JSON can be, until the year 2248.
const PER_MS: i64 = 1 << 10;

/// How far the numbers go on where the clock is behind them, and as far again by chance: beyond any that was given out since.
const PAST: i64 = 1 << 32;

/// The largest number in JSON that all readers have exactly.
const MAX: i64 = (1 << 53) - 1;

/// The number of the first event after a restore. The same backup may be restored again and again, and edges hear each time: it
/// says when that was, where no number so far is beyond it.
fn first(known: i64, now_ms: i64, chance: u32) -> i64 {
    let by_time = now_ms.saturating_mul(PER_MS);
    if by_time > known && by_time <= MAX {
        return by_time;
    }
    known.saturating_add(PAST).saturating_add(i64::from(chance))
}

/// The newest event's number in what a database holds; 0 where there is no log.
pub(super) async fn head_of(tx: &DatabaseTransaction) -> Result<i64, StorageError> {
    let (_, all) = tables::all(tx).await?;
    if !all.iter().any(|table| table.name == "log_heads") {
        return Ok(0);
    }
    Ok(log_head::Entity::find_by_id(HEAD.to_owned()).one(tx).await?.map_or(0, |row| row.seq))
}

/// The log goes on beyond what may have been said after the backup, and beyond what was replaced, which ended at this number:
/// everything that edges keep is to be forgotten, with the floors of what is not to be any more.
pub(super) async fn tell(tx: &DatabaseTransaction, replaced: i64) -> Result<(), StorageError> {
    let now_ms = signed(SystemClock.now_ms());
    let seq = first(head_of(tx).await?.max(replaced), now_ms, rand::random());
    let everything = Tag::everything();
    let before = tag_version::Entity::find_by_id(everything.as_str().to_owned()).one(tx).await?;
    let (version, position) = before.map_or((1, 0), |row| (row.version + 1, row.position + 1));
    let tag = tag_version::ActiveModel {
        tag: Set(everything.as_str().to_owned()),
        version: Set(version),
        position: Set(position),
    };
    let columns = [tag_version::Column::Version, tag_version::Column::Position];
    let raised = OnConflict::column(tag_version::Column::Tag).update_columns(columns).to_owned();
    tag_version::Entity::insert(tag).on_conflict(raised).exec_without_returning(tx).await?;
    let event = log::ActiveModel {
        seq: Set(seq),
        tag: Set(everything.as_str().to_owned()),
        version: Set(version),
        kind: Set(EventKind::Purged.as_str().to_owned()),
        at_ms: Set(now_ms),
        data: Set("{}".to_owned()),
    };
    log::Entity::insert(event).exec_without_returning(tx).await?;
    let moved =
        OnConflict::column(log_head::Column::Name).value(log_head::Column::Seq, Expr::value(seq)).to_owned();
    let head = log_head::ActiveModel { name: Set(HEAD.to_owned()), seq: Set(seq) };
    log_head::Entity::insert(head).on_conflict(moved).exec_without_returning(tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-23.
    const NOON: i64 = 1_795_435_200_000;

    #[test]
    fn each_restore_of_a_backup_begins_elsewhere() {
        let (once, again) = (first(20, NOON, 0), first(20, NOON + 1, 0));
        assert!(20 < once && once + 1_000 < again, "{once} {again}");
        // Where the clock is behind, chance keeps them apart.
        assert!(first(once, NOON - 1, 7) >= once + PAST);
        assert_ne!(first(once, NOON - 1, 7), first(once, NOON - 1, 8));
    }

    proptest! {
        #[test]
        fn a_chain_of_restores_grows_and_stays_small(
            steps in prop::collection::vec((0..1_000_000_000_i64, 0..1_000_000_i64, any::<u32>()), 1..100),
        ) {
            let (mut head, mut now) = (0, NOON);
            for (waited, events, chance) in steps {
                // Clocks go back, too.
                now += if chance.is_multiple_of(8) { -1_000 } else { waited };
                let next = first(head, now, chance);
                prop_assert!(next > head && next <= MAX);
                head = next + events;
            }
        }

        #[test]
        fn whatever_is_known_the_number_is_no_lower(known in 0..=i64::MAX, now_ms: i64, chance: u32) {
            prop_assert!(first(known, now_ms, chance) >= known);
        }
    }
}
