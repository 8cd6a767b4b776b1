//! Prometheus's text format (OpenMetrics 1.0), from a reading, at the moment when it is asked for.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit as NamedUnit};

use super::metrics::{Kind, METRICS, Metric, Unit, Value};
use super::reading::Reading;
use crate::histogram::{BOUNDS, Distribution};

/// The media type of the text.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is known, in Prometheus's text format.
pub fn expose(now: Reading) -> Result<String, fmt::Error> {
    let table = ("table".into(), now.table.clone().into());
    let mut registry = Registry::with_labels(std::iter::once(table));
    registry.register_collector(Box::new(Scrape(now)));
    let mut body = String::new();
    text::encode(&mut body, &registry)?;
    Ok(body)
}

#[derive(Debug)]
struct Scrape(Reading);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS {
            let samples = metric.read(&self.0);
            if samples.is_empty() {
                continue;
            }
            let (stem, unit) = named(metric);
            let mut encoder = encoder.encode_descriptor(stem, metric.meaning, unit.as_ref(), kind(metric.kind))?;
            for sample in samples {
                let labels: Vec<(&str, &str)> = metric.labels.iter().copied().zip(sample.labels).collect();
                let mut encoder = encoder.encode_family(&labels)?;
                encode(&mut encoder, metric.kind, sample.value)?;
            }
        }
        Ok(())
    }
}

/// The name without what the encoder puts behind it.
fn named(metric: &Metric) -> (&'static str, Option<NamedUnit>) {
    let stem = metric.name.strip_suffix("_total").unwrap_or(metric.name);
    let (suffix, unit) = match metric.unit {
        Unit::Count => return (stem, None),
        Unit::Seconds => ("_seconds", NamedUnit::Seconds),
        Unit::Bytes => ("_bytes", NamedUnit::Bytes),
    };
    stem.strip_suffix(suffix).map_or((stem, None), |stem| (stem, Some(unit)))
}

const fn kind(kind: Kind) -> MetricType {
    match kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
    }
}

fn encode(encoder: &mut MetricEncoder<'_>, kind: Kind, value: Value) -> fmt::Result {
    match (kind, value) {
        (_, Value::Spread(spread)) => {
            let buckets = buckets(&spread);
            encoder.encode_histogram::<NoLabelSet>(real(spread.sum), spread.count(), &buckets, None)
        }
        (Kind::Counter, Value::Whole(count)) => encoder.encode_counter::<NoLabelSet, _, f64>(&count, None),
        (Kind::Counter, Value::Real(count)) => encoder.encode_counter::<NoLabelSet, _, f64>(&count, None),
        (_, Value::Whole(level)) => encoder.encode_gauge(&level),
        (_, Value::Signed(level)) => encoder.encode_gauge(&level),
        (_, Value::Real(level)) => encoder.encode_gauge(&level),
    }
}

fn buckets(spread: &Distribution) -> Vec<(f64, u64)> {
    let bounds = BOUNDS.iter().map(|bound| real(*bound)).chain([f64::INFINITY]);
    bounds.zip(spread.buckets).collect()
}

#[expect(clippy::cast_precision_loss, reason = "the format's numbers are of this type")]
fn real(whole: u64) -> f64 {
    whole as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::reading::tests::{NOW, reading};
    use super::*;

    /// Every line with a number: its name and labels, and the number as it is written.
    fn series(text: &str) -> BTreeMap<&str, &str> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series: BTreeMap<_, _> = lines.map(|line| line.rsplit_once(' ').unwrap()).collect();
        assert!(series.values().all(|value| value.parse::<f64>().is_ok_and(f64::is_finite)), "{text}");
        series
    }

    #[test]
    fn what_is_known_is_told_with_its_labels() {
        let text = expose(reading()).unwrap();
        let told = series(&text);
        let newest = (NOW - 9).to_string();
        for (series, expected) in [
            (r#"headwater_changes_total{table="orders",stage="capture"}"#, "7"),
            (r#"headwater_lag_seconds{table="orders",stage="capture"}"#, "12"),
            (r#"headwater_time_to_trim_seconds{table="orders",stage="capture"}"#, "86388"),
            (r#"headwater_newest_change_timestamp_seconds{table="orders",stage="capture"}"#, &newest),
            (r#"headwater_lease_moves_total{table="orders",stage="deliver",kind="handed_over"}"#, "0"),
            (r#"headwater_retries_total{table="orders",class="throttled"}"#, "2"),
            (r#"headwater_snapshot_read_units_total{table="orders"}"#, "1.5"),
            (r#"process_resident_memory_bytes{table="orders"}"#, "52428800"),
            (r#"headwater_ready{table="orders"}"#, "1"),
        ] {
            assert_eq!(told.get(series), Some(&expected), "{series} in\n{text}");
        }
    }

    #[test]
    fn a_lag_that_is_not_known_is_absent() {
        let told = expose(reading()).unwrap();
        assert!(!told.contains(r#"headwater_lag_seconds{table="orders",stage="deliver"}"#), "{told}");
    }

    #[test]
    fn buckets_add_up() {
        let text = expose(reading()).unwrap();
        let told = series(&text);
        let bucket = |le: &str| {
            let found = told
                .iter()
                .find(|(name, _)| name.starts_with("headwater_sent_batch_events_bucket{") && name.contains(&format!("le=\"{le}\"")));
            *found.unwrap().1
        };
        assert_eq!([bucket("1.0"), bucket("100.0"), bucket("500.0"), bucket("+Inf")], ["20", "20", "22", "22"]);
        assert_eq!(told[r#"headwater_sent_batch_events_count{table="orders",service="kinesis"}"#], "22");
        assert_eq!(told[r#"headwater_sent_batch_events_sum{table="orders",service="kinesis"}"#], "620.0");
    }

    #[test]
    fn each_metric_has_the_declared_name_and_no_series_names_a_shard() {
        let text = expose(reading()).unwrap();
        let told = series(&text);
        for metric in METRICS {
            let name = if metric.kind == Kind::Histogram { format!("{}_count{{", metric.name) } else { format!("{}{{", metric.name) };
            assert!(told.keys().any(|series| series.starts_with(&name)), "{name} is not in\n{text}");
        }
        assert!(!text.contains("shardId"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_process_that_starts_tells_of_itself_alone() {
        let starting =
            Reading { stages: Vec::new(), sent: Vec::new(), lake: None, snapshots: None, memory: None, resident: None, ..reading() };
        let text = expose(starting).unwrap();
        let told = series(&text);
        assert!(
            told.keys().all(|name| ["_build_info", "_ready", "_uptime_", "_retries_"].iter().any(|part| name.contains(part))),
            "{told:?}"
        );
    }
}
