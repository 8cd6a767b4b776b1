//! The records of a lot as JSON, rendered once; a page is copied from there and its numbers written over (pure).
//!
//! Everything in a record follows from its place in the pattern but the number of its lot, which is a part of every key, mark, sequence
//! number and event id, and the time. Both have a fixed width. So serving a page costs a copy and a few digits a record, and a load of any
//! length takes the memory of one lot.

use memchr::memmem;

use super::digits::digits;
use super::order::{LOT, Profile, image, key};
use super::plan::{Change, LOT_CHANGES, LOT_DIGITS, Plan};
use crate::item::Item;

/// Stands where the time goes: seconds since the epoch.
const SECONDS: &str = "@SECONDS@@";
/// Digits of a time until the year 2286.
const SECONDS_DIGITS: usize = 10;
/// The head of every sequence number; the lot, four digits of the place in the lot, and three more follow.
const SEQUENCE_HEAD: &str = "6000000000";
/// How many of the removes are the work of time to live.
const EXPIRED_OF_TEN: u8 = 2;
/// The Region that the records come from.
pub(super) const REGION: &str = "us-east-1";

/// The records of one lot, with gaps for the number of the lot and the times.
#[derive(Debug)]
pub(super) struct Template {
    /// The records, each followed by a comma.
    json: Vec<u8>,
    records: Vec<Record>,
    /// Where the number of the lot goes.
    lots: Vec<usize>,
}

#[derive(Debug)]
struct Record {
    /// Behind its comma.
    end: usize,
    /// Where its seconds go.
    time: usize,
    /// How many of the places of the lot's number lie in this record and those before it.
    lots: usize,
    /// The last three digits of its sequence number.
    tail: usize,
}

impl Template {
    /// Renders the plan's pattern, as much of it as the longest shard needs.
    pub(super) fn render(plan: &Plan, profile: Profile, seed: u64) -> Self {
        let steps = &plan.steps()[..LOT_CHANGES.min(plan.records_of(0))];
        let mut template = Self { json: Vec::new(), records: Vec::with_capacity(steps.len()), lots: Vec::new() };
        let mut rng = fastrand::Rng::with_seed(!seed);
        for (place, step) in steps.iter().enumerate() {
            let history = plan.pattern(step.item);
            let image = |version| image(seed, profile, history, step.item, version);
            let (name, new, old) = match history.change(step.index) {
                Change::Insert { new } => ("INSERT", Some(image(new)), None),
                Change::Modify { old, new } => ("MODIFY", Some(image(new)), Some(image(old))),
                Change::Remove { old } => ("REMOVE", None, Some(image(old))),
            };
            let expired = name == "REMOVE" && rng.u8(..10) < EXPIRED_OF_TEN;
            let tail = rng.usize(..1_000);
            let change = Rendered { name, keys: &key(step.item), new: new.as_ref(), old: old.as_ref(), expired };
            let id = format!("{:016x}{:09x}{LOT}", rng.u64(..), rng.u64(..1 << 36));
            template.push(&change.json(&id, &format!("{SEQUENCE_HEAD}{LOT}{place:04}{tail:03}")), tail);
        }
        template
    }

    fn push(&mut self, json: &str, tail: usize) {
        let begin = self.json.len();
        self.lots.extend(memmem::find_iter(json.as_bytes(), LOT).map(|place| begin + place));
        let time = begin + json.find(SECONDS).unwrap_or_default();
        self.json.extend_from_slice(json.as_bytes());
        self.json.push(b',');
        self.records.push(Record { end: self.json.len(), time, lots: self.lots.len(), tail });
    }

    /// Where a page ends that begins with the record at `from`: behind at most `limit` records and `room` bytes.
    pub(super) fn page_end(&self, from: usize, limit: usize, room: usize) -> usize {
        let last = self.records.len().min(from.saturating_add(limit));
        let begin = self.start(from);
        from + self.records[from..last].partition_point(|record| record.end - begin <= room)
    }

    /// The bytes of records, commas among them.
    pub(super) fn bytes(&self, from: usize, to: usize) -> usize {
        self.start(to) - self.start(from)
    }

    /// Appends the records from `from` to before `to`, each with a comma behind it. `seconds` gives the time of the n-th of them.
    pub(super) fn write(&self, out: &mut Vec<u8>, lot: usize, from: usize, to: usize, seconds: impl Fn(usize) -> usize) {
        let (begin, at) = (self.start(from), out.len());
        out.extend_from_slice(&self.json[begin..self.start(to)]);
        let page = &mut out[at..];
        let lot: [u8; LOT_DIGITS] = digits(lot);
        for place in &self.lots[self.lots_before(from)..self.lots_before(to)] {
            page[place - begin..][..LOT_DIGITS].copy_from_slice(&lot);
        }
        let mut written = (0, digits::<SECONDS_DIGITS>(0));
        for (n, record) in self.records[from..to].iter().enumerate() {
            let time = seconds(n);
            if time != written.0 {
                written = (time, digits(time));
            }
            page[record.time - begin..][..SECONDS_DIGITS].copy_from_slice(&written.1);
        }
    }

    /// A record's sequence number.
    pub(super) fn sequence(&self, lot: usize, place: usize) -> String {
        format!("{SEQUENCE_HEAD}{lot:07}{place:04}{:03}", self.records[place].tail)
    }

    /// The lot of a sequence number, and the place in it; `None` when no record has that number, as far as the pattern tells.
    pub(super) fn find(&self, sequence: &str) -> Option<(usize, usize)> {
        let number = super::digits::number;
        let (lot, rest) = sequence.strip_prefix(SEQUENCE_HEAD)?.as_bytes().split_at_checked(LOT_DIGITS)?;
        let (place, tail) = rest.split_at_checked(4)?;
        let (lot, place) = (number(lot)?, number(place)?);
        (tail.len() == 3 && number(tail)? == self.records.get(place)?.tail).then_some((lot, place))
    }

    fn start(&self, record: usize) -> usize {
        record.checked_sub(1).map_or(0, |before| self.records[before].end)
    }

    fn lots_before(&self, record: usize) -> usize {
        record.checked_sub(1).map_or(0, |before| self.records[before].lots)
    }
}

/// A record on its way into its JSON.
struct Rendered<'a> {
    name: &'static str,
    keys: &'a Item,
    new: Option<&'a Item>,
    old: Option<&'a Item>,
    expired: bool,
}

impl Rendered<'_> {
    fn json(&self, id: &str, sequence: &str) -> String {
        let image = |name: &str, image: Option<&Item>| image.map_or_else(String::new, |image| format!(r#","{name}":{}"#, json(image)));
        let images = image("NewImage", self.new) + &image("OldImage", self.old);
        let (name, keys) = (self.name, json(self.keys));
        let size = keys.len() + images.len();
        let by = if self.expired { r#","userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"}"# } else { "" };
        let change = format!(
            r#"{{"ApproximateCreationDateTime":{SECONDS},"Keys":{keys}{images},"SequenceNumber":"{sequence}","SizeBytes":{size},"StreamViewType":"NEW_AND_OLD_IMAGES"}}"#
        );
        format!(
            r#"{{"awsRegion":"{REGION}","dynamodb":{change},"eventID":"{id}","eventName":"{name}","eventSource":"aws:dynamodb","eventVersion":"1.1"{by}}}"#
        )
    }
}

/// The JSON of an item, whose texts and numbers always have one.
fn json(item: &Item) -> String {
    serde_json::to_string(item).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::plan::LOT_ITEMS;

    fn template(profile: Profile, records: usize) -> (Plan, Template) {
        let plan = Plan::new(1, 1, records).unwrap();
        let template = Template::render(&plan, profile, 1);
        (plan, template)
    }

    fn written(template: &Template, lot: usize, from: usize, to: usize) -> Vec<serde_json::Value> {
        let mut out = b"[".to_vec();
        template.write(&mut out, lot, from, to, |n| 1_700_000_000 + n);
        out.pop();
        out.push(b']');
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn every_record_carries_its_lot_and_its_time() {
        let (plan, template) = template(Profile::Rich, 500);
        for (from, to) in [(0, 3), (321, 330), (498, 500)] {
            for (n, record) in written(&template, 1_234_567, from, to).iter().enumerate() {
                let change = &record["dynamodb"];
                let item = 1_234_567 * LOT_ITEMS + plan.steps()[from + n].item;
                assert_eq!(change["ApproximateCreationDateTime"], 1_700_000_000 + n);
                assert_eq!(change["Keys"]["order_id"]["S"], format!("ord-{item:010}"));
                assert_eq!(template.find(change["SequenceNumber"].as_str().unwrap()), Some((1_234_567, from + n)));
                assert_eq!(change["SequenceNumber"], template.sequence(1_234_567, from + n));
                let images = ["NewImage", "OldImage"].iter().filter_map(|name| change.get(name));
                let marks: Vec<&str> = images.clone().map(|image| image["trail"]["S"].as_str().unwrap()).collect();
                assert!(images.clone().all(|image| image["order_id"] == change["Keys"]["order_id"]));
                assert!(marks.iter().all(|mark| mark.starts_with(&format!("hw~{item:010}~"))), "{marks:?}");
                assert_eq!(marks.len(), if record["eventName"] == "MODIFY" { 2 } else { 1 });
            }
        }
    }

    #[test]
    fn nothing_of_the_template_shows_in_a_lot() {
        for profile in [Profile::Lean, Profile::Order, Profile::Rich] {
            let (_, template) = template(profile, 500);
            let mut out = Vec::new();
            template.write(&mut out, 7, 0, 500, |_| 1_700_000_000);
            assert_eq!(memmem::find(&out, LOT.as_bytes()), None);
            assert_eq!(memmem::find(&out, SECONDS.as_bytes()), None);
        }
    }

    #[test]
    fn event_ids_are_32_characters_and_unique() {
        let (_, template) = template(Profile::Lean, LOT_CHANGES);
        let records: Vec<_> = [0, 1].iter().flat_map(|lot| written(&template, *lot, 0, LOT_CHANGES)).collect();
        let ids: std::collections::BTreeSet<&str> = records.iter().filter_map(|record| record["eventID"].as_str()).collect();
        assert_eq!(ids.len(), 2 * LOT_CHANGES);
        assert!(ids.iter().all(|id| id.len() == 32));
        let expired = records.iter().filter(|record| record["userIdentity"]["PrincipalId"] == "dynamodb.amazonaws.com").count();
        let removed = records.iter().filter(|record| record["eventName"] == "REMOVE").count();
        assert!(0 < expired && expired < removed / 2, "{expired} of {removed} removes by time to live");
    }

    #[test]
    fn a_number_that_no_record_has_is_not_found() {
        let (_, template) = template(Profile::Lean, LOT_CHANGES);
        let mut other = template.sequence(3, 10);
        let last = other.pop().unwrap();
        assert_eq!(template.find(&other), None);
        other.push(if last == '9' { '0' } else { '9' });
        assert_eq!(template.find(&other), None);
        assert_eq!(template.find("12"), None);
    }

    #[test]
    fn a_page_ends_at_the_limit_or_where_the_room_ends() {
        let (_, template) = template(Profile::Lean, LOT_CHANGES);
        assert_eq!(template.page_end(10, 5, usize::MAX), 15);
        assert_eq!(template.page_end(LOT_CHANGES - 1, 1_000, usize::MAX), LOT_CHANGES);
        let room = template.bytes(10, 13);
        assert_eq!(template.page_end(10, 5, room), 13);
        assert_eq!(template.page_end(10, 5, room - 1), 12);
    }
}
