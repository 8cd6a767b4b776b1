//! What must hold of a stack beyond what linters know: each rule gives the problems that it finds.

use std::collections::BTreeMap;

use serde_json::Value;

use super::stack::ACCOUNT;

pub(super) type Resources = BTreeMap<String, Value>;
pub(super) type Rule = fn(&Resources) -> Vec<String>;

/// Every rule of this file.
pub(super) const ALL: &[Rule] = &[
    every_store_is_encrypted,
    roles_may_do_only_what_is_named,
    roles_are_assumed_by_one_service_for_this_account,
    the_lake_is_written_below_its_folder,
    nobody_calls_in,
    the_bucket_is_private_and_spoken_to_by_tls,
    what_cannot_be_made_again_is_kept,
    containers_are_locked_down,
];

/// Statements with `Resource: "*"`, and why no resource can be named.
const ANY_RESOURCE: &[(&str, &str, &str)] =
    &[("ExecutionRole", "LogInToTheRegistry", "the token is for a registry as a whole: IAM knows no resource for it")];

/// Resources that hold data or send it on, each with where it says how that is encrypted, and what must stand there.
const ENCRYPTED: &[(&str, &str, &str)] = &[
    ("AWS::S3::Bucket", "/BucketEncryption/ServerSideEncryptionConfiguration/0/ServerSideEncryptionByDefault/SSEAlgorithm", "aws:kms"),
    (
        "AWS::S3::Bucket",
        "/BucketEncryption/ServerSideEncryptionConfiguration/0/ServerSideEncryptionByDefault/KMSMasterKeyID",
        "arn:aws:kms:",
    ),
    ("AWS::DynamoDB::Table", "/SSESpecification/SSEEnabled", "true"),
    ("AWS::Kinesis::Stream", "/StreamEncryption/EncryptionType", "KMS"),
    ("AWS::Kinesis::Stream", "/StreamEncryption/KeyId", "arn:aws:kms:"),
    ("AWS::Logs::LogGroup", "/KmsKeyId", "arn:aws:kms:"),
    ("AWS::SNS::Topic", "/KmsMasterKeyId", "arn:aws:kms:"),
    ("AWS::Athena::WorkGroup", "/WorkGroupConfiguration/ResultConfiguration/EncryptionConfiguration/EncryptionOption", "SSE_KMS"),
    ("AWS::Athena::WorkGroup", "/WorkGroupConfiguration/EnforceWorkGroupConfiguration", "true"),
    ("AWS::KMS::Key", "/EnableKeyRotation", "true"),
];

/// Resources that hold no data of their own; what they write goes to those above.
const WITHOUT_DATA: &[&str] = &[
    "AWS::Athena::NamedQuery",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::EC2::SecurityGroup",
    "AWS::ECS::Cluster",
    "AWS::ECS::Service",
    "AWS::ECS::TaskDefinition",
    "AWS::Events::Rule",
    "AWS::Glue::Classifier",
    "AWS::Glue::Crawler",
    "AWS::Glue::Database",
    "AWS::Glue::Table",
    "AWS::IAM::Role",
    "AWS::KMS::Alias",
    "AWS::KinesisFirehose::DeliveryStream",
    "AWS::Logs::LogStream",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::Scheduler::Schedule",
    "AWS::Scheduler::ScheduleGroup",
];

fn of_type<'r>(resources: &'r Resources, kind: &str) -> impl Iterator<Item = (&'r String, &'r Value)> {
    resources.iter().filter(move |(_, resource)| resource["Type"] == kind).map(|(id, resource)| (id, &resource["Properties"]))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// One or several, as policies spell it.
fn several(value: &Value) -> Vec<String> {
    value.as_array().map_or_else(|| vec![text(value)], |values| values.iter().map(text).collect())
}

fn every_store_is_encrypted(resources: &Resources) -> Vec<String> {
    let mut problems = Vec::new();
    for (id, resource) in resources {
        let kind = resource["Type"].as_str().unwrap();
        let places: Vec<_> = ENCRYPTED.iter().filter(|(of, _, _)| *of == kind).collect();
        if places.is_empty() && !WITHOUT_DATA.contains(&kind) {
            problems.push(format!("{id}: say for {kind} where it is encrypted, or that it holds nothing"));
        }
        for (_, place, wanted) in places {
            let found = resource["Properties"].pointer(place).map(text).unwrap_or_default();
            if !found.starts_with(wanted) {
                problems.push(format!("{id}: {place} is '{found}', not {wanted}"));
            }
        }
    }
    problems
}

/// The statements of all roles, with whose they are.
fn role_statements(resources: &Resources) -> impl Iterator<Item = (&String, &Value)> {
    of_type(resources, "AWS::IAM::Role").flat_map(|(id, role)| {
        assert!(role.get("ManagedPolicyArns").is_none(), "{id}: what a managed policy allows is not seen here");
        let policies = role["Policies"].as_array().unwrap().iter();
        policies.flat_map(|policy| policy["PolicyDocument"]["Statement"].as_array().unwrap()).map(move |statement| (id, statement))
    })
}

fn roles_may_do_only_what_is_named(resources: &Resources) -> Vec<String> {
    let mut problems = Vec::new();
    for (id, statement) in role_statements(resources) {
        let sid = text(&statement["Sid"]);
        let mut problem = |what: String| problems.push(format!("{id}, {sid}: {what}"));
        if statement["Effect"] != "Allow" || statement.get("NotAction").is_some() || statement.get("NotResource").is_some() {
            problem("only what is allowed by name is understood".to_owned());
        }
        for action in several(&statement["Action"]).into_iter().filter(|action| action.contains('*')) {
            problem(format!("action {action} is a pattern"));
        }
        let excused = ANY_RESOURCE.iter().any(|(role, excused, _)| role == id && *excused == sid);
        for resource in several(&statement["Resource"]) {
            // arn:partition:service:region:account:the resource, of which something must be named.
            let named = resource.splitn(6, ':').nth(5).is_some_and(|name| !name.starts_with('*') && name.split('/').nth(1) != Some("*"));
            if !named && !excused {
                problem(format!("resource {resource} names nothing"));
            }
            if named && excused {
                problem("its exception is not needed".to_owned());
            }
        }
        let encrypts = several(&statement["Action"]).iter().any(|action| action.starts_with("kms:"));
        if encrypts && statement.pointer("/Condition/StringEquals/kms:ViaService").is_none() {
            problem("a key is to be used through the services alone that are named".to_owned());
        }
        if several(&statement["Action"]).contains(&"iam:PassRole".to_owned())
            && statement.pointer("/Condition/StringEquals/iam:PassedToService").is_none()
        {
            problem("a role is to be passed to one service alone".to_owned());
        }
    }
    problems
}

fn roles_are_assumed_by_one_service_for_this_account(resources: &Resources) -> Vec<String> {
    let mut problems = Vec::new();
    for (id, role) in of_type(resources, "AWS::IAM::Role") {
        for statement in role["AssumeRolePolicyDocument"]["Statement"].as_array().unwrap() {
            if !statement["Principal"]["Service"].is_string() {
                problems.push(format!("{id}: one service is expected to assume it"));
            }
            let equal = &statement["Condition"]["StringEquals"];
            if equal["aws:SourceAccount"] != ACCOUNT && equal["sts:ExternalId"] != ACCOUNT {
                problems.push(format!("{id}: its service could be made to assume it for another account"));
            }
        }
    }
    problems
}

fn the_lake_is_written_below_its_folder(resources: &Resources) -> Vec<String> {
    let mut problems = Vec::new();
    for (id, statement) in role_statements(resources) {
        for action in several(&statement["Action"]) {
            let folder = match action.as_str() {
                "s3:PutObject" | "s3:AbortMultipartUpload" => "/lake/sales_orders/",
                "s3:DeleteObject" => "/lake/sales_orders/quarantine/",
                action if action.starts_with("s3:Put") || action.starts_with("s3:Delete") => {
                    problems.push(format!("{id}: {action} is not needed"));
                    continue;
                }
                _ => continue,
            };
            for resource in several(&statement["Resource"]).into_iter().filter(|resource| !resource.contains(folder)) {
                problems.push(format!("{id}: {action} on {resource}, not below {folder}"));
            }
        }
    }
    problems
}

fn nobody_calls_in(resources: &Resources) -> Vec<String> {
    let mut problems = Vec::new();
    for (id, group) in of_type(resources, "AWS::EC2::SecurityGroup") {
        if group.get("SecurityGroupIngress").is_some_and(|rules| !rules.as_array().unwrap().is_empty()) {
            problems.push(format!("{id}: the tasks are called by nobody"));
        }
        for rule in group["SecurityGroupEgress"].as_array().unwrap() {
            if (&rule["FromPort"], &rule["ToPort"]) != (&443.into(), &443.into()) {
                problems.push(format!("{id}: the tasks call out by HTTPS alone, not by {rule}"));
            }
        }
    }
    problems.extend(
        resources
            .keys()
            .filter(|id| resources[*id]["Type"] == "AWS::EC2::SecurityGroupIngress")
            .map(|id| format!("{id}: the tasks are called by nobody")),
    );
    problems
}

fn the_bucket_is_private_and_spoken_to_by_tls(resources: &Resources) -> Vec<String> {
    let mut problems = Vec::new();
    for (id, bucket) in of_type(resources, "AWS::S3::Bucket") {
        for block in ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"] {
            if text(&bucket["PublicAccessBlockConfiguration"][block]) != "true" {
                problems.push(format!("{id}: {block} is not set"));
            }
        }
        if bucket["VersioningConfiguration"]["Status"] != "Enabled" {
            problems.push(format!("{id}: what is deleted by hand could not be undone"));
        }
        if bucket.pointer("/OwnershipControls/Rules/0/ObjectOwnership") != Some(&"BucketOwnerEnforced".into()) {
            problems.push(format!("{id}: objects could belong to others"));
        }
        let rules = bucket["LifecycleConfiguration"]["Rules"].as_array().unwrap();
        for rule in rules.iter().filter(|rule| rule.get("ExpirationInDays").is_some() || rule.get("ExpirationDate").is_some()) {
            if !rule["Prefix"].as_str().is_some_and(|prefix| prefix.starts_with("athena-results/")) {
                problems.push(format!("{id}: objects of the lake would expire by {}", rule["Id"]));
            }
        }
        for class in rules.iter().flat_map(|rule| rule["Transitions"].as_array().into_iter().flatten()).map(|to| text(&to["StorageClass"]))
        {
            if !["STANDARD_IA", "GLACIER_IR"].contains(&class.as_str()) {
                problems.push(format!("{id}: Athena cannot read {class} at once"));
            }
        }
        let policy = of_type(resources, "AWS::S3::BucketPolicy").find(|(_, policy)| policy["Bucket"] == id.to_lowercase());
        let statements = policy.map(|(_, policy)| policy["PolicyDocument"]["Statement"].as_array().unwrap().as_slice()).unwrap_or_default();
        let by_tls = |statement: &Value| {
            statement["Effect"] == "Deny"
                && statement["Principal"] == "*"
                && statement["Action"] == "s3:*"
                && several(&statement["Resource"]).iter().any(|resource| resource.ends_with("/*"))
                && statement.pointer("/Condition/Bool/aws:SecureTransport").map(text) == Some("false".to_owned())
        };
        if !statements.iter().any(by_tls) {
            problems.push(format!("{id}: could be read without TLS"));
        }
        problems.extend(
            statements.iter().filter(|statement| statement["Effect"] != "Deny").map(|_| format!("{id}: its policy lets others in")),
        );
    }
    problems
}

fn what_cannot_be_made_again_is_kept(resources: &Resources) -> Vec<String> {
    let kept = ["AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::DynamoDB::Table", "AWS::KMS::Key"];
    let kept = resources.iter().filter(|(_, resource)| kept.contains(&resource["Type"].as_str().unwrap()));
    let lost =
        kept.filter(|(_, resource)| resource["DeletionPolicy"] != "RetainExceptOnCreate" || resource["UpdateReplacePolicy"] != "Retain");
    lost.map(|(id, _)| format!("{id}: would be gone with the stack")).collect()
}

fn containers_are_locked_down(resources: &Resources) -> Vec<String> {
    let mut problems = Vec::new();
    for (id, task) in of_type(resources, "AWS::ECS::TaskDefinition") {
        for container in task["ContainerDefinitions"].as_array().unwrap() {
            let user = container["User"].as_str().unwrap_or("root").split(':').next().unwrap_or_default().to_owned();
            let is_locked = user.parse().is_ok_and(|user: u32| user > 0)
                && text(&container["ReadonlyRootFilesystem"]) == "true"
                && text(&container["Privileged"]) == "false"
                && container["LinuxParameters"]["Capabilities"]["Drop"] == serde_json::json!(["ALL"])
                && container.get("PortMappings").is_none()
                && container.get("MountPoints").is_none();
            if !is_locked {
                problems.push(format!(
                    "{id}: the container is to run as a user with a number, on a read-only file system, without capabilities"
                ));
            }
            let check = several(&container["HealthCheck"]["Command"]);
            if check.first().map(String::as_str) != Some("CMD") || !check.get(1).is_some_and(|program| program.starts_with('/')) {
                problems.push(format!("{id}: the image has no shell for the health check {check:?}"));
            }
        }
    }
    problems
}
