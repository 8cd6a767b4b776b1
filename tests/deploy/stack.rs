//! The CloudFormation template, deployed to a stand-in through CloudFormation's API, and the service run against what the stack has created: with
//! the environment and the commands of the created task definition.
//!
//! Every resource is looked at through its own service and compared with the template, which is evaluated here without the stand-in's help. What the
//! stand-in cannot show is listed, and the lists are exact: a further gap fails the test, and so does one that is closed.

mod cloud;
mod created;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::{Select, TimeToLiveSpecification};
use serde_json::Value;

use self::cloud::Cloud;
use self::created::{Look, Stack};
use self::task::Task;
use crate::support::bucket::files;
use crate::support::duckdb::Row;
use crate::support::lake::{assert_every_change, not_landed};
use crate::support::process::Headwater;
use crate::support::stream::{self, Change};

const TABLE: &str = "sales_orders";
/// The table's folder in the bucket, by the template's defaults.
const FOLDER: &str = "lake/sales_orders";
/// For what takes seconds on an idle machine.
const PATIENCE: Duration = Duration::from_mins(5);
const CREATED: &str = "CREATE_COMPLETE";

/// Everything that is there only when it is asked for.
const OPTIONS: [(&str, &str); 3] =
    [("SnapshotSchedule", "cron(0 2 ? * SUN *)"), ("CrawlerSchedule", "cron(0 3 * * ? *)"), ("AlarmEmail", "orders@example.com")];

/// Resource types that the stand-in's CloudFormation does not know.
const UNKNOWN_TYPES: [&str; 2] = ["AWS::Athena::NamedQuery", "AWS::Glue::Classifier"];
/// Resources of known types that it fails to create, and the route that alone has them: alarms by metric math.
const FAILS_AT: [(&str, Option<&str>); 2] = [("FirehoseNotReading", Some("kinesis-firehose")), ("TooFewWorkers", None)];
/// Properties that it accepts and forgets: they cannot be seen on what was created. Lint and policies look at them in the template.
const FORGOTTEN: [(&str, &[&str]); 7] = [
    ("AWS::DynamoDB::Table", &["SSESpecification"]),
    ("AWS::ECS::Service", &["EnableECSManagedTags", "PlatformVersion", "PropagateTags"]),
    (
        "AWS::ECS::TaskDefinition",
        &[
            "ContainerDefinitions[].HealthCheck.Command",
            "ContainerDefinitions[].HealthCheck.Interval",
            "ContainerDefinitions[].HealthCheck.Retries",
            "ContainerDefinitions[].HealthCheck.StartPeriod",
            "ContainerDefinitions[].HealthCheck.Timeout",
            "ContainerDefinitions[].LinuxParameters.Capabilities",
            "RuntimePlatform",
        ],
    ),
    ("AWS::Kinesis::Stream", &["StreamEncryption.EncryptionType", "StreamEncryption.KeyId"]),
    (
        "AWS::S3::Bucket",
        &[
            "BucketEncryption.ServerSideEncryptionConfiguration[].BucketKeyEnabled",
            "BucketEncryption.ServerSideEncryptionConfiguration[].ServerSideEncryptionByDefault.KMSMasterKeyID",
            "BucketEncryption.ServerSideEncryptionConfiguration[].ServerSideEncryptionByDefault.SSEAlgorithm",
            "LifecycleConfiguration",
        ],
    ),
    ("AWS::SNS::Topic", &["KmsMasterKeyId"]),
    ("AWS::Scheduler::Schedule", &["Target.EcsParameters.NetworkConfiguration.AwsvpcConfiguration"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_land_through_kinesis_and_a_firehose_that_reads_it() {
    let cloud = Cloud::start().await;
    create_table(&cloud).await;
    let (stack, look) = create(&cloud, "kinesis-firehose").await;
    let task = Task::of(&look, &cloud);
    // The stand-in's Firehose converts each record by itself while all else waits, a tenth of a second for each.
    let mut run = replicate(&cloud, &task, 40, "every row is in the route").await;
    let stream = stream::read_all(&cloud.sdk_config(), TABLE).await;
    let landed = Landed::of(&cloud, &stack, &look, "Delivered", "firehose");
    run.wait_until(PATIENCE, "Firehose has delivered every change", async || not_landed(&landed.rows().await, &stream).is_empty()).await;
    let orders = count_items(&cloud).await;
    run.wait_until(PATIENCE, "Firehose has delivered the snapshot", async || landed.count("SNAPSHOT").await >= orders).await;
    stop(run, &task).await;
    landed.assert_fits(&stream).await;
    assert!(landed.objects_in("firehose-errors").await.is_empty(), "Firehose could not convert something");
    delete(stack, &["Key", "LakeBucket", "LakeBucketPolicy", "LeaseTable"], &landed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_land_through_kinesis_and_the_deliver_stage() {
    lands_what_headwater_writes("kinesis-deliver", &["DeliverLeaseTable", "Key", "LakeBucket", "LakeBucketPolicy", "LeaseTable"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_land_without_kinesis() {
    lands_what_headwater_writes("lake", &["Key", "LakeBucket", "LakeBucketPolicy", "LeaseTable"]).await;
}

/// `kept` are the resources that outlive the stack.
async fn lands_what_headwater_writes(route: &str, kept: &[&str]) {
    let cloud = Cloud::start().await;
    create_table(&cloud).await;
    let (stack, look) = create(&cloud, route).await;
    let task = Task::of(&look, &cloud);
    let mut run = replicate(&cloud, &task, 200, "COMPLETED").await;
    let verified = task.headwater(&["verify", "--deadline", "3m"]).succeeds(PATIENCE).await;
    assert!(verified.contains("lake equals table"), "{verified}");
    run.assert_running();
    stop(run, &task).await;
    let stream = stream::read_all(&cloud.sdk_config(), TABLE).await;
    let landed = Landed::of(&cloud, &stack, &look, "Changes", "changes");
    landed.assert_fits(&stream).await;
    delete(stack, kept, &landed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_that_contradict_each_other_are_refused() {
    let cloud = Cloud::start().await;
    let function = "arn:aws:lambda:us-east-1:000000000000:function:transform";
    // That the subnets lie in the network is a rule too, which the stand-in takes for kept.
    for (parameters, expected) in [
        (vec![("Route", "lake"), ("ExistingStream", "orders")], "Leave ExistingStream empty"),
        (vec![("Route", "lake"), ("TransformFunctionArn", function)], "It needs Route kinesis-firehose"),
        (vec![("Route", "kinesis-deliver"), ("TransformFunctionArn", function)], "It needs Route kinesis-firehose"),
        (vec![("Route", "pigeon")], "Route"),
        (vec![("TaskSize", "256-8192")], "TaskSize"),
    ] {
        let stack = Stack::create(&cloud, &parameters).await;
        assert_eq!(stack.outcome.status, "REFUSED", "{parameters:?}: {:?}", stack.outcome);
        assert!(stack.outcome.reason.contains(expected), "{parameters:?}: {}", stack.outcome.reason);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_already_is_used_and_not_created() {
    let cloud = Cloud::start().await;
    let given = [
        ("ExistingBucket", "old-lake"),
        ("LakePrefix", "changes/of-orders"),
        ("ExistingStream", "old-stream"),
        ("LeaseTables", "existing"),
        ("SecurityGroupId", "sg-0123456789abcdef0"),
        ("KmsKeyArn", "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000002"),
        ("Contract", ""),
    ];
    let stack = Stack::create(&cloud, &given).await;
    assert_eq!(stack.outcome.status, CREATED, "{:?}", stack.outcome);
    let look = stack.look().await;
    assert_eq!(look.unasked, [""; 0]);
    let kinds: BTreeSet<&str> = look.resources.iter().map(|resource| resource.kind.as_str()).collect();
    for kind in ["AWS::S3::Bucket", "AWS::Kinesis::Stream", "AWS::DynamoDB::Table", "AWS::EC2::SecurityGroup", "AWS::KMS::Key"] {
        assert!(!kinds.contains(kind), "{kind} was created");
    }
    let settings = task::settings(&look);
    assert_eq!(settings["lake"]["url"].as_str(), Some("s3://old-lake/changes/of-orders"));
    assert_eq!(settings["kinesis"]["stream"].as_str(), Some("old-stream"));
    assert_eq!(settings["lease"]["application"].as_str(), Some("headwater-sales_orders"));
    assert!(!settings["table"].as_table().unwrap().contains_key("contract"));
    let source = &look.resource("DeliveryStream").actual["KinesisStreamSourceConfiguration"]["KinesisStreamARN"];
    assert_eq!(source, "arn:aws:kinesis:us-east-1:000000000000:stream/old-stream");
}

/// The generator's table, which belongs to the application and not to the stack. Its TTL is switched off: what expires is deleted at the stand-in's
/// own time.
async fn create_table(cloud: &Cloud) {
    cloud.headwater(&[], &["generate", "--table", TABLE, "--create-table", "--count", "0"]).succeeds(PATIENCE).await;
    let off = TimeToLiveSpecification::builder().attribute_name("expires_at").enabled(false).build().unwrap();
    let client = aws_sdk_dynamodb::Client::new(&cloud.sdk_config());
    client.update_time_to_live().table_name(TABLE).time_to_live_specification(off).send().await.unwrap();
}

async fn count_items(cloud: &Cloud) -> usize {
    let client = aws_sdk_dynamodb::Client::new(&cloud.sdk_config());
    let counted = client.scan().table_name(TABLE).select(Select::Count).send().await.unwrap();
    usize::try_from(counted.count()).unwrap()
}

/// Creates the stack for a route with all that can be asked for, and compares each of its resources with the template.
async fn create<'a>(cloud: &'a Cloud, route: &str) -> (Stack<'a>, Look) {
    let stack = Stack::create(cloud, &[&OPTIONS[..], &[("Route", route), ("BufferSeconds", "60")]].concat()).await;
    assert_eq!(stack.outcome.status, CREATED, "{:?}", stack.outcome);
    let look = stack.look().await;
    assert_eq!(look.unasked, [""; 0]);
    let reasons = &stack.outcome.not_created;
    let unknown: BTreeSet<_> = reasons.values().filter_map(|reason| reason.strip_suffix(" is not known")).collect();
    assert_eq!(unknown, BTreeSet::from(UNKNOWN_TYPES));
    let failed: BTreeSet<_> =
        reasons.iter().filter(|(_, reason)| !reason.ends_with(" is not known")).map(|(name, _)| name.as_str()).collect();
    let fails_at = FAILS_AT.iter().filter(|(_, only)| only.is_none_or(|only| only == route)).map(|(name, _)| *name);
    assert_eq!(failed, fails_at.collect(), "{reasons:?}");
    let mut differs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for resource in &look.resources {
        assert!(!resource.actual.is_null(), "{} ({}) was not created", resource.logical, resource.kind);
        if !resource.differs.is_empty() {
            differs.entry(&resource.kind).or_default().extend(resource.differs.iter().map(String::as_str));
        }
    }
    let asked: BTreeSet<&str> = look.resources.iter().map(|resource| resource.kind.as_str()).collect();
    let forgotten = FORGOTTEN.iter().filter(|(kind, _)| asked.contains(kind));
    assert_eq!(differs, forgotten.map(|(kind, paths)| (*kind, paths.iter().copied().collect())).collect());
    (stack, look)
}

/// Starts the service as the task definition says, writes orders, and has the schedule's task ask for a snapshot, which the service takes until its
/// status says `snapshot`. (Where Firehose stands between, headwater gives it its time to deliver before the snapshot counts as complete.)
async fn replicate(cloud: &Cloud, task: &Task<'_>, orders: usize, snapshot: &str) -> Headwater {
    let mut run = task.start();
    run.wait_until(PATIENCE, "the container's health check succeeds", async || task.is_healthy(PATIENCE).await).await;
    cloud.headwater(&[], &["generate", "--table", TABLE, "--count", &orders.to_string(), "--rate", "20"]).succeeds(PATIENCE).await;
    let asked = task.run_once().succeeds(PATIENCE).await;
    assert!(asked.contains("is requested: the whole table"), "{asked}");
    run.wait_until(PATIENCE, "the snapshot is where it should be", async || {
        // The stand-in may be too busy to answer.
        let mut status = task.headwater(&["snapshot", "status"]);
        status.exit(PATIENCE).await.success() && status.log().contains(snapshot)
    })
    .await;
    assert!(task.is_healthy(PATIENCE).await, "{}", run.log());
    run
}

/// Ends the service as ECS ends a task.
async fn stop(mut run: Headwater, task: &Task<'_>) {
    run.signal("TERM");
    let status = run.exit(task.stop_timeout).await;
    assert_eq!(status.code(), Some(0), "{}", run.log());
}

/// Deletes the stack: what holds data outlives it, and nothing else.
async fn delete(stack: Stack<'_>, kept: &[&str], landed: &Landed<'_>) {
    let before = landed.objects().await;
    let outcome = stack.delete().await;
    assert_eq!(outcome.status, "DELETE_COMPLETE", "{outcome:?}");
    assert_eq!(stack.look().await.there(), kept.iter().copied().collect());
    assert_eq!(landed.objects().await, before);
}

/// What lies in the folder of the bucket that a table of the Glue catalog describes.
struct Landed<'a> {
    cloud: &'a Cloud,
    bucket: String,
    prefix: String,
    /// The table as the catalog has it.
    table: Value,
}

impl<'a> Landed<'a> {
    fn of(cloud: &'a Cloud, stack: &Stack<'_>, look: &Look, table: &str, folder: &str) -> Self {
        let table = look.resource(table).actual["TableInput"].clone();
        Self { cloud, bucket: stack.output("LakeBucketName").to_owned(), prefix: format!("{FOLDER}/{folder}"), table }
    }

    /// The names of the objects, below a copy of the bucket.
    async fn objects(&self) -> Vec<String> {
        self.objects_below(&self.prefix).await
    }

    /// The objects in another folder of the table.
    async fn objects_in(&self, folder: &str) -> Vec<String> {
        self.objects_below(&format!("{FOLDER}/{folder}")).await
    }

    async fn objects_below(&self, prefix: &str) -> Vec<String> {
        let copy = self.cloud.folder().join("landed");
        self.cloud.bucket(&self.bucket).copy(prefix, &copy).await;
        let names = files(&copy.join(prefix)).into_iter();
        names.map(|path| path.strip_prefix(&copy).unwrap().to_str().unwrap().to_owned()).collect()
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, what: &str) -> T {
        self.objects().await;
        let folder = self.cloud.folder().join("landed").join(&self.prefix);
        self.cloud.python("objects.py", &[what, folder.to_str().unwrap()]).await
    }

    /// The rows that stand for changes of the stream; those of snapshots and their marks stand beside them.
    async fn rows(&self) -> Vec<Row> {
        let rows: Vec<Value> = self.read("rows").await;
        let changes = rows.into_iter().filter(|row| ["INSERT", "MODIFY", "REMOVE"].contains(&row["cdc_op"].as_str().unwrap()));
        let row = |mut row: Value| {
            let object = row.as_object_mut().unwrap().remove("lake_object").unwrap();
            Row::of_line(&row.to_string(), object.as_str().unwrap())
        };
        changes.map(row).collect()
    }

    /// How many rows there are of an operation.
    async fn count(&self, operation: &str) -> usize {
        let rows: Vec<Value> = self.read("rows").await;
        rows.iter().filter(|row| row["cdc_op"] == operation).count()
    }

    /// Panics unless every change has landed unaltered, where and as the catalog's table says.
    async fn assert_fits(&self, stream: &[Change]) {
        assert!(!stream.is_empty());
        assert_every_change(&self.rows().await, stream);
        assert_eq!(self.table["StorageDescriptor"]["Location"], format!("s3://{}/{}/", self.bucket, self.prefix));
        let template = self.table["Parameters"]["storage.location.template"].as_str().unwrap();
        for object in self.objects().await {
            let url = format!("s3://{}/{object}", self.bucket);
            let value = |name: &str| url.split('/').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')).unwrap().to_owned();
            let partition = template.replace("${dt}", &value("dt")).replace("${hr}", &value("hr"));
            assert_eq!(url.rsplit_once('/').unwrap().0, partition.trim_end_matches('/'), "the projection finds no {url}");
        }
        let columns: Vec<[String; 2]> = self.read("columns").await;
        let declared = self.table["StorageDescriptor"]["Columns"].as_array().unwrap();
        let declared = declared.iter().map(|column| [&column["Name"], &column["Type"]].map(|text| text.as_str().unwrap().to_owned()));
        assert_eq!(columns, declared.collect::<Vec<_>>());
    }
}
