//! What CloudFormation would make of the template: its functions resolved for given parameters, with made-up names of resources.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use crate::support::cloudformation;

pub(super) const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/cloudformation/headwater.yaml");

pub(super) const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-central-1";

/// The template, with every function in its long form.
#[derive(Clone)]
pub(super) struct Template(pub(super) Value);

/// A stack as it would be created.
pub(super) struct Stack<'t> {
    template: &'t Value,
    parameters: BTreeMap<String, Value>,
}

impl Template {
    /// Decoded once for all tests of a process: that takes a Python.
    pub(super) fn read() -> Self {
        static DECODED: OnceLock<Value> = OnceLock::new();
        Self(DECODED.get_or_init(|| cloudformation::decode(Path::new(PATH))).clone())
    }

    /// A stack with these parameters; the others have their defaults.
    pub(super) fn with(&self, given: &[(&str, &str)]) -> Stack<'_> {
        let mut given: BTreeMap<&str, &str> = given.iter().copied().collect();
        let required = [("Image", "example.org/headwater:1"), ("VpcId", "vpc-1"), ("SubnetIds", "subnet-1,subnet-2")];
        for (name, value) in required {
            given.entry(name).or_insert(value);
        }
        let declared = self.0["Parameters"].as_object().unwrap();
        let parameters = declared.iter().map(|(name, parameter)| {
            let text = match given.remove(name.as_str()) {
                Some(text) => text.to_owned(),
                None => spelled(&parameter["Default"]).unwrap_or_else(|| panic!("{name} has no default")),
            };
            let kind = parameter["Type"].as_str().unwrap();
            let is_list = kind == "CommaDelimitedList" || kind.starts_with("List<");
            (name.clone(), if is_list { text.split(',').map(Value::from).collect() } else { Value::from(text) })
        });
        let parameters = parameters.collect();
        assert!(given.is_empty(), "no such parameters: {given:?}");
        Stack { template: &self.0, parameters }
    }
}

impl Stack<'_> {
    /// The resources that there would be, by their logical ids.
    pub(super) fn resources(&self) -> BTreeMap<String, Value> {
        let all = self.template["Resources"].as_object().unwrap();
        let there = all.iter().filter(|(_, resource)| resource.get("Condition").is_none_or(|name| self.holds(name.as_str().unwrap())));
        there
            .map(|(id, resource)| {
                let mut resource = resource.clone();
                resource["Properties"] = self.resolve(&resource["Properties"]).unwrap_or_else(|| json!({}));
                (id.clone(), resource)
            })
            .collect()
    }

    /// The outputs that there would be.
    pub(super) fn outputs(&self) -> BTreeMap<String, Value> {
        let all = self.template["Outputs"].as_object().unwrap();
        let there = all.iter().filter(|(_, output)| output.get("Condition").is_none_or(|name| self.holds(name.as_str().unwrap())));
        there.map(|(name, output)| (name.clone(), self.resolve(&output["Value"]).unwrap())).collect()
    }

    /// What CloudFormation would refuse these parameters with. That subnets lie in the network is for CloudFormation alone to know.
    pub(super) fn refusals(&self) -> Vec<String> {
        let rules = self.template["Rules"].as_object().unwrap().values();
        let applied = rules.filter(|rule| rule.get("RuleCondition").is_none_or(|condition| self.is_true(condition)));
        let assertions = applied.flat_map(|rule| rule["Assertions"].as_array().unwrap());
        let judged = assertions.filter(|assertion| assertion["Assert"].get("Fn::EachMemberIn").is_none());
        let broken = judged.filter(|assertion| !self.is_true(&assertion["Assert"]));
        broken.map(|assertion| assertion["AssertDescription"].as_str().unwrap().to_owned()).collect()
    }

    fn holds(&self, condition: &str) -> bool {
        let conditions = &self.template["Conditions"];
        self.is_true(conditions.get(condition).unwrap_or_else(|| panic!("there is no condition {condition}")))
    }

    fn is_true(&self, condition: &Value) -> bool {
        let (function, arguments) = condition.as_object().and_then(|object| object.iter().next()).unwrap();
        let all = || arguments.as_array().unwrap();
        match function.as_str() {
            "Condition" => self.holds(arguments.as_str().unwrap()),
            "Fn::Not" => !self.is_true(&all()[0]),
            "Fn::And" => all().iter().all(|condition| self.is_true(condition)),
            "Fn::Or" => all().iter().any(|condition| self.is_true(condition)),
            "Fn::Equals" => {
                let text = |value: &Value| spelled(&self.resolve(value).unwrap()).unwrap();
                text(&all()[0]) == text(&all()[1])
            }
            other => panic!("{other} is no function of conditions that is known here"),
        }
    }

    /// A value without functions; none where it is left out.
    fn resolve(&self, value: &Value) -> Option<Value> {
        match value {
            Value::Array(values) => Some(values.iter().filter_map(|value| self.resolve(value)).collect()),
            Value::Object(object) => match object.iter().next() {
                Some((function, argument)) if object.len() == 1 && (function == "Ref" || function.starts_with("Fn::")) => {
                    self.call(function, argument)
                }
                _ => {
                    let members = object.iter().filter_map(|(name, value)| Some((name.clone(), self.resolve(value)?)));
                    Some(Value::Object(members.collect()))
                }
            },
            plain => Some(plain.clone()),
        }
    }

    fn call(&self, function: &str, argument: &Value) -> Option<Value> {
        let at = |index: usize| &argument.as_array().unwrap_or_else(|| panic!("{function} {argument}"))[index];
        let text = |value: &Value| spelled(&self.resolve(value).unwrap()).unwrap_or_else(|| panic!("{function}: {value} is no text"));
        match function {
            "Ref" => self.reference(argument.as_str().unwrap()),
            "Fn::If" => self.resolve(if self.holds(at(0).as_str().unwrap()) { at(1) } else { at(2) }),
            "Fn::GetAtt" => Some(self.attribute(at(0).as_str().unwrap(), at(1).as_str().unwrap()).into()),
            "Fn::FindInMap" => {
                Some(self.template["Mappings"][at(0).as_str().unwrap()][text(at(1))].get(text(at(2))).expect("is in the map").clone())
            }
            "Fn::Split" => Some(text(at(1)).split(&text(at(0))).map(Value::from).collect()),
            "Fn::Join" => {
                let parts = self.resolve(at(1)).unwrap();
                let parts: Vec<_> = parts.as_array().unwrap().iter().map(|part| spelled(part).unwrap()).collect();
                Some(parts.join(at(0).as_str().unwrap()).into())
            }
            "Fn::Sub" => Some(match argument {
                Value::String(words) => self.substitute(words, &Map::new()).into(),
                both => self.substitute(both[0].as_str().unwrap(), both[1].as_object().unwrap()).into(),
            }),
            other => panic!("{other} is not known here"),
        }
    }

    /// `${Name}` is one of `own`, a parameter or a resource, `${Name.Attribute}` an attribute, and `${!text}` is `${text}`.
    fn substitute(&self, words: &str, own: &Map<String, Value>) -> String {
        let mut out = String::new();
        let mut rest = words;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}').unwrap();
            out.push_str(before);
            match (name.strip_prefix('!'), own.get(name), name.split_once('.')) {
                (Some(literal), _, _) => out.extend(["${", literal, "}"]),
                (None, Some(value), _) => out.push_str(&spelled(&self.resolve(value).unwrap()).unwrap()),
                (None, None, Some((resource, attribute))) => out.push_str(&self.attribute(resource, attribute)),
                (None, None, None) => out.push_str(&spelled(&self.reference(name).unwrap()).unwrap()),
            }
            rest = behind;
        }
        out + rest
    }

    fn reference(&self, name: &str) -> Option<Value> {
        let pseudo = match name {
            "AWS::NoValue" => return None,
            "AWS::AccountId" => ACCOUNT,
            "AWS::Region" => REGION,
            "AWS::Partition" => "aws",
            "AWS::URLSuffix" => "amazonaws.com",
            "AWS::StackName" => "orders",
            _ => return Some(self.parameters.get(name).cloned().unwrap_or_else(|| self.resource(name).into())),
        };
        Some(pseudo.into())
    }

    /// What CloudFormation calls a resource: its name where the template gives one, or what stands for it.
    fn resource(&self, id: &str) -> String {
        let resource = self.existing(id);
        let properties = &resource["Properties"];
        let name = match resource["Type"].as_str().unwrap() {
            "AWS::DynamoDB::Table" => &properties["TableName"],
            "AWS::Logs::LogGroup" => &properties["LogGroupName"],
            "AWS::Glue::Database" => &properties["DatabaseInput"]["Name"],
            "AWS::Glue::Table" => &properties["TableInput"]["Name"],
            "AWS::SNS::Topic" => return format!("arn:aws:sns:{REGION}:{ACCOUNT}:{id}"),
            "AWS::ECS::TaskDefinition" => return format!("arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{id}:1"),
            _ => return id.to_lowercase(),
        };
        spelled(&self.resolve(name).unwrap()).unwrap()
    }

    fn attribute(&self, id: &str, attribute: &str) -> String {
        let resource = self.existing(id);
        match (resource["Type"].as_str().unwrap(), attribute) {
            ("AWS::S3::Bucket", "Arn") => format!("arn:aws:s3:::{}", self.resource(id)),
            (kind, "Arn") => {
                let service = kind.split("::").nth(1).unwrap().to_lowercase();
                format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{id}")
            }
            _ => format!("{id}-{attribute}"),
        }
    }

    /// A resource that there would be: nothing may refer to one that is left out.
    fn existing(&self, id: &str) -> &Value {
        let resource = self.template["Resources"].get(id).unwrap_or_else(|| panic!("there is neither a parameter nor a resource {id}"));
        if let Some(condition) = resource.get("Condition") {
            assert!(self.holds(condition.as_str().unwrap()), "something refers to {id}, which is not there with {:?}", self.parameters);
        }
        resource
    }
}

/// Texts and numbers as CloudFormation spells them: it knows no other values.
fn spelled(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
