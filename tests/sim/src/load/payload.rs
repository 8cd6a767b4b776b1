//! Finds changes in whatever a client made of them (pure).
//!
//! What is understood: a record's data is one event, or several events with a line feed behind each, or a KPL aggregate of such data. An
//! event is text in any form, flat or nested, JSON or not, as long as it holds the marks of its images unchanged: both for a modification,
//! the new one for an insert, the old one for a remove, each any number of times. An event over several lines, several events on one line
//! and compressed data are not understood and count as unknown. The checksum of an aggregate is not checked.

use memchr::memmem::Finder;

use super::digits::number;
use super::plan::Plan;
use crate::kinesis::aggregate;

/// `hw~0000000042~000003~` behind its first three characters.
const ITEM_DIGITS: usize = 10;
const VERSION_DIGITS: usize = 6;

/// An event that was received: the item and the index of its change, or `None` when it is no change of the load.
pub(super) type Found = Option<(usize, usize)>;

/// Finds the changes of a plan.
#[derive(Debug)]
pub(super) struct Reader {
    marks: Finder<'static>,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { marks: Finder::new(b"hw~") }
    }

    /// Gives every event of a record's data to `each`, in order.
    pub(super) fn events(&self, plan: &Plan, data: &[u8], each: &mut impl FnMut(Found)) {
        match aggregate::unpack_unchecked(data) {
            None => self.lines(plan, data, each),
            // A record that is broken inside is one event that nothing is known of.
            Some(None) => each(None),
            Some(Some(packed)) => packed.iter().for_each(|packed| self.lines(plan, packed.data, each)),
        }
    }

    fn lines(&self, plan: &Plan, data: &[u8], each: &mut impl FnMut(Found)) {
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', data).chain([data.len()]) {
            let line = data[begin..end].trim_ascii();
            if !line.is_empty() {
                each(self.event(plan, line));
            }
            begin = end + 1;
        }
    }

    fn event(&self, plan: &Plan, line: &[u8]) -> Found {
        let mut marks = self.marks.find_iter(line).filter_map(|place| mark(&line[place + 3..]));
        let (item, first) = marks.next()?;
        let (mut low, mut high) = (first, first);
        for (other, version) in marks {
            if other != item {
                return None;
            }
            (low, high) = (low.min(version), high.max(version));
        }
        Some((item, plan.history(item)?.index_of(low, high)?))
    }
}

/// Item and version of a mark.
fn mark(text: &[u8]) -> Option<(usize, usize)> {
    let (item, rest) = text.split_at_checked(ITEM_DIGITS)?;
    let (version, rest) = rest.strip_prefix(b"~")?.split_at_checked(VERSION_DIGITS)?;
    (rest.first() == Some(&b'~')).then_some((number(item)?, number(version)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinesis::aggregate::tests::sealed;
    use crate::load::plan::{Change, LOT_CHANGES};

    fn plan() -> Plan {
        Plan::new(1, 1, LOT_CHANGES).unwrap()
    }

    fn events(data: &[u8]) -> Vec<Found> {
        let mut events = Vec::new();
        Reader::new().events(&plan(), data, &mut |found| events.push(found));
        events
    }

    /// An item whose history has a remove, and the texts of its first life's changes.
    fn a_life() -> (usize, Vec<String>) {
        let plan = plan();
        let item = (0..1_000).find(|item| plan.pattern(*item).length >= plan.pattern(*item).life).unwrap();
        let history = plan.pattern(item);
        let mark = |version: usize| format!("hw~{item:010}~{version:06}~");
        let texts = (0..history.life).map(|index| match history.change(index) {
            Change::Insert { new } => format!(r#"{{"order_id":"x","trail":"{}"}}"#, mark(new)),
            Change::Modify { old, new } => format!(r#"{{"extra":"{{\"trail\":\"{}\"}}","old_trail":"{}"}}"#, mark(new), mark(old)),
            Change::Remove { old } => format!("{};{}", mark(old), mark(old)),
        });
        (item, texts.collect())
    }

    #[test]
    fn every_change_is_found_in_whatever_form_and_order_its_marks_come() {
        let (item, texts) = a_life();
        for (index, text) in texts.iter().enumerate() {
            assert_eq!(events(text.as_bytes()), [Some((item, index))], "{text}");
        }
    }

    #[test]
    fn several_lines_are_several_events_and_blank_ones_are_none() {
        let (item, texts) = a_life();
        let expected: Vec<Found> = (0..texts.len()).map(|index| Some((item, index))).collect();
        assert_eq!(events(texts.join("\n").as_bytes()), expected);
        assert_eq!(events((texts.join("\r\n\n") + "\n").as_bytes()), expected);
        assert_eq!(events(b" \n"), []);
    }

    #[test]
    fn what_is_no_change_is_unknown() {
        let (item, _) = a_life();
        let marks = |versions: &[(usize, usize)]| {
            let marks = versions.iter().map(|(item, version)| format!("hw~{item:010}~{version:06}~"));
            marks.collect::<Vec<_>>().join(" ")
        };
        let unknown = [
            "no mark at all".to_owned(),
            marks(&[(item, 1), (item, 3)]),
            marks(&[(item, 1), (item + 1, 2)]),
            marks(&[(item, 0)]),
            marks(&[(999_999_999, 1)]),
            marks(&[(item, 100)]),
            "hw~000000000x~000001~".to_owned(),
            "hw~0000000001~00001~".to_owned(),
            "hw~0000000001~000001".to_owned(),
        ];
        for text in unknown {
            assert_eq!(events(text.as_bytes()), [None], "{text}");
        }
    }

    #[test]
    fn a_kpl_aggregate_is_taken_apart() {
        let (item, texts) = a_life();
        // Sub-records without a line feed: only the aggregate's own structure tells them apart.
        let mut message = b"\x0a\x03pk1".to_vec();
        for text in &texts {
            let length = u8::try_from(text.len()).unwrap();
            assert!(length < 0x80 - 5);
            message.extend_from_slice(&[0x1a, length + 4, 0x08, 0x00, 0x1a, length]);
            message.extend_from_slice(text.as_bytes());
        }
        let data = sealed(&message);
        let expected: Vec<Found> = (0..texts.len()).map(|index| Some((item, index))).collect();
        assert_eq!(events(&data), expected);
        let broken = sealed(&message[..message.len() - 1]);
        assert_eq!(events(&broken).last(), Some(&None), "a broken aggregate does not pass for a whole one");
    }

    #[test]
    fn data_of_400_kilobytes_is_read() {
        let (item, texts) = a_life();
        let text = format!("{{\"long\":\"{}\",{}", "hw".repeat(200_000), texts[0]);
        assert_eq!(events(text.as_bytes()), [Some((item, 0))]);
    }
}
