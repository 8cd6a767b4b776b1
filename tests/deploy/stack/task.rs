//! What ECS would run: the container of the created task definition, as a process.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::cloud::Cloud;
use super::created::Look;
use crate::support::dynamodb_local::free_port;
use crate::support::process::Headwater;

const SCHEMAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas");
const CONFIG: &str = "HEADWATER_CONFIG";
const PROGRAM: &str = "/usr/local/bin/headwater";

/// The container's environment and commands.
pub(super) struct Task<'a> {
    cloud: &'a Cloud,
    environment: BTreeMap<String, String>,
    command: Vec<String>,
    health_check: Vec<String>,
    /// What the schedule runs in the command's place.
    run_once: Vec<String>,
    /// How long ECS waits between SIGTERM and SIGKILL.
    pub(super) stop_timeout: Duration,
}

impl<'a> Task<'a> {
    /// The task as ECS and the scheduler show it. The working directory gets the contracts that the image has there.
    ///
    /// Two things are not the container's. It has a network of its own, in which its port is free: here the service listens elsewhere. And the
    /// stand-in's Firehose does not take aggregated records apart, as Firehose on AWS does: where it reads the stream, each change is a record.
    pub(super) fn of(look: &Look, cloud: &'a Cloud) -> Self {
        let schemas = cloud.folder().join("schemas");
        fs::create_dir(&schemas).unwrap();
        for contract in fs::read_dir(SCHEMAS).unwrap() {
            let contract = contract.unwrap();
            fs::copy(contract.path(), schemas.join(contract.file_name())).unwrap();
        }
        let definition = look.resource("TaskDefinition");
        let container = &definition.actual["containerDefinitions"][0];
        let mut settings = settings(look);
        let listen = format!("127.0.0.1:{}", free_port());
        settings["health"].as_table_mut().unwrap().insert("listen".to_owned(), listen.into());
        if look.resources.iter().any(|resource| resource.kind == "AWS::KinesisFirehose::DeliveryStream") {
            settings["kinesis"].as_table_mut().unwrap().insert("aggregation".to_owned(), false.into());
        }
        let mut environment = environment(container);
        environment.insert(CONFIG.to_owned(), settings.to_string());
        // The stand-in forgets the check, so it is the template's.
        let check = words(&definition.properties["ContainerDefinitions"][0]["HealthCheck"]["Command"]);
        assert_eq!(check[..2], ["CMD", PROGRAM], "no shell is needed, for the image has none");
        let input = text(&look.resource("SnapshotTimer").actual["Target"]["Input"]);
        let input: Value = serde_json::from_str(&input).unwrap();
        let overridden = &input["containerOverrides"][0];
        assert_eq!(overridden["name"], container["name"], "the schedule overrides the command of the one container");
        Self {
            cloud,
            environment,
            command: words(&container["command"]),
            health_check: check[2..].to_vec(),
            run_once: words(&overridden["command"]),
            stop_timeout: Duration::from_secs(container["stopTimeout"].as_u64().unwrap()),
        }
    }

    /// Starts the service.
    pub(super) fn start(&self) -> Headwater {
        self.headwater(&self.command)
    }

    /// Whether the container's health check says that it is healthy.
    pub(super) async fn is_healthy(&self, patience: Duration) -> bool {
        self.headwater(&self.health_check).exit(patience).await.success()
    }

    /// Starts the task that the schedule runs.
    pub(super) fn run_once(&self) -> Headwater {
        self.headwater(&self.run_once)
    }

    /// Starts another command with the container's environment.
    pub(super) fn headwater<T: AsRef<str>>(&self, args: &[T]) -> Headwater {
        let variables: Vec<_> = self.environment.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        self.cloud.headwater(&variables, &args.iter().map(AsRef::as_ref).collect::<Vec<_>>())
    }
}

/// What the container's configuration says.
pub(super) fn settings(look: &Look) -> toml::Table {
    environment(&look.resource("TaskDefinition").actual["containerDefinitions"][0])[CONFIG].parse().unwrap()
}

fn environment(container: &Value) -> BTreeMap<String, String> {
    let variables = container["environment"].as_array().unwrap().iter();
    variables.map(|variable| (text(&variable["name"]), text(&variable["value"]))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list")).iter().map(text).collect()
}
