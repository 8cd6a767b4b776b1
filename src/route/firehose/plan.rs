//! What one PutRecordBatch carries. Pure.
//!
//! Firehose bills a record by its size rounded up to 5 KB (Amazon Data Firehose pricing). An event of a few hundred bytes alone in a record
//! costs as much as ten of them in one, so events share a record as long as that adds no further step.

/// The largest record, before base64: 1,000 KiB (Amazon Data Firehose Developer Guide, "Quota").
pub(super) const LARGEST_RECORD: usize = 1_000 << 10;
/// What a record's size is rounded up to on the bill.
pub(super) const BILLING_STEP: usize = 5 << 10;
/// The most records of a call.
const MOST_RECORDS: usize = 500;
/// The most data of a call that the service takes. The guide says 4 MiB and the API reference 4 MB: the smaller one holds in either reading.
pub(super) const LARGEST_CALL: usize = 4_000_000;

/// A record that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlannedRecord<Id> {
    /// The events in it, in their order.
    pub(super) events: Vec<Id>,
    /// Their bytes.
    pub(super) bytes: usize,
}

impl<Id> PlannedRecord<Id> {
    fn holds_without_cost(&self, bytes: usize) -> bool {
        steps(self.bytes + bytes) == steps(self.bytes)
    }
}

/// How many steps of 5 KB a record of this size is billed as.
fn steps(bytes: usize) -> usize {
    bytes.div_ceil(BILLING_STEP).max(1)
}

/// The records of the next call: as many of the pending events as a call may carry, oldest first. An event that no record can hold is left
/// out and keeps nobody back.
///
/// `pending` is the events and their sizes. Without `packing` each has a record of its own. A call has at most `largest` bytes, unless its first
/// event has more.
pub(super) fn plan<Id>(pending: impl IntoIterator<Item = (Id, usize)>, packing: bool, largest: usize) -> Vec<PlannedRecord<Id>> {
    let mut records: Vec<PlannedRecord<Id>> = Vec::new();
    let mut total = 0;
    for (id, bytes) in pending {
        if bytes > LARGEST_RECORD {
            continue;
        }
        if total > 0 && total + bytes > largest {
            break;
        }
        if let Some(last) = records.last_mut().filter(|last| packing && last.holds_without_cost(bytes)) {
            last.events.push(id);
            last.bytes += bytes;
        } else if records.len() < MOST_RECORDS {
            records.push(PlannedRecord { events: vec![id], bytes });
        } else {
            break;
        }
        total += bytes;
    }
    records
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn sizes(records: &[PlannedRecord<usize>]) -> Vec<(Vec<usize>, usize)> {
        records.iter().map(|record| (record.events.clone(), record.bytes)).collect()
    }

    fn plan_of(pending: &[usize], packing: bool) -> Vec<PlannedRecord<usize>> {
        plan(pending.iter().copied().enumerate(), packing, LARGEST_CALL)
    }

    #[test]
    fn events_share_a_record_up_to_the_next_billing_step() {
        assert_eq!(sizes(&plan_of(&[2_000, 3_000, 120, 1], true)), [(vec![0, 1, 2], 5_120), (vec![3], 1)]);
        assert_eq!(sizes(&plan_of(&[5_121, 5_000, 200], true)), [(vec![0, 1], 10_121), (vec![2], 200)], "the second step is paid for");
        assert_eq!(sizes(&plan_of(&[LARGEST_RECORD, 1], true)), [(vec![0], LARGEST_RECORD), (vec![1], 1)]);
    }

    #[test]
    fn without_packing_each_event_has_a_record_of_its_own() {
        assert_eq!(sizes(&plan_of(&[1, 1, 1], false)), [(vec![0], 1), (vec![1], 1), (vec![2], 1)]);
    }

    #[test]
    fn a_call_may_be_kept_smaller_than_the_service_takes_but_not_empty() {
        let sizes = |largest| plan([10, 900, 10, 10].into_iter().enumerate(), false, largest).len();
        assert_eq!((sizes(5), sizes(900), sizes(920), sizes(1_000)), (1, 1, 3, 4));
    }

    #[test]
    fn a_call_ends_before_either_limit_is_passed() {
        assert_eq!(plan_of(&[1; 501], false).len(), 500);
        assert_eq!(plan_of(&[LARGEST_RECORD; 5], true).len(), 3);
        assert_eq!(plan_of(&[5_000; 501], true).len(), 500);
        assert_eq!(plan_of(&vec![1_000; 3_000], true).iter().map(|record| record.events.len()).sum::<usize>(), 2_500);
    }

    fn event() -> impl Strategy<Value = usize> {
        prop_oneof![
            8 => 1..3_000_usize,
            4 => 1..20_000_usize,
            1 => (LARGEST_RECORD - 2_000)..=LARGEST_RECORD,
            1 => (LARGEST_RECORD + 1)..(2 * LARGEST_RECORD),
            1 => Just(0),
        ]
    }

    proptest! {
        #[test]
        fn limits_hold_and_every_event_goes_exactly_once(events in vec(event(), 0..1_200), packing in any::<bool>()) {
            let mut left: Vec<(usize, usize)> = events.iter().copied().enumerate().collect();
            let mut sent = Vec::new();
            loop {
                let records = plan(left.iter().copied(), packing, LARGEST_CALL);
                if records.is_empty() {
                    break;
                }
                prop_assert!(records.len() <= 500);
                prop_assert!(records.iter().map(|record| record.bytes).sum::<usize>() <= 4 << 20);
                for record in &records {
                    prop_assert!(record.bytes <= 1_024_000);
                    prop_assert_eq!(record.bytes, record.events.iter().map(|event| events[*event]).sum::<usize>());
                    prop_assert!(packing || record.events.len() == 1);
                    prop_assert_eq!(steps(record.bytes), steps(events[record.events[0]]), "what joins a record is free");
                }
                let call: Vec<usize> = records.into_iter().flat_map(|record| record.events).collect();
                let acknowledged: BTreeSet<usize> = call.iter().copied().collect();
                left.retain(|(event, _)| !acknowledged.contains(event));
                sent.extend(call);
            }
            let fitting: Vec<usize> = (0..events.len()).filter(|event| events[*event] <= LARGEST_RECORD).collect();
            prop_assert_eq!(sent, fitting, "in order, and none is kept back by one that no record can hold");
        }

        #[test]
        fn packing_never_costs_more(events in vec(event(), 0..400)) {
            let bill = |packing| -> usize {
                let mut left: Vec<(usize, usize)> = events.iter().copied().enumerate().collect();
                let mut bill = 0;
                loop {
                    let records = plan(left.iter().copied(), packing, LARGEST_CALL);
                    let Some(last) = records.last().and_then(|record| record.events.last()).copied() else { return bill };
                    bill += records.iter().map(|record| steps(record.bytes)).sum::<usize>();
                    left.retain(|(event, _)| *event > last);
                }
            };
            prop_assert!(bill(true) <= bill(false));
        }
    }
}
