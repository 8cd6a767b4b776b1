//! What the gap ledger tells of snapshots: gap-closes.

use crate::check::ledger::Closing;
use crate::check::{Checker, Invariant};
use crate::item::Item;
use crate::journal::Entry;

impl Checker {
    /// An entry of a gap ledger was written, or something else. Only a complete snapshot of the whole table closes a gap, and only one whose rows show
    /// the table after the gap was found.
    pub(super) fn gap_written(&mut self, entry: &Entry, table: &str, key: &str, new: Option<&Item>) {
        let place = (table.to_owned(), key.to_owned());
        let Some(now) = new.and_then(Closing::read) else {
            self.snapshots.gaps.remove(&place);
            return;
        };
        let before = self.snapshots.gaps.insert(place, now.clone());
        // What is lost once more at the same place opens the entry again.
        let before = before.filter(|before| now.closed_by.is_some() || now.found_at <= before.found_at).and_then(|before| before.closed_by);
        let wrong = match (&before, &now.closed_by) {
            (before, after) if before == after => None,
            (Some(before), _) => Some(format!("it had been closed by {before}")),
            (None, None) => None,
            (None, Some(id)) => {
                self.findings.count("gaps closed");
                let marker = self.snapshots.known.get(id).and_then(|known| known.marker.as_ref());
                match marker {
                    None => Some(format!("the snapshot {id} is not complete")),
                    Some(marker) if !marker.whole => Some(format!("the snapshot {id} is not of the whole table")),
                    Some(marker) if marker.started_at <= now.found_at => Some(format!(
                        "the snapshot {id} shows the table from {} on, and the gap was found at {}",
                        marker.started_at, now.found_at
                    )),
                    Some(_) => None,
                }
            }
        };
        if let Some(wrong) = wrong {
            let what = format!("{} wrote that {:?} closes {key}: {wrong}", entry.worker, now.closed_by);
            self.findings.violate(Invariant::GapCloses, entry.at, what);
        }
    }
}
