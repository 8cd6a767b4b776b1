//! Scripts as they are written, and what is wrong with those whose rules could never strike.

use serde::{Deserialize, Serialize};

use super::rule::{Chance, Fault, Rule};
use super::service::Service;

/// A seed and rules, as they are written in a file or sent to the server. Rules that can never strike are refused when a script is read:
/// who writes them believes that something is tested.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Script {
    /// From which chances are drawn.
    pub seed: u64,
    /// The rules, in the order in which they are asked.
    pub rules: Vec<Rule>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    seed: u64,
    rules: Vec<Rule>,
}

/// Why a rule can never strike.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("rule {number}: {problem}")]
pub struct InvalidRule {
    /// Which rule, counted from 1.
    number: usize,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
enum Problem {
    #[error("{service} has no operation '{operation}'")]
    Operation { service: &'static str, operation: String },
    #[error("'{operation}' cannot meet the fault {fault}")]
    Fault { operation: String, fault: &'static str },
    #[error("{0} is not a probability: it has to lie between 0 and 1")]
    Probability(f64),
    #[error("the calls that it strikes are counted from 1, and there has to be one at least")]
    Calls,
    #[error("it ends before it begins")]
    Time,
}

impl TryFrom<Written> for Script {
    type Error = InvalidRule;

    fn try_from(Written { seed, rules }: Written) -> Result<Self, InvalidRule> {
        for (index, rule) in rules.iter().enumerate() {
            check(rule).map_err(|problem| InvalidRule { number: index + 1, problem })?;
        }
        Ok(Self { seed, rules })
    }
}

fn check(rule: &Rule) -> Result<(), Problem> {
    let services = || Service::ALL.into_iter().filter(|service| rule.service.is_none_or(|wanted| wanted == *service));
    let operations = services().flat_map(|service| service.operations().iter().map(move |operation| (service, *operation)));
    let mut named = operations.filter(|(_, operation)| rule.operation == "*" || rule.operation == *operation).peekable();
    if named.peek().is_none() {
        let service = rule.service.map_or("the simulator", Service::name);
        return Err(Problem::Operation { service, operation: rule.operation.clone() });
    }
    if !named.any(|(service, operation)| rule.fault.concerns(Some(service), operation)) {
        return Err(Problem::Fault { operation: rule.operation.clone(), fault: rule.fault.kind() });
    }
    if let Fault::FailRecords { probability: other, .. } = rule.fault {
        probability(other)?;
    }
    match &rule.chance {
        Chance::Probability(each) => probability(*each)?,
        Chance::Calls(calls) if calls.is_empty() || calls.contains(&0) => return Err(Problem::Calls),
        Chance::Calls(_) => {}
    }
    if rule.from.zip(rule.until).is_some_and(|(from, until)| from >= until) {
        return Err(Problem::Time);
    }
    Ok(())
}

fn probability(probability: f64) -> Result<(), Problem> {
    if (0.0..=1.0).contains(&probability) { Ok(()) } else { Err(Problem::Probability(probability)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(rule: &Value) -> Result<Script, String> {
        let mut whole = json!({"operation": "*", "fault": "reset", "chance": {"probability": 0.5}});
        for (member, value) in rule.as_object().unwrap() {
            whole[member] = value.clone();
        }
        serde_json::from_value(json!({"rules": [whole]})).map_err(|error| error.to_string())
    }

    #[test]
    fn rules_that_can_never_strike_are_refused() {
        for (rule, problem) in [
            (json!({"operation": "GetRecord"}), "rule 1: the simulator has no operation 'GetRecord'"),
            (json!({"operation": "GetRecords", "service": "s3"}), "rule 1: s3 has no operation 'GetRecords'"),
            (json!({"operation": "PutItem", "fault": "empty_page"}), "rule 1: 'PutItem' cannot meet the fault empty_page"),
            (json!({"fault": "empty_page", "service": "firehose"}), "rule 1: '*' cannot meet the fault empty_page"),
            (
                json!({"operation": "DescribeStream", "service": "kinesis", "fault": "parents_look_open"}),
                "rule 1: 'DescribeStream' cannot meet the fault parents_look_open",
            ),
            (json!({"fault": {"late_listing": {"ms": 0}}}), "rule 1: '*' cannot meet the fault late_listing"),
            (json!({"chance": {"probability": 1.5}}), "rule 1: 1.5 is not a probability: it has to lie between 0 and 1"),
            (json!({"chance": {"probability": -0.1}}), "rule 1: -0.1 is not a probability: it has to lie between 0 and 1"),
            (
                json!({"fault": {"fail_records": {"probability": 2.0, "code": "InternalFailure"}}}),
                "rule 1: 2 is not a probability: it has to lie between 0 and 1",
            ),
            (
                json!({"chance": {"calls": [1, 0]}}),
                "rule 1: the calls that it strikes are counted from 1, and there has to be one at least",
            ),
            (json!({"chance": {"calls": []}}), "rule 1: the calls that it strikes are counted from 1, and there has to be one at least"),
            (json!({"from": 7, "until": 7}), "rule 1: it ends before it begins"),
        ] {
            assert_eq!(read(&rule).unwrap_err(), problem, "{rule}");
        }
        assert!(read(&json!({"service": "lambda"})).unwrap_err().contains("lambda"));
    }

    #[test]
    fn rules_that_can_strike_are_read() {
        for rule in [
            json!({}),
            json!({"service": "kinesis"}),
            json!({"operation": "GetRecords", "service": "kinesis", "fault": {"short_page": 0}}),
            json!({"operation": "PutObject", "fault": "condition_fails", "chance": {"calls": [1]}}),
            json!({"chance": {"probability": 1.0}, "from": 7, "until": 8}),
        ] {
            let script = read(&rule).unwrap();
            assert_eq!(serde_json::from_value::<Script>(serde_json::to_value(&script).unwrap()).unwrap(), script, "{rule}");
        }
    }
}
