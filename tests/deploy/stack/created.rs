//! A created stack: what CloudFormation says of it, and what its resources' own services say.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::cloud::Cloud;

const TEMPLATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/cloudformation/headwater.yaml");
const NAME: &str = "orders";
/// What a person must say, and one thing more: the stand-in does not evaluate the Fn::Join by which a condition tells whether there are further keys.
const PARAMETERS: [(&str, &str); 4] = [
    ("Image", "000000000000.dkr.ecr.us-east-1.amazonaws.com/headwater:test"),
    ("VpcId", "vpc-00000001"),
    ("SubnetIds", "subnet-00000001,subnet-00000002"),
    ("FurtherKmsKeyArns", "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000001"),
];

/// How an operation on a stack ended.
#[derive(Debug, Deserialize)]
pub(super) struct Outcome {
    pub(super) status: String,
    #[serde(default)]
    pub(super) reason: String,
    /// Why the stand-in could not create a resource, by its logical name.
    #[serde(default)]
    pub(super) not_created: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) outputs: BTreeMap<String, String>,
}

/// A stack that was asked for.
pub(super) struct Stack<'a> {
    cloud: &'a Cloud,
    parameters: String,
    pub(super) outcome: Outcome,
    /// The outcome as it was printed, which has the names of the resources too.
    printed: String,
}

/// A resource that the template asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Resource {
    pub(super) logical: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// Where it is not what the template says.
    pub(super) differs: BTreeSet<String>,
    /// What the template says, evaluated.
    pub(super) properties: Value,
    /// What its service says; null when it is not there.
    pub(super) actual: Value,
}

/// All resources of a stack, but those that the stand-in could not create.
#[derive(Debug, Deserialize)]
pub(super) struct Look {
    pub(super) resources: Vec<Resource>,
    /// Resources that were created although the template does not ask for them.
    pub(super) unasked: Vec<String>,
}

impl<'a> Stack<'a> {
    /// Creates a stack with these parameters, or has it refused.
    pub(super) async fn create(cloud: &'a Cloud, parameters: &[(&str, &str)]) -> Self {
        let all: Map<String, Value> =
            PARAMETERS.iter().chain(parameters).map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        let parameters = Value::Object(all).to_string();
        let printed: Value = cloud.python("stack.py", &["create", NAME, TEMPLATE, &parameters]).await;
        Self { cloud, parameters, printed: printed.to_string(), outcome: serde_json::from_value(printed).unwrap() }
    }

    /// Looks at its resources, whether or not the stack is still there.
    pub(super) async fn look(&self) -> Look {
        self.cloud.python("stack.py", &["look", TEMPLATE, &self.parameters, &self.printed]).await
    }

    /// Deletes it, and waits until that is done.
    pub(super) async fn delete(&self) -> Outcome {
        self.cloud.python("stack.py", &["delete", NAME]).await
    }

    pub(super) fn output(&self, name: &str) -> &str {
        self.outcome.outputs.get(name).unwrap_or_else(|| panic!("the stack has no output {name}: {:?}", self.outcome))
    }
}

impl Look {
    pub(super) fn resource(&self, logical: &str) -> &Resource {
        let found = self.resources.iter().find(|resource| resource.logical == logical);
        found.unwrap_or_else(|| panic!("the template asks for no {logical}"))
    }

    /// The logical names of the resources that are there.
    pub(super) fn there(&self) -> BTreeSet<&str> {
        self.resources.iter().filter(|resource| !resource.actual.is_null()).map(|resource| resource.logical.as_str()).collect()
    }
}
