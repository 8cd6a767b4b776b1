//! The CloudFormation template: clean by linters, by policies and by rules of our own, and true to the program that it deploys. And each of these
//! checks refuses a template that is spoilt.

mod metrics;
mod rules;
mod stack;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use headwater::config::{self, DeliverTarget, OnGap, RouteKind, Settings, Start};
use headwater::lake::{self, LakeLocation};
use serde_json::{Value, json};

use crate::support::cloudformation;
use stack::{PATH, Stack, Template};

/// CloudFormation takes templates of at most 1 MB from S3.
const LARGEST: usize = 1_000_000;
const ROUTES: [&str; 3] = ["kinesis-firehose", "kinesis-deliver", "lake"];

/// Everything that can be there already, and everything that can be wished for.
const EVERYTHING: &[(&str, &str)] = &[
    ("AlarmEmail", "sales-data@example.org"),
    ("AssignPublicIp", "DISABLED"),
    ("CrawlerSchedule", "cron(0 3 * * ? *)"),
    ("ExistingBucket", "lakebucket"),
    ("FurtherKmsKeyArns", "arn:aws:kms:eu-central-1:111122223333:key/1,arn:aws:kms:eu-central-1:111122223333:key/2"),
    ("ImageRepositoryArn", "arn:aws:ecr:eu-central-1:111122223333:repository/headwater"),
    ("KmsKeyArn", "arn:aws:kms:eu-central-1:111122223333:key/0"),
    ("LeaseTables", "existing"),
    ("OnGap", "stop"),
    ("SecurityGroupId", "sg-1"),
    ("SnapshotReadUnits", "50"),
    ("SnapshotSchedule", "cron(0 2 ? * SUN *)"),
    ("StreamStart", "2026-11-21T03:00:00Z"),
    ("TaskCount", "0"),
    ("TaskSize", "4096-8192"),
];

/// The stacks that the checks look at: each route, as little as possible and as much as possible.
fn stacks(template: &Template) -> Vec<(String, Stack<'_>)> {
    let mut stacks = Vec::new();
    for route in ROUTES {
        stacks.push((format!("{route}, defaults"), template.with(&[("Route", route)])));
        let mut everything = EVERYTHING.to_vec();
        everything.push(("Route", route));
        if route != "lake" {
            everything.push(("ExistingStream", "changes"));
        }
        if route == "kinesis-firehose" {
            everything.push(("TransformFunctionArn", "arn:aws:lambda:eu-central-1:111122223333:function:tidy"));
        }
        stacks.push((format!("{route}, everything"), template.with(&everything)));
    }
    stacks
}

fn text() -> String {
    std::fs::read_to_string(PATH).unwrap()
}

/// What a check of files says of the template with one passage replaced.
fn spoilt(check: fn(&Path) -> String, from: &str, to: &str) -> String {
    let old = text();
    assert!(old.contains(from), "the template does not hold {from:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headwater.yaml");
    std::fs::write(&path, old.replacen(from, to, 1)).unwrap();
    check(&path)
}

/// The problems that the rules find in any of the stacks.
fn problems(template: &Template) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, stack) in stacks(template) {
        let resources = stack.resources();
        stack.outputs();
        let of_rules = rules::ALL.iter().flat_map(|rule| rule(&resources));
        let looks = metrics::alarms(&resources).into_iter().chain(metrics::dashboard(&resources));
        problems.extend(of_rules.chain(looks.filter_map(|look| metrics::problem(&look))).map(|problem| format!("{name}: {problem}")));
    }
    problems
}

#[test]
fn cfn_lint_finds_nothing() {
    let found = cloudformation::lint(Path::new(PATH));
    assert!(found.is_empty(), "{found}");
    assert!(text().len() < LARGEST, "CloudFormation takes templates of at most {LARGEST} bytes from S3");
}

#[test]
fn what_is_wrong_by_the_schema_of_a_resource_is_refused() {
    let spoilt = |from, to| spoilt(cloudformation::lint, from, to);
    for (from, to, expected) in [
        ("RetentionPeriodHours:", "RetentionHours:", "RetentionHours"),
        ("    Default: 256-512\n", "    Default: 256-513\n", "AllowedValues"),
        (
            "DestinationConfiguration:\n        RoleARN: !GetAtt FirehoseRole.Arn",
            "DestinationConfiguration:\n        RoleARN: !GetAtt NoRole.Arn",
            "NoRole",
        ),
        ("PlatformVersion: \"1.4.0\"\n      DesiredCount", "PlatformVersion: \"1.4.0\"\n      DesiredNumber", "DesiredNumber"),
    ] {
        let found = spoilt(from, to);
        assert!(found.contains(expected), "{from:?} -> {to:?} gave {found:?}");
    }
}

#[test]
fn what_the_linters_pass_over_has_its_reason() {
    let text = text();
    let lines: Vec<_> = text.lines().collect();
    let passed_over: Vec<_> = (0..lines.len()).filter(|at| lines[*at].contains("ignore_checks")).collect();
    assert_eq!(passed_over.len(), text.matches("cfn-lint:").count());
    for at in passed_over {
        assert!(lines[at - 1].trim().starts_with("# "), "line {at}: no reason stands above {}", lines[at]);
    }
    for line in lines.iter().filter(|line| line.contains("id: CKV_")) {
        let reason = line.split("comment: ").nth(1).unwrap_or_default();
        assert!(reason.len() > 60, "a reason is expected in {line}");
    }
}

#[test]
fn checkov_s_policies_hold_on_every_route() {
    for route in ROUTES {
        let found = spoilt(cloudformation::policies, "    Default: kinesis-firehose\n", &format!("    Default: {route}\n"));
        assert!(found.is_empty(), "route {route}:\n{found}");
    }
}

#[test]
fn a_template_against_policy_is_refused() {
    for (from, to, expected) in [
        ("        BlockPublicAcls: true\n", "        BlockPublicAcls: false\n", "CKV_AWS_53"),
        ("      EnableKeyRotation: true\n", "", "CKV_AWS_7"),
    ] {
        let found = spoilt(cloudformation::policies, from, to);
        assert!(found.contains(expected), "{from:?} -> {to:?} gave {found:?}");
    }
}

#[test]
fn rules_of_encryption_permission_and_observation_hold_in_every_stack() {
    let found = problems(&Template::read());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn each_rule_refuses_a_template_that_breaks_it() {
    let template = Template::read();
    let statement = |role: &str, sid: &str, member: &str| {
        let policies = format!("/Resources/{role}/Properties/Policies/0/PolicyDocument/Statement");
        let statements = template.0.pointer(&policies).unwrap().as_array().unwrap();
        let at = statements
            .iter()
            .position(|statement| statement["Sid"] == sid || statement.pointer("/Fn::If/1/Sid").is_some_and(|own| own == sid));
        let at = at.unwrap_or_else(|| panic!("{role} has no statement {sid}"));
        let inner = if statements[at].get("Fn::If").is_some() { "/Fn::If/1" } else { "" };
        format!("{policies}/{at}{inner}/{member}")
    };
    let property = |id: &str, place: &str| format!("/Resources/{id}/Properties/{place}");
    let folder = "arn:aws:s3:::lakebucket/*";
    for (place, value, expected) in [
        (statement("TaskRole", "ReadTheTable", "Action"), json!("dynamodb:*"), "is a pattern"),
        (statement("TaskRole", "ReadTheTable", "Action"), json!(["*"]), "is a pattern"),
        (statement("TaskRole", "ReadTheTable", "Resource"), json!("*"), "names nothing"),
        (statement("TaskRole", "ReadItsStream", "Resource"), json!("arn:aws:dynamodb:eu-central-1:111122223333:table/*"), "names nothing"),
        (statement("TaskRole", "ReadTheTable", "Effect"), json!("Deny"), "by name is understood"),
        (statement("TaskRole", "WriteTheLake", "Resource"), json!(folder), "not below /lake/sales_orders/"),
        (statement("TaskRole", "EmptyQuarantine", "Resource"), json!("arn:aws:s3:::b/lake/sales_orders/*"), "not below"),
        (statement("TaskRole", "WriteTheLake", "Action"), json!(["s3:PutObjectAcl"]), "is not needed"),
        (statement("TaskRole", "UseTheKey", "Condition"), json!({}), "through the services alone"),
        (statement("FirehoseRole", "UseTheKey", "Condition"), json!({}), "through the services alone"),
        (statement("SchedulerRole", "GiveItItsRoles", "Condition"), json!({}), "passed to one service"),
        (statement("ExecutionRole", "LogInToTheRegistry", "Resource"), json!("arn:aws:ecr:a:b:repository/c"), "not needed"),
        (property("TaskRole", "AssumeRolePolicyDocument/Statement/0/Condition"), json!({}), "for another account"),
        (property("Stream", "StreamEncryption"), Value::Null, "is '', not KMS"),
        (property("Topic", "KmsMasterKeyId"), json!("alias/aws/sns"), "not arn:aws:kms:"),
        (property("LeaseTable", "SSESpecification"), Value::Null, "SSEEnabled"),
        ("/Resources/Dashboard/Type".to_owned(), json!("AWS::SQS::Queue"), "where it is encrypted"),
        (property("SecurityGroup", "SecurityGroupIngress"), json!([{ "CidrIp": "0.0.0.0/0" }]), "called by nobody"),
        (property("SecurityGroup", "SecurityGroupEgress/0/FromPort"), json!(0), "by HTTPS alone"),
        (property("LakeBucket", "PublicAccessBlockConfiguration/RestrictPublicBuckets"), json!(false), "RestrictPublicBuckets"),
        (property("LakeBucket", "LifecycleConfiguration/Rules/0/ExpirationInDays"), json!(400), "would expire"),
        (
            property("LakeBucket", "LifecycleConfiguration/Rules/0/Transitions/0/StorageClass"),
            json!("DEEP_ARCHIVE"),
            "cannot read DEEP_ARCHIVE",
        ),
        (property("LakeBucketPolicy", "PolicyDocument/Statement/0/Effect"), json!("Allow"), "without TLS"),
        ("/Resources/LakeBucket/DeletionPolicy".to_owned(), json!("Delete"), "gone with the stack"),
        (property("TaskDefinition", "ContainerDefinitions/0/User"), json!("root"), "read-only file system"),
        (property("TaskDefinition", "ContainerDefinitions/0/ReadonlyRootFilesystem"), json!(false), "read-only file system"),
        (property("TaskDefinition", "ContainerDefinitions/0/HealthCheck/Command"), json!(["CMD-SHELL", "headwater health"]), "no shell"),
        (property("NotReady", "MetricName"), json!("headwater_readiness"), "no such metric"),
        (property("Quarantined", "MetricName"), json!("headwater_quarantined"), "does not go to CloudWatch"),
        (property("CaptureLag", "Dimensions"), json!([{ "Name": "Table", "Value": "sales_orders" }]), "its dimensions are not"),
        (property("CaptureGap", "Statistic"), json!("Average"), "says nothing"),
        (property("FirehoseStale", "MetricName"), json!("DeliveryToS3.Freshness"), "no such metric is known"),
        (property("StreamThrottled", "Dimensions/0/Name"), json!("Stream"), "dimension StreamName"),
    ] {
        let mut spoilt = template.clone();
        let (parent, member) = place.rsplit_once('/').unwrap();
        let parent = spoilt.0.pointer_mut(parent).unwrap_or_else(|| panic!("there is no {place}"));
        match parent {
            Value::Array(values) => values[member.parse::<usize>().unwrap()] = value,
            other => other[member] = value,
        }
        let found = problems(&spoilt);
        assert!(found.iter().any(|problem| problem.contains(expected)), "{place}: {expected:?} is not in {found:?}");
    }
}

#[test]
fn combinations_that_cannot_work_are_refused_before_anything_is_created() {
    let template = Template::read();
    for (name, stack) in stacks(&template) {
        assert_eq!(stack.refusals(), Vec::<String>::new(), "{name}");
    }
    let function = "arn:aws:lambda:eu-central-1:111122223333:function:tidy";
    for (parameters, expected) in [
        ([("Route", "lake"), ("ExistingStream", "changes")], "without Kinesis"),
        ([("Route", "lake"), ("TransformFunctionArn", function)], "needs Route kinesis-firehose"),
        ([("Route", "kinesis-deliver"), ("TransformFunctionArn", function)], "needs Route kinesis-firehose"),
    ] {
        let refusals = template.with(&parameters).refusals();
        assert!(refusals.iter().any(|refusal| refusal.contains(expected)), "{parameters:?} gave {refusals:?}");
    }
}

/// The container of the service.
fn container(stack: &Stack<'_>) -> Value {
    stack.resources()["TaskDefinition"]["Properties"]["ContainerDefinitions"][0].clone()
}

/// The configuration that the service would be given.
fn settings(stack: &Stack<'_>) -> Settings {
    let container = container(stack);
    let variables = container["Environment"].as_array().unwrap();
    let variable = variables.iter().find(|variable| variable["Name"] == "HEADWATER_CONFIG").unwrap();
    let text = variable["Value"].as_str().unwrap();
    config::parse(text, Path::new("")).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn the_service_is_configured_for_its_route() {
    let template = Template::read();
    for (name, stack) in stacks(&template) {
        let (settings, resources) = (settings(&stack), stack.resources());
        assert_eq!(settings.table.name, "sales_orders", "{name}");
        assert!(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(settings.table.contract.unwrap()).exists(),
            "{name}: the image has no such contract"
        );
        let lake = LakeLocation::S3 { bucket: "lakebucket".to_owned(), prefix: "lake".to_owned() };
        assert_eq!((settings.lake.location, settings.lake.format), (lake, lake::Format::Parquet), "{name}");
        assert_eq!(settings.lake.max_age, Duration::from_mins(3), "{name}");
        assert!(!settings.lease.create_table, "{name}: the role may not create tables");
        assert_eq!(settings.health.emf_namespace.as_deref(), Some("headwater/orders"), "{name}: alarms look there");
        assert_eq!(settings.notify.sns_topic_arn.as_deref(), Some("arn:aws:sns:eu-central-1:111122223333:Topic"), "{name}");
        let stop = container(&stack)["StopTimeout"].as_u64().unwrap();
        assert!(settings.shutdown_deadline + Duration::from_secs(10) <= Duration::from_secs(stop), "{name}: killed while it shuts down");

        let stream = settings.kinesis.map(|kinesis| kinesis.stream);
        let is_new = name.contains("defaults");
        let expected = (!name.starts_with("lake")).then(|| if is_new { "stream" } else { "changes" }.to_owned());
        assert_eq!(stream, expected, "{name}");
        assert_eq!(settings.route, if name.starts_with("lake") { RouteKind::Lake } else { RouteKind::Kinesis }, "{name}");
        let delivers = settings.deliver.map(|deliver| (deliver.target, deliver.application));
        let expected = name.starts_with("kinesis-deliver").then(|| (DeliverTarget::Lake, "headwater-sales_orders-deliver".to_owned()));
        assert_eq!(delivers, expected, "{name}");
        assert_eq!(resources.contains_key("DeliveryStream"), name.starts_with("kinesis-firehose"), "{name}");

        assert_eq!(settings.stream.on_gap, if is_new { OnGap::Snapshot } else { OnGap::Stop }, "{name}");
        assert_eq!(settings.stream.start == Start::TrimHorizon, is_new, "{name}");
        assert_eq!(settings.snapshot.budget.is_some(), !is_new, "{name}");
        assert_eq!(settings.memory_budget, if is_new { 64 << 20 } else { 4 << 30 }, "{name}");
    }
    let without_contract = template.with(&[("Contract", "")]);
    assert_eq!(settings(&without_contract).table.contract, None);
}

#[test]
fn the_lease_tables_are_those_that_the_service_looks_for() {
    let template = Template::read();
    let stack = template.with(&[("Route", "kinesis-deliver")]);
    let (settings, resources) = (settings(&stack), stack.resources());
    for (id, name) in [("LeaseTable", settings.lease.application), ("DeliverLeaseTable", settings.deliver.unwrap().application)] {
        let table = &resources[id]["Properties"];
        assert_eq!(table["TableName"], name.as_str());
        assert_eq!(table["KeySchema"], json!([{ "AttributeName": "leaseKey", "KeyType": "HASH" }]), "as src/lease/table.rs creates it");
        assert_eq!(table["AttributeDefinitions"], json!([{ "AttributeName": "leaseKey", "AttributeType": "S" }]));
    }
    assert!(!template.with(&[("LeaseTables", "existing")]).resources().contains_key("LeaseTable"));
    let other = template.with(&[("Route", "kinesis-deliver"), ("Application", "trial")]);
    assert_eq!(other.resources()["DeliverLeaseTable"]["Properties"]["TableName"], "trial-deliver", "a second stack for the same table");
    let role = other.resources()["TaskRole"].to_string();
    assert!(role.contains(":table/trial\"") && role.contains(":table/trial-deliver\"") && !role.contains(":table/headwater-"), "{role}");
}

#[test]
fn tables_lie_where_objects_land() {
    let template = Template::read();
    for (name, stack) in stacks(&template) {
        let resources = stack.resources();
        let names: Vec<_> =
            ["Changes", "Delivered", "Claims", "SnapshotMarkers"].into_iter().filter(|id| resources.contains_key(*id)).collect();
        let by_firehose = name.starts_with("kinesis-firehose");
        let expected: &[&str] = if by_firehose { &["Delivered", "Claims", "SnapshotMarkers"] } else { &["Changes", "SnapshotMarkers"] };
        assert_eq!(names, expected, "{name}");
        for (id, folder) in [("Changes", "changes"), ("Delivered", "firehose"), ("Claims", "claims"), ("SnapshotMarkers", "snapshots")] {
            let Some(table) = resources.get(id).map(|table| &table["Properties"]["TableInput"]) else { continue };
            let place = format!("s3://lakebucket/lake/sales_orders/{folder}/");
            assert_eq!(table["StorageDescriptor"]["Location"], place.as_str(), "{name}");
            let keys = table["PartitionKeys"].as_array().into_iter().flatten().map(|key| key["Name"].as_str().unwrap());
            let partitions = keys.map(|key| format!("{key}=${{{key}}}/")).collect::<Vec<_>>().concat();
            if !partitions.is_empty() {
                assert_eq!(table["Parameters"]["storage.location.template"], format!("{place}{partitions}").as_str(), "{name}");
            }
        }
        if by_firehose {
            let target = &resources["DeliveryStream"]["Properties"]["ExtendedS3DestinationConfiguration"];
            assert_eq!(target["Prefix"], "lake/sales_orders/firehose/dt=!{timestamp:yyyy-MM-dd}/hr=!{timestamp:HH}/", "{name}");
            assert_eq!(target["DataFormatConversionConfiguration"]["SchemaConfiguration"]["TableName"], "delivered", "{name}");
            // Firehose's own conditions for converting (Amazon Data Firehose Developer Guide, "Enable record format conversion").
            assert_eq!(target["CompressionFormat"], "UNCOMPRESSED", "{name}");
        }
    }
    assert!(template.0["Parameters"]["BufferMiB"]["MinValue"].as_u64().unwrap() >= 64, "converting needs 64 MiB");
}

#[test]
fn the_service_waits_for_the_delivery_stream_which_begins_at_the_end_of_kinesis() {
    let template = Template::read();
    let service = template.0["Resources"]["Service"].to_string();
    assert!(service.contains(r#"{"Ref":"DeliveryStream"}"#), "nothing makes the service wait for it: {service}");
}

#[test]
fn commands_that_are_run_once_are_for_the_container_that_is_there() {
    let template = Template::read();
    let stack = template.with(EVERYTHING);
    let container = container(&stack);
    let timer = &stack.resources()["SnapshotTimer"]["Properties"]["Target"];
    let by_hand = stack.outputs()["SnapshotCommand"].as_str().unwrap().to_owned();
    let by_hand = by_hand.split("--overrides '").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    for overrides in [timer["Input"].as_str().unwrap(), &by_hand] {
        let overrides: Value = serde_json::from_str(overrides).unwrap();
        let one = &overrides["containerOverrides"][0];
        assert_eq!(one["name"], container["Name"]);
        let command: Vec<_> = one["command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        // The program itself is asked whether there is such a command.
        assert_cmd::cargo::cargo_bin_cmd!("headwater").args(&command).arg("--help").assert().success();
    }
    let check: Vec<_> = container["HealthCheck"]["Command"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(check[1], "/usr/local/bin/headwater", "where the image has it");
    assert_cmd::cargo::cargo_bin_cmd!("headwater").args(&check[2..]).arg("--help").assert().success();
}

#[test]
fn each_alarm_says_what_to_do_and_tells_somebody() {
    let template = Template::read();
    for (name, stack) in stacks(&template) {
        let resources = stack.resources();
        let alarms: Vec<_> = resources.iter().filter(|(_, resource)| resource["Type"] == "AWS::CloudWatch::Alarm").collect();
        for (id, alarm) in &alarms {
            let alarm = &alarm["Properties"];
            let words = alarm["AlarmDescription"].as_str().unwrap();
            assert!((100..=1024).contains(&words.len()), "{id}: {words}");
            assert_eq!(alarm["AlarmActions"], json!(["arn:aws:sns:eu-central-1:111122223333:Topic"]), "{name}: {id}");
            assert!(alarm.get("TreatMissingData").is_some(), "{id}");
        }
        let looked_at = metrics::alarms(&resources);
        for metric in
            ["headwater_ready", "headwater_lag_seconds", "headwater_time_to_trim_seconds", "headwater_gaps", "headwater_lake_quarantined"]
        {
            assert!(looked_at.iter().any(|look| look.name == metric), "{name}: no alarm looks at {metric}");
        }
    }
}

#[test]
fn saved_queries_are_the_files_of_deploy_athena() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/cloudformation/named_queries.py");
    let check = |path: &Path| {
        let output = Command::new("python3").arg(script).arg("--check").arg("--template").arg(path).output().unwrap();
        if output.status.success() { String::new() } else { String::from_utf8_lossy(&output.stderr).into_owned() }
    };
    let found = check(Path::new(PATH));
    assert!(found.is_empty(), "{found}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headwater.yaml");
    std::fs::write(&path, text().replacen("CREATE OR REPLACE VIEW daily_revenue", "CREATE OR REPLACE VIEW dayly_revenue", 1)).unwrap();
    assert!(check(&path).contains("does not hold the statements"), "a query that differs is noticed");
}

/// What `headwater contract ddl` prints for the sales orders.
fn ddl(arguments: &[&str]) -> String {
    let contract = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/sales_orders.odcs.yaml");
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("headwater");
    let output = command.args(["contract", "ddl"]).args(arguments).arg(contract).assert().success().get_output().stdout.clone();
    String::from_utf8(output).unwrap()
}

#[test]
fn columns_of_the_tables_are_those_of_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headwater.yaml");
    for spoilt in [text(), text().replacen("Type: \"decimal(12,2)\"", "Type: \"double\"", 1)] {
        std::fs::write(&path, spoilt).unwrap();
        ddl(&["--dialect", "glue", "--update", path.to_str().unwrap()]);
        assert!(std::fs::read_to_string(&path).unwrap() == text(), "`headwater contract ddl --update` gives the template other columns");
    }
}

#[test]
fn silver_views_over_firehose_are_those_of_the_contract() {
    let printed = ddl(&["--dialect", "athena", "--layout", "firehose"]);
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/athena/silver_firehose.sql")).unwrap();
    let statements: Vec<_> = file.split_terminator(";\n").map(str::trim).collect();
    assert_eq!(statements.len(), 1, "silver_changes");
    for statement in statements {
        assert!(printed.contains(statement), "`headwater contract ddl --layout firehose` does not print:\n{statement}\nbut:\n{printed}");
    }
}
