//! What goes wrong on the way to a service, on the way back and inside it: rules, and the decision which call meets which fault.
//!
//! A decision hashes the seed, the rule's number, the operation, the caller and how many of its calls the rule has seen. So the same calls of a
//! worker meet the same faults whatever other workers do meanwhile. Deciding has no effects; the server carries the decision out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

mod decision;
mod draw;
mod pause;
mod rule;
mod script;
mod service;
mod spelling;

pub use decision::{Ending, Instead, Plan, Subject};
pub use rule::{Chance, Fault, RecordError, Rule};
pub use script::{InvalidRule, Script};
pub use service::Service;
pub use spelling::{ServerError, Throttle};

use crate::clock::Clock;
use decision::Tally;
use pause::Pause;
pub(crate) use pause::Turn;

/// The faults of one simulated account. Clones share them, and they can be changed while the server runs.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    script: Script,
    /// What each rule has seen.
    tallies: Vec<Tally>,
    injected: BTreeMap<&'static str, u64>,
    pauses: BTreeMap<String, Pause>,
}

impl Faults {
    /// No rules yet; chances are drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        let faults = Self::default();
        faults.set(Script { seed, rules: Vec::new() });
        faults
    }

    /// Takes these rules in place of all others, as if they had seen no call yet.
    pub fn set(&self, script: Script) {
        let mut state = self.lock();
        state.tallies = script.rules.iter().map(|_| Tally::default()).collect();
        state.script = script;
    }

    /// Adds a rule behind the others.
    pub fn add(&self, rule: Rule) {
        let mut state = self.lock();
        state.script.rules.push(rule);
        state.tallies.push(Tally::default());
    }

    /// Drops all rules. Pauses last.
    pub fn clear(&self) {
        let seed = self.lock().script.seed;
        self.set(Script { seed, rules: Vec::new() });
    }

    /// The seed and the rules in force.
    pub fn script(&self) -> Script {
        self.lock().script.clone()
    }

    /// How often each kind of fault struck so far. A fault inside a service counts once it made a difference: a page that would have been
    /// empty anyway is none.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.lock().injected.clone()
    }

    /// All requests of a worker wait before their effect until the clock shows `until` (milliseconds since the epoch), then take effect at once
    /// in the order in which they arrived: a process that stands still, or a network that is cut. A later pause of that worker
    /// replaces this one, be it longer or shorter.
    pub fn pause(&self, worker: &str, until: i64) {
        self.lock().pauses.entry(worker.to_owned()).or_insert_with(|| Pause::until(until)).set(until);
    }

    /// What this call meets.
    pub fn decide(&self, subject: &Subject<'_>) -> Plan {
        let mut state = self.lock();
        let State { script, tallies, injected, .. } = &mut *state;
        let mut plan = Plan::default();
        for ((number, rule), tally) in script.rules.iter().enumerate().zip(tallies) {
            if let Some(call) = rule.strikes(script.seed, number, subject, tally) {
                plan.add(&rule.fault, subject, (script.seed, number, call));
            }
        }
        plan.settle();
        for (kind, _) in plan.certain() {
            *injected.entry(kind).or_default() += 1;
        }
        plan
    }

    /// Counts the faults inside the service that made a difference to a call, after its effect.
    pub fn count_shown(&self, plan: &Plan) {
        let mut state = self.lock();
        for (kind, _) in plan.shown() {
            *state.injected.entry(kind).or_default() += 1;
        }
    }

    /// The turn of a request whose worker is paused; none when nothing holds it up.
    pub(crate) fn turn(&self, worker: &str, clock: &Clock) -> Option<Turn> {
        let mut state = self.lock();
        let pause = state.pauses.get(worker)?;
        if pause.is_over(clock.now()) {
            state.pauses.remove(worker);
            return None;
        }
        Some(pause.turn())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Quirks;
    use bytes::Bytes;
    use serde_json::json;

    fn subject<'a>(operation: &'a str, worker: &'a str, body: &'a Bytes) -> Subject<'a> {
        let service = Service::ALL.into_iter().find(|service| service.operations().contains(&operation));
        Subject { service, operation, worker, now: 0, path: "", body }
    }

    fn faults(rules: &serde_json::Value) -> Faults {
        let faults = Faults::default();
        faults.set(serde_json::from_value(json!({"seed": 7, "rules": rules})).unwrap());
        faults
    }

    /// Which of a worker's first calls of GetRecords are struck.
    fn struck(faults: &Faults, worker: &str, calls: usize) -> Vec<usize> {
        (0..calls).filter(|_| faults.decide(&subject("GetRecords", worker, &Bytes::new())) != Plan::default()).collect()
    }

    #[test]
    fn the_same_calls_meet_the_same_faults_whatever_others_do() {
        let rules = json!([{"operation": "*", "fault": "reset", "chance": {"probability": 0.2}}]);
        let (alone, busy) = (faults(&rules), faults(&rules));
        let expected: Vec<bool> = (0..200).map(|_| !struck(&alone, "a", 1).is_empty()).collect();
        let among_others: Vec<bool> = (0..200)
            .map(|_| {
                struck(&busy, "b", 3);
                busy.decide(&subject("PutItem", "a", &Bytes::new()));
                !struck(&busy, "a", 1).is_empty()
            })
            .collect();
        assert_eq!(expected, among_others);
        assert!((20..60).contains(&expected.iter().filter(|struck| **struck).count()), "about a fifth");
    }

    #[test]
    fn a_script_strikes_the_calls_that_it_names() {
        let faults =
            faults(&json!([{"operation": "GetRecords", "fault": {"throttle": "LimitExceededException"}, "chance": {"calls": [2, 4]}}]));
        assert_eq!(struck(&faults, "a", 5), [1, 3]);
        assert_eq!(faults.counts(), BTreeMap::from([("throttle", 2)]));
        faults.set(faults.script());
        assert_eq!(struck(&faults, "a", 5), [1, 3], "rules that are set anew have seen no call");
        faults.clear();
        assert!(struck(&faults, "a", 5).is_empty());
    }

    #[test]
    fn a_rule_may_ask_for_a_worker_a_time_and_a_resource() {
        let faults =
            faults(&json!([{"operation": "PutItem", "worker": "a", "resource": "lease", "from": 10, "until": 20, "fault": "reset",
            "chance": {"probability": 1.0}}]));
        let hit = |worker: &str, now: i64, body: &'static str| {
            let body = Bytes::from_static(body.as_bytes());
            faults.decide(&Subject { now, ..subject("PutItem", worker, &body) }).instead == Some(Instead::Reset)
        };
        let leases = r#"{"Item": {"a": {"S": "orders"}}, "TableName": "orders-leases"}"#;
        assert!(hit("a", 10, leases));
        assert!(!hit("b", 10, leases));
        assert!(!hit("a", 9, leases));
        assert!(!hit("a", 20, leases));
        assert!(!hit("a", 10, r#"{"Item": {"a": {"S": "lease"}}, "TableName": "orders"}"#));
        let object = Subject { path: "/lake/orders/lease.json", now: 10, ..subject("PutItem", "a", &Bytes::new()) }.names("orders/");
        assert!(object, "an object is named by its path");
    }

    #[test]
    fn a_rule_for_every_operation_leaves_those_alone_that_cannot_meet_its_fault() {
        let faults = faults(&json!([{"operation": "*", "fault": {"short_page": 3}, "chance": {"probability": 1.0}}]));
        let body = Bytes::new();
        assert_eq!(faults.decide(&subject("GetRecords", "a", &body)).quirks.short_page, Some(3));
        assert_eq!(faults.decide(&subject("PutRecords", "a", &body)), Plan::default());
        assert_eq!(faults.counts(), BTreeMap::new(), "whether the page was any shorter is for the service to tell");
    }

    #[test]
    fn failed_records_are_drawn_among_those_of_the_batch() {
        let fault = json!({"fail_records": {"probability": 0.5, "code": "InternalFailure"}});
        let faults = faults(&json!([{"operation": "PutRecords", "fault": fault, "chance": {"probability": 1.0}}]));
        let records = vec![json!({"Data": "", "PartitionKey": "k"}); 40];
        let body = Bytes::from(json!({"Records": records, "StreamName": "s"}).to_string());
        let [one, next] = [(); 2].map(|()| faults.decide(&subject("PutRecords", "a", &body)).quirks.failed_records);
        assert!((5..35).contains(&one.len()));
        assert!(one.iter().all(|(at, code)| *at < 40 && *code == "InternalFailure"));
        assert_ne!(one, next, "each call has its own draw");
        let empty = Bytes::from_static(br#"{"Records": []}"#);
        assert_eq!(faults.decide(&subject("PutRecords", "a", &empty)), Plan::default());
    }

    #[test]
    fn faults_that_strike_together_add_up() {
        let all = json!({"probability": 1.0});
        let faults = faults(&json!([
            {"operation": "*", "fault": {"delay": {"ms": 5}}, "chance": all},
            {"operation": "*", "fault": "lose_answer", "chance": all},
            {"operation": "*", "fault": {"delay": {"ms": 2}}, "chance": all},
            {"operation": "*", "fault": "truncate", "chance": all},
        ]));
        let plan = faults.decide(&subject("GetRecords", "a", &Bytes::new()));
        assert_eq!((plan.delay.as_millis(), plan.ending, plan.heard_after()), (7, Some(Ending::Lost), None));
        let words: Vec<&str> = plan.certain().map(|(_, words)| words).collect();
        assert_eq!(words, ["arrives 5 ms late", "takes effect, the answer is lost", "arrives 2 ms late"]);
    }

    #[test]
    fn a_call_that_is_answered_in_its_effect_s_stead_meets_nothing_behind_that() {
        let all = json!({"probability": 1.0});
        let faults = faults(&json!([
            {"operation": "*", "fault": "lose_answer", "chance": all},
            {"operation": "*", "fault": "empty_page", "chance": all},
            {"operation": "*", "fault": {"delay": {"ms": 5}}, "chance": all},
            {"operation": "*", "fault": {"throttle": "LimitExceededException"}, "chance": all},
            {"operation": "*", "fault": "reset", "chance": all},
        ]));
        let plan = faults.decide(&subject("GetRecords", "a", &Bytes::new()));
        assert_eq!((plan.ending, &plan.quirks), (None, &Quirks::default()));
        let words: Vec<&str> = plan.certain().map(|(_, words)| words).collect();
        assert_eq!(words, ["arrives 5 ms late", "throttled with LimitExceededException"]);
        assert_eq!(faults.counts(), BTreeMap::from([("delay", 1), ("throttle", 1)]));
    }

    #[test]
    fn when_an_answer_is_heard_follows_from_what_becomes_of_it() {
        let heard = |fault: serde_json::Value| {
            let faults = faults(&json!([{"operation": "*", "fault": fault, "chance": {"probability": 1.0}}]));
            faults.decide(&subject("PutRecords", "a", &Bytes::new())).heard_after()
        };
        assert_eq!(heard(json!({"delay": {"ms": 5}})), Some(0));
        assert_eq!(heard(json!({"hang": {"ms": 5_000}})), Some(5_000));
        assert_eq!(heard(json!({"slow": {"pieces": 4, "ms": 9}})), Some(36));
        for lost in [json!({"hang": {}}), json!("lose_answer"), json!("truncate")] {
            assert_eq!(heard(lost), None);
        }
    }

    #[test]
    fn a_quirk_counts_when_it_made_a_difference() {
        let faults = faults(&json!([{"operation": "*", "fault": "empty_page", "chance": {"probability": 1.0}}]));
        let plan = faults.decide(&subject("GetRecords", "a", &Bytes::new()));
        faults.count_shown(&plan);
        assert_eq!(faults.counts(), BTreeMap::new());
        plan.quirks.bite("empty_page");
        faults.count_shown(&plan);
        assert_eq!(faults.counts(), BTreeMap::from([("empty_page", 1)]));
        assert_eq!(plan.shown().collect::<Vec<_>>(), [("empty_page", "an empty page")]);
    }

    #[test]
    fn a_rule_may_ask_for_a_service() {
        let rule = json!({"operation": "GetRecords", "service": "kinesis", "fault": "reset", "chance": {"probability": 1.0}});
        let faults = faults(&json!([rule]));
        let body = Bytes::new();
        let hit = |service| faults.decide(&Subject { service, ..subject("GetRecords", "a", &body) }).instead.is_some();
        assert!(hit(Some(Service::Kinesis)));
        assert!(!hit(Some(Service::DynamoDbStreams)));
    }

    #[test]
    fn rules_read_as_they_are_written() {
        let text = r#"{"seed":1,"rules":[
            {"operation":"*","fault":{"server_error":"503"},"chance":{"probability":0.1}},
            {"operation":"*","fault":{"hang":{}},"chance":{"calls":[1]}},
            {"operation":"*","fault":{"slow":{"pieces":4,"ms":9}},"chance":{"calls":[1]}},
            {"operation":"DescribeStream","fault":"parents_look_open","chance":{"calls":[1]}}]}"#;
        let script: Script = serde_json::from_str(text).unwrap();
        assert_eq!(script.rules[1].fault, Fault::Hang { ms: None });
        assert_eq!(serde_json::from_str::<Script>(&serde_json::to_string(&script).unwrap()).unwrap(), script);
        let misspelt = text.replace("\"operation\":\"DescribeStream\"", "\"operation\":\"DescribeStream\",\"form\":5");
        assert!(serde_json::from_str::<Script>(&misspelt).unwrap_err().to_string().contains("form"));
    }
}
