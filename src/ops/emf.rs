//! CloudWatch's embedded metric format: metrics as log lines, where a task's log goes to CloudWatch Logs anyway.
//!
//! By the rules of "Specification: Embedded metric format" (Amazon CloudWatch User Guide): a line is one JSON object, values stand at its root and are
//! numbers, dimensions are texts of at most 1,024 characters, and a directive names at most 100 metrics.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Number, json};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::Health;
use super::metrics::{Kind, METRICS, Metric, Sample, Unit, Value};
use super::reading::Reading;

/// CloudWatch keeps metrics by the minute; more lines would cost and show nothing.
const EVERY: Duration = Duration::from_mins(1);

/// How long a write may take. Who reads a log may be slow, or stop reading; neither replication nor its shutdown waits for that.
const LONGEST_WRITE: Duration = Duration::from_secs(2);

/// Writes the lines of a service to standard output, once a minute and at its end.
pub async fn report(health: Arc<Health>, namespace: String, finished: CancellationToken) {
    let mut lines = Lines::new(namespace);
    let mut beat = interval(EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat.tick().await;
    let mut writing = None;
    loop {
        let is_last = tokio::select! {
            _ = beat.tick() => false,
            () = finished.cancelled() => true,
        };
        if writing.is_none() {
            let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
            let text = lines.next(&health.reading(), u64::try_from(timestamp).unwrap_or(u64::MAX)).concat();
            writing = Some(spawn_blocking(move || std::io::stdout().lock().write_all(text.as_bytes())));
        }
        // What was not written in time is waited for again the next time, and what the counters have grown by until then is in the line after it.
        if let Some(written) = &mut writing {
            match timeout(LONGEST_WRITE, written).await {
                Ok(done) => {
                    writing = None;
                    if let Err(error) = done.map_err(std::io::Error::from).flatten() {
                        tracing::warn!(%error, "metrics cannot be written to standard output");
                    }
                }
                Err(_elapsed) => tracing::warn!("nobody takes the metrics from standard output"),
            }
        }
        if is_last {
            return;
        }
    }
}

/// The lines of one process: they hold what counters have grown by since the line before.
#[derive(Debug)]
pub struct Lines {
    namespace: String,
    before: BTreeMap<(&'static str, Option<&'static str>), u64>,
}

impl Lines {
    /// Lines under a CloudWatch namespace. The first ones count from zero, where counters begin.
    pub fn new(namespace: String) -> Self {
        Self { namespace, before: BTreeMap::new() }
    }

    /// A line for the process and one for each stage. `timestamp` is in milliseconds since the epoch.
    pub fn next(&mut self, now: &Reading, timestamp: u64) -> Vec<String> {
        let mut lines: BTreeMap<Option<&'static str>, Vec<(&'static Metric, Number)>> = BTreeMap::new();
        for metric in METRICS.iter().filter(|metric| metric.in_cloudwatch) {
            for (stage, value) in by_stage(metric, metric.read(now)) {
                if let Some(number) = self.number(metric, stage, value) {
                    lines.entry(stage).or_default().push((metric, number));
                }
            }
        }
        lines.into_iter().map(|(stage, metrics)| self.line(&now.table, stage, &metrics, timestamp)).collect()
    }

    /// The number that the line holds: a level, or what a counter has grown by.
    fn number(&mut self, metric: &Metric, stage: Option<&'static str>, value: Value) -> Option<Number> {
        match value {
            Value::Whole(count) if metric.kind == Kind::Counter => {
                let before = self.before.insert((metric.name, stage), count).unwrap_or_default();
                Some(count.saturating_sub(before).into())
            }
            Value::Whole(level) => Some(level.into()),
            Value::Signed(level) => Some(level.into()),
            Value::Real(level) => Number::from_f64(level),
            Value::Spread(_) => None,
        }
    }

    fn line(&self, table: &str, stage: Option<&'static str>, metrics: &[(&'static Metric, Number)], timestamp: u64) -> String {
        let mut root = Map::from_iter([("Table".to_owned(), table.into())]);
        let mut dimensions = vec!["Table"];
        if let Some(stage) = stage {
            root.insert("Stage".to_owned(), stage.into());
            dimensions.push("Stage");
        }
        let directives: Vec<_> =
            metrics.iter().map(|(metric, _)| json!({ "Name": metric.cloudwatch_name(), "Unit": unit(metric.unit) })).collect();
        let directive = json!({ "Namespace": self.namespace, "Dimensions": [dimensions], "Metrics": directives });
        root.insert("_aws".to_owned(), json!({ "Timestamp": timestamp, "CloudWatchMetrics": [directive] }));
        root.extend(metrics.iter().map(|(metric, number)| (metric.cloudwatch_name().to_owned(), number.clone().into())));
        format!("{}\n", serde_json::Value::Object(root))
    }
}

/// The numbers of a metric for each stage, or one for the process: what other labels tell apart is added up.
fn by_stage(metric: &Metric, samples: Vec<Sample>) -> BTreeMap<Option<&'static str>, Value> {
    let stage = metric.labels.iter().position(|label| *label == "stage");
    let mut sums = BTreeMap::new();
    for Sample { labels, value } in samples {
        let place = sums.entry(stage.and_then(|at| labels.get(at).copied()));
        place.and_modify(|sum| *sum = plus(*sum, value)).or_insert(value);
    }
    sums
}

/// Counters add up; of anything else there is one for each stage.
fn plus(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Whole(one), Value::Whole(other)) => Value::Whole(one.saturating_add(other)),
        (_, other) => other,
    }
}

const fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "Count",
        Unit::Seconds => "Seconds",
        Unit::Bytes => "Bytes",
    }
}

#[cfg(test)]
mod tests {
    use super::super::reading::tests::reading;
    use super::*;

    fn parse(lines: &[String]) -> Vec<serde_json::Value> {
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_one_object_by_the_rules_of_the_format() {
        let lines = Lines::new("Cdc".to_owned()).next(&reading(), 1_574_109_732_004);
        assert_eq!(lines.len(), 3, "the process, capture and deliver");
        for (line, object) in lines.iter().zip(parse(&lines)) {
            assert!(line.ends_with("}\n") && line.matches('\n').count() == 1 && line.len() < 256 << 10, "{line}");
            let root = object.as_object().unwrap();
            assert_eq!(root["_aws"]["Timestamp"], 1_574_109_732_004_u64);
            let directives = root["_aws"]["CloudWatchMetrics"].as_array().unwrap();
            assert_eq!(directives.len(), 1);
            assert_eq!(directives[0]["Namespace"], "Cdc");
            let metrics = directives[0]["Metrics"].as_array().unwrap();
            assert!((1..=100).contains(&metrics.len()));
            for metric in metrics {
                assert!(["Count", "Seconds", "Bytes"].contains(&metric["Unit"].as_str().unwrap()), "{metric}");
                assert!(root[metric["Name"].as_str().unwrap()].is_number(), "{metric} is no number at the root of {line}");
            }
            let sets = directives[0]["Dimensions"].as_array().unwrap();
            assert_eq!(sets.len(), 1);
            for dimension in sets[0].as_array().unwrap() {
                assert!(root[dimension.as_str().unwrap()].as_str().unwrap().len() <= 1_024);
            }
            let told = metrics.len() + sets[0].as_array().unwrap().len() + 1;
            assert_eq!(root.len(), told, "everything at the root is declared: {line}");
        }
    }

    #[test]
    fn what_is_of_a_stage_has_its_dimension_and_the_rest_has_not() {
        let lines = parse(&Lines::new("Cdc".to_owned()).next(&reading(), 1));
        let dimensions: Vec<_> = lines.iter().map(|line| line["_aws"]["CloudWatchMetrics"][0]["Dimensions"].to_string()).collect();
        assert_eq!(dimensions, [r#"[["Table"]]"#, r#"[["Table","Stage"]]"#, r#"[["Table","Stage"]]"#]);
        assert_eq!((&lines[1]["Stage"], &lines[1]["headwater_lag_seconds"]), (&json!("capture"), &json!(12)));
        assert_eq!((&lines[2]["Stage"], lines[2].get("headwater_lag_seconds")), (&json!("deliver"), None), "it is not known");
        assert_eq!(lines[0]["headwater_retries"], 8, "over all classes");
        assert_eq!(lines[0]["headwater_memory_held_bytes"], 1 << 20);
    }

    #[test]
    fn counters_are_what_came_since_the_line_before() {
        let mut lines = Lines::new("Cdc".to_owned());
        let mut now = reading();
        let changes = |line: &[String]| parse(line)[1]["headwater_changes"].clone();
        assert_eq!(changes(&lines.next(&now, 1)), 7);
        assert_eq!(changes(&lines.next(&now, 2)), 0);
        now.stages[0].totals.records += 5;
        let next = lines.next(&now, 3);
        assert_eq!(changes(&next), 5);
        assert_eq!(parse(&next)[1]["headwater_shards_held"], 2, "a level stays what it is");
        assert_eq!(parse(&next)[2]["headwater_changes"], 0, "the other stage's are its own");
    }
}
