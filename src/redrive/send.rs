//! Sending into a stream, which takes copies: they carry equal event ids.

use std::collections::BTreeSet;

use super::{BEHIND, Fate, Ready, Redrive, RedriveError, Report, StageRoute};
use crate::event::{Position, ShardId};
use crate::lake::ItemDigest;
use crate::route::{Progress, RouteError, ShardWriter};

const TOO_LARGE: &str = "it is still too large for a record of the route's stream";

/// A writer of the shard that the records at hand come from.
struct Open {
    shard: ShardId,
    writer: Box<dyn ShardWriter>,
    /// What it has taken.
    taken: Vec<Ready>,
}

impl Redrive {
    /// Sends a batch. Records keep their shard and position, so that one that is too large still goes to quarantine under the name that it
    /// has there. Everything of a shard is acknowledged before the records of another one are sent: an item's changes may be in both.
    pub(super) async fn send(
        &self,
        stage: &StageRoute,
        batch: Vec<Ready>,
        held: &mut BTreeSet<ItemDigest>,
        report: &mut Report,
    ) -> Result<(), RedriveError> {
        let mut open: Option<Open> = None;
        for ready in batch {
            let item = stage.item_that_waits(&ready.entry);
            if item.as_ref().is_some_and(|item| held.contains(item)) {
                report.note(&ready.entry, Fate::Stays(BEHIND.to_owned()));
                continue;
            }
            // A record without a position has no order in its shard, and a writer takes no position twice.
            let mut current = match open.take() {
                Some(open) if open.shard == ready.entry.shard && ready.entry.position.is_some() => open,
                other => {
                    if let Some(before) = other {
                        self.acknowledged(before, report).await?;
                    }
                    let writer = stage.route.open(&ready.entry.shard, Position::ZERO).await?;
                    Open { shard: ready.entry.shard.clone(), writer, taken: Vec::new() }
                }
            };
            let event = match stage.change(&self.lake, &ready.entry).await? {
                Ok(event) => event,
                Err(reason) => {
                    report.note(&ready.entry, Fate::Stays(reason));
                    held.extend(item);
                    open = Some(current);
                    continue;
                }
            };
            let position = ready.entry.position.unwrap_or_else(|| super::plan::at(0));
            if let Progress::Rewind(_) = current.writer.append(position, &event).await? {
                return Err(misled(&ready.entry.shard).into());
            }
            drop(event);
            if current.writer.set_aside() {
                report.note(&ready.entry, Fate::Stays(TOO_LARGE.to_owned()));
                held.extend(item);
            } else {
                current.taken.push(ready);
            }
            open = Some(current);
        }
        match open {
            Some(last) => self.acknowledged(last, report).await,
            None => Ok(()),
        }
    }

    /// Waits until everything that a writer took is acknowledged, and deletes the entries.
    async fn acknowledged(&self, mut open: Open, report: &mut Report) -> Result<(), RedriveError> {
        while !open.writer.is_flushed() {
            if let Progress::Rewind(_) = open.writer.flush().await? {
                return Err(misled(&open.shard).into());
            }
        }
        for ready in &open.taken {
            self.lake.quarantined().remove(&ready.entry.location).await?;
            report.note(&ready.entry, Fate::Sent);
        }
        Ok(())
    }
}

/// Only a lake knows of another process that was ahead.
fn misled(shard: &ShardId) -> RouteError {
    RouteError {
        doing: format!("send records of shard {shard} back"),
        hint: "the route says that another process has sent them; run the command again".to_owned(),
        may_pass: true,
        source: None,
    }
}
