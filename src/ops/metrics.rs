#![doc = include_str!("metrics.md")]

mod table;

use super::reading::{Reading, SentReading, StageReading};
use crate::histogram::Distribution;
pub use table::METRICS;

/// A metric: declared once, for Prometheus, CloudWatch and the documentation.
#[derive(Debug)]
pub struct Metric {
    /// Its name at Prometheus.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// In what it is measured.
    pub unit: Unit,
    /// What tells its series apart. Their values are names in the program's text: none grows with the data.
    pub labels: &'static [&'static str],
    /// What it says.
    pub meaning: &'static str,
    /// Whether it may change.
    pub stability: Stability,
    /// Whether it is written in CloudWatch's embedded metric format too, where each series costs money.
    pub in_cloudwatch: bool,
    read: fn(&Reading) -> Vec<Sample>,
}

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It grows until the process ends.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Sizes, counted in buckets.
    Histogram,
}

/// In what a metric is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// Whether a metric may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stability {
    /// Name, labels and meaning stay, or change with a new major version.
    Stable,
    /// It may change or go with any version.
    Experimental,
}

/// One series of a metric at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The value of each of the metric's labels.
    pub labels: Vec<&'static str>,
    /// The number.
    pub value: Value,
}

/// A number of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A count.
    Whole(u64),
    /// A number that may be below zero.
    Signed(i64),
    /// A number with a fraction.
    Real(f64),
    /// The batches of a histogram.
    Spread(Distribution),
}

impl Metric {
    const fn new(kind: Kind, name: &'static str, unit: Unit, labels: &'static [&'static str], read: fn(&Reading) -> Vec<Sample>) -> Self {
        Self { name, kind, unit, labels, meaning: "", stability: Stability::Stable, in_cloudwatch: false, read }
    }

    const fn means(self, meaning: &'static str) -> Self {
        Self { meaning, ..self }
    }

    const fn experimental(self) -> Self {
        Self { stability: Stability::Experimental, ..self }
    }

    const fn in_cloudwatch(self) -> Self {
        Self { in_cloudwatch: true, ..self }
    }

    /// Its series now. One of which nothing is known is left out.
    pub fn read(&self, now: &Reading) -> Vec<Sample> {
        (self.read)(now)
    }

    /// Its name at CloudWatch, where a counter is what came since the last line.
    pub fn cloudwatch_name(&self) -> &'static str {
        self.name.strip_suffix("_total").unwrap_or(self.name)
    }
}

impl From<u64> for Value {
    fn from(whole: u64) -> Self {
        Self::Whole(whole)
    }
}

impl From<usize> for Value {
    fn from(whole: usize) -> Self {
        Self::Whole(whole as u64)
    }
}

impl From<bool> for Value {
    fn from(holds: bool) -> Self {
        Self::Whole(u64::from(holds))
    }
}

impl From<i64> for Value {
    fn from(signed: i64) -> Self {
        Self::Signed(signed)
    }
}

impl From<f64> for Value {
    fn from(real: f64) -> Self {
        Self::Real(real)
    }
}

impl From<Distribution> for Value {
    fn from(spread: Distribution) -> Self {
        Self::Spread(spread)
    }
}

/// One series, if its number is known.
fn one(value: Option<impl Into<Value>>) -> Vec<Sample> {
    value.map(|value| Sample { labels: Vec::new(), value: value.into() }).into_iter().collect()
}

/// A series for each stage of which the number is known.
fn per_stage<V: Into<Value>>(now: &Reading, value: impl Fn(&StageReading) -> Option<V>) -> Vec<Sample> {
    let stages = now.stages.iter();
    stages.filter_map(|stage| Some(Sample { labels: vec![stage.name], value: value(stage)?.into() })).collect()
}

/// A series for each service that is sent to.
fn per_service<V: Into<Value>>(now: &Reading, value: impl Fn(&SentReading) -> V) -> Vec<Sample> {
    now.sent.iter().map(|sent| Sample { labels: vec![sent.service], value: value(sent).into() }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use super::super::reading::tests::reading;
    use super::*;

    const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ops/metrics.md");
    const BEGIN: &str = "<!-- metrics: begin -->\n";
    const END: &str = "<!-- metrics: end -->\n";

    fn documented() -> String {
        let mut table = "| metric | kind | labels | meaning | stability | CloudWatch |\n|---|---|---|---|---|---|\n".to_owned();
        for metric in METRICS {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let stability = match metric.stability {
                Stability::Stable => "stable",
                Stability::Experimental => "experimental",
            };
            let in_cloudwatch = if metric.in_cloudwatch { "yes" } else { "" };
            let (name, labels, meaning) = (metric.name, labels.join(", "), metric.meaning);
            writeln!(table, "| `{name}` | {kind} | {labels} | {meaning} | {stability} | {in_cloudwatch} |").unwrap();
        }
        table
    }

    #[test]
    fn the_documented_table_is_the_declared_one() {
        let text = std::fs::read_to_string(DOCUMENT).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (written, after) = rest.split_once(END).unwrap();
        let declared = documented();
        if written != declared && std::env::var_os("UPDATE").is_some() {
            return std::fs::write(DOCUMENT, format!("{before}{BEGIN}{declared}{END}{after}")).unwrap();
        }
        assert!(
            written == declared,
            "{DOCUMENT} is not up to date; run this test with UPDATE=1 in the environment, or write:\n\n{declared}"
        );
    }

    #[test]
    fn names_tell_kind_and_unit() {
        let mut names = BTreeSet::new();
        for Metric { name, kind, unit, meaning, labels, .. } in METRICS {
            assert!(names.insert(*name), "{name} is there twice");
            assert!(name.starts_with("headwater_") || *name == "process_resident_memory_bytes", "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            let stem = name.strip_suffix("_total").unwrap_or(name);
            assert_eq!((stem.ends_with("_seconds"), stem.ends_with("_bytes")), (*unit == Unit::Seconds, *unit == Unit::Bytes), "{name}");
            assert!(meaning.len() > 20 && meaning.ends_with('.') && !meaning.contains('|'), "{name}: {meaning}");
            assert!(labels.iter().all(|label| ["stage", "service", "kind", "class", "version"].contains(label)), "{name}: {labels:?}");
        }
    }

    #[test]
    fn each_series_has_a_value_for_each_label_and_is_told_once() {
        let now = reading();
        for metric in METRICS {
            let samples = metric.read(&now);
            assert!(!samples.is_empty(), "{} is never told", metric.name);
            assert!(samples.iter().all(|sample| sample.labels.len() == metric.labels.len()), "{}", metric.name);
            let series: BTreeSet<_> = samples.iter().map(|sample| &sample.labels).collect();
            assert_eq!(series.len(), samples.len(), "{}", metric.name);
            let spreads = samples.iter().all(|sample| matches!(sample.value, Value::Spread(_)) == (metric.kind == Kind::Histogram));
            assert!(spreads, "{}", metric.name);
        }
    }

    #[test]
    fn cloudwatch_has_no_histograms_and_few_metrics() {
        let chosen: Vec<_> = METRICS.iter().filter(|metric| metric.in_cloudwatch).collect();
        assert!(chosen.iter().all(|metric| metric.kind != Kind::Histogram));
        assert!(chosen.len() <= 20, "each of them costs money: {}", chosen.len());
    }
}
