"""A CloudFormation template read and evaluated by the rules of the CloudFormation user guide, without any stand-in's help."""

import json
import re

import yaml


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, which become their long forms."""


# Dates stay the text that they are, as CloudFormation takes them.
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def short_form(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix in ("Ref", "Condition"):
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", short_form)


def load(path):
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, Loader)


# A property that Fn::If removes by AWS::NoValue.
NOTHING = object()


class Evaluation:
    """What a template's expressions are worth in one stack."""

    def __init__(self, template, parameters, physical, attribute, pseudo):
        """`physical` has the name of each created resource, `attribute(type, name, attribute)` tells Fn::GetAtt."""
        self.template = template
        self.parameters = {name: parameter.get("Default", "") for name, parameter in template.get("Parameters", {}).items()}
        self.parameters.update(parameters)
        self.physical = physical
        self.attribute = attribute
        self.pseudo = pseudo

    def parameter(self, name):
        value = self.parameters[name]
        declared = self.template["Parameters"][name]["Type"]
        if declared.startswith("List<") or declared == "CommaDelimitedList":
            return [part.strip() for part in str(value).split(",")]
        return value

    def reference(self, name):
        if name == "AWS::NoValue":
            return NOTHING
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.parameters:
            return self.parameter(name)
        return self.physical[name]

    def get_att(self, logical, attribute):
        return self.attribute(self.template["Resources"][logical]["Type"], self.physical[logical], attribute)

    def condition(self, name):
        return self.holds(self.template["Conditions"][name])

    def holds(self, node):
        (function, argument), = node.items()
        if function == "Condition":
            return self.condition(argument)
        if function == "Fn::Equals":
            first, second = (str(self.value(side)) for side in argument)
            return first == second
        if function == "Fn::Not":
            return not self.holds(argument[0])
        if function == "Fn::And":
            return all(self.holds(part) for part in argument)
        if function == "Fn::Or":
            return any(self.holds(part) for part in argument)
        raise ValueError(f"{function} is no condition")

    def value(self, node):
        if isinstance(node, list):
            values = (self.value(part) for part in node)
            return [value for value in values if value is not NOTHING]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (function, argument), = node.items()
            if function == "Ref":
                return self.reference(argument)
            if function.startswith("Fn::"):
                return self.function(function, argument)
        values = {name: self.value(part) for name, part in node.items()}
        return {name: value for name, value in values.items() if value is not NOTHING}

    def function(self, function, argument):
        if function == "Fn::If":
            name, then, otherwise = argument
            return self.value(then if self.condition(name) else otherwise)
        if function == "Fn::Sub":
            return self.substituted(argument)
        if function == "Fn::GetAtt":
            logical, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
            return self.get_att(logical, attribute)
        if function == "Fn::Join":
            separator, parts = argument
            return separator.join(str(part) for part in self.value(parts))
        if function == "Fn::Select":
            index, parts = argument
            return self.value(parts)[int(self.value(index))]
        if function == "Fn::Split":
            separator, text = argument
            return self.value(text).split(separator)
        if function == "Fn::FindInMap":
            name, first, second = (self.value(part) for part in argument)
            return self.template["Mappings"][name][str(first)][str(second)]
        raise ValueError(f"{function} is not evaluated here")

    def substituted(self, argument):
        text, own = argument if isinstance(argument, list) else (argument, {})

        def meaning(found):
            name = found.group(1)
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in own:
                return str(self.value(own[name]))
            if "." in name:
                return str(self.get_att(*name.split(".", 1)))
            return str(self.reference(name))

        return re.sub(r"\$\{([^}]+)\}", meaning, text)


def differences(expected, actual, path=""):
    """The paths of what is expected and not there. More may be there: services state their defaults."""
    if isinstance(expected, dict):
        if isinstance(actual, str):
            actual = json.loads(actual)
        if not isinstance(actual, dict):
            return [path]
        # Most APIs begin their names with a small letter where CloudFormation has a capital.
        there = {name[:1].lower() + name[1:]: value for name, value in actual.items()}
        found = []
        for name, value in expected.items():
            below = f"{path}.{name}" if path else name
            found += differences(value, there.get(name[:1].lower() + name[1:]), below)
        return found
    if isinstance(expected, list):
        if not isinstance(actual, list):
            actual = [actual]
        if len(actual) != len(expected):
            return [path]
        found = []
        for one, other in zip(expected, actual):
            found += differences(one, other, f"{path}[]")
        return sorted(set(found))
    return [] if scalar(expected) == scalar(actual) else [path]


def scalar(value):
    """Some services give numbers and booleans as text, and text with JSON in it in another layout."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str) and value.startswith("{"):
        try:
            return json.dumps(json.loads(value), sort_keys=True)
        except ValueError:
            return value
    if isinstance(value, list) and len(value) == 1:
        return scalar(value[0])
    return str(value)
