//! What alarms and the dashboard look at.

use headwater::ops::metrics::{Kind, METRICS};
use serde_json::Value;

use super::rules::Resources;

/// The namespace that the service's configuration gives its metrics.
const NAMESPACE: &str = "headwater/orders";

/// Metrics of AWS's services, each with its dimension and the statistics that mean something.
const OF_AWS: &[(&str, &str, &str, &[&str])] = &[
    ("AWS/Kinesis", "IncomingRecords", "StreamName", &["Sum"]),
    ("AWS/Kinesis", "WriteProvisionedThroughputExceeded", "StreamName", &["Sum"]),
    ("AWS/Kinesis", "GetRecords.IteratorAgeMilliseconds", "StreamName", &["Maximum"]),
    ("AWS/Firehose", "DataReadFromKinesisStream.Records", "DeliveryStreamName", &["Sum"]),
    ("AWS/Firehose", "DeliveryToS3.DataFreshness", "DeliveryStreamName", &["Maximum"]),
    ("AWS/Firehose", "DeliveryToS3.Records", "DeliveryStreamName", &["Sum"]),
    ("AWS/Firehose", "FailedConversion.Records", "DeliveryStreamName", &["Sum"]),
    ("AWS/Scheduler", "TargetErrorCount", "ScheduleGroup", &["Sum"]),
];

/// A metric that something looks at.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) by: String,
    pub(super) namespace: String,
    pub(super) name: String,
    dimensions: Vec<(String, String)>,
    statistic: String,
}

/// What the alarms look at.
pub(super) fn alarms(resources: &Resources) -> Vec<Look> {
    let alarms = resources.iter().filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm");
    alarms
        .flat_map(|(id, alarm)| {
            let alarm = &alarm["Properties"];
            let several: Vec<(&Value, &Value)> = match alarm["Metrics"].as_array() {
                None => vec![(alarm, &alarm["Statistic"])],
                Some(metrics) => metrics
                    .iter()
                    .map(|metric| &metric["MetricStat"])
                    .filter(|stat| !stat.is_null())
                    .map(|stat| (&stat["Metric"], &stat["Stat"]))
                    .collect(),
            };
            several.into_iter().map(move |(metric, statistic)| Look {
                by: id.clone(),
                namespace: text(&metric["Namespace"]),
                name: text(&metric["MetricName"]),
                dimensions: metric["Dimensions"].as_array().unwrap().iter().map(|one| (text(&one["Name"]), text(&one["Value"]))).collect(),
                statistic: text(statistic),
            })
        })
        .collect()
}

/// What the dashboard shows.
pub(super) fn dashboard(resources: &Resources) -> Vec<Look> {
    let body = resources["Dashboard"]["Properties"]["DashboardBody"].as_str().unwrap();
    let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("the dashboard is no JSON: {error}\n{body}"));
    let widgets = body["widgets"].as_array().unwrap().iter().filter(|widget| widget["type"] == "metric");
    widgets
        .flat_map(|widget| {
            let properties = &widget["properties"];
            properties["metrics"].as_array().unwrap().iter().map(move |metric| {
                let words: Vec<_> = metric.as_array().unwrap().iter().filter(|word| word.is_string()).map(text).collect();
                let own = metric.as_array().unwrap().last().and_then(|last| last.get("stat"));
                Look {
                    by: format!("dashboard, {}", properties["title"]),
                    namespace: words[0].clone(),
                    name: words[1].clone(),
                    dimensions: words[2..].chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
                    statistic: text(own.unwrap_or(&properties["stat"])),
                }
            })
        })
        .collect()
}

/// Why nothing would ever be seen there, or nothing that means anything.
pub(super) fn problem(look: &Look) -> Option<String> {
    let tell = |what: String| Some(format!("{}: {} {}: {what}", look.by, look.namespace, look.name));
    let dimensions: Vec<_> = look.dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if look.namespace != NAMESPACE {
        let known = OF_AWS.iter().find(|(namespace, name, _, _)| (*namespace, *name) == (look.namespace.as_str(), look.name.as_str()));
        return match (known, dimensions.as_slice()) {
            (None, _) => tell("no such metric is known".to_owned()),
            (Some((_, _, wanted, _)), [(name, value)]) if wanted != name || value.is_empty() => {
                tell(format!("it has the dimension {wanted}"))
            }
            (Some((_, _, wanted, _)), [] | [_, _, ..]) => tell(format!("it has the dimension {wanted} alone")),
            (Some((_, _, _, statistics)), [_]) if !statistics.contains(&look.statistic.as_str()) => {
                tell(format!("its {} says nothing", look.statistic))
            }
            (Some(_), [_]) => None,
        };
    }
    let Some(metric) = METRICS.iter().find(|metric| metric.cloudwatch_name() == look.name) else {
        return tell("the service has no such metric".to_owned());
    };
    if !metric.in_cloudwatch {
        return tell("it does not go to CloudWatch".to_owned());
    }
    let is_of_stage = metric.labels.contains(&"stage");
    let fits = match dimensions.as_slice() {
        [("Table", "sales_orders")] => !is_of_stage,
        [("Table", "sales_orders"), ("Stage", "capture" | "deliver")] => is_of_stage,
        _ => false,
    };
    if !fits {
        return tell(format!("its dimensions are not {dimensions:?}"));
    }
    // Counters are what came in a minute; of a level each worker tells its own, and how many tell theirs says how many workers there are.
    let statistics: &[&str] = match metric.kind {
        Kind::Counter => &["Sum"],
        _ if metric.name.contains("_shards_") => &["Sum", "Maximum"],
        _ => &["Maximum", "Minimum", "SampleCount"],
    };
    if !statistics.contains(&look.statistic.as_str()) {
        return tell(format!("the {} over workers and minutes says nothing", look.statistic));
    }
    None
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
