"""Creates, looks at and deletes stacks of a stand-in for CloudFormation. Prints JSON.

    stack.py create NAME TEMPLATE PARAMETERS       how it ended, what there is, and what the stand-in could not create
    stack.py look TEMPLATE PARAMETERS CREATED      each resource as its service shows it, and the paths where it differs from the template
    stack.py delete NAME                           how it ended

PARAMETERS is a JSON object; CREATED is what `create` printed. Endpoint, region and credentials come from the environment.
"""

import json
import os
import re
import sys
import time

import resources
from botocore.exceptions import ClientError
from template import Evaluation, differences, load

# A resource without properties that every CloudFormation has: it takes the place of what the stand-in does not know, so that references hold.
PLACEHOLDER = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
PATIENCE_SECONDS = 120


def cloudformation():
    return resources.client("cloudformation")


def stored(template):
    """The address of the template in a bucket: it is larger than the 51,200 bytes that a call may carry."""
    s3, bucket, key = resources.client("s3"), "templates", "template.json"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(template).encode())
    return f"{os.environ['AWS_ENDPOINT_URL']}/{bucket}/{key}"


def refused(template):
    """A template is refused as a whole, with the names of all the types that are not known."""
    try:
        cloudformation().validate_template(TemplateURL=stored(template))
    except ClientError as error:
        words = error.response["Error"]["Message"]
        types = re.fullmatch(r"Template format error: Unrecognized resource types: \[(.*)\]", words)
        if types is None:
            raise
        return types.group(1).split(", ")
    return []


def put_placeholder(template, logical):
    resource = template["Resources"][logical]
    kept = {key: resource[key] for key in ("Condition", "DependsOn") if key in resource}
    template["Resources"][logical] = {**PLACEHOLDER, **kept}


def with_numbers(template, parameters):
    """A parameter's value is text. CloudFormation makes a number of it where a property is one; the stand-in's ECS is given the text."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::ECS::Service":
            count = resource["Properties"]["DesiredCount"]["Ref"]
            resource["Properties"]["DesiredCount"] = int(parameters.get(count, template["Parameters"][count]["Default"]))


def ended(name):
    """Waits for the end of what is done to the stack."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        stack = cloudformation().describe_stacks(StackName=name)["Stacks"][0]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        if time.monotonic() > deadline:
            raise TimeoutError(f"stack {name} is still {stack['StackStatus']}")
        time.sleep(0.1)


def create_once(name, template, parameters):
    """Creates the stack. Returns its id, how it ended, and why resources failed, by their logical names."""
    stack_id = cloudformation().create_stack(
        StackName=name,
        TemplateURL=stored(template),
        Parameters=[{"ParameterKey": key, "ParameterValue": str(value)} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )["StackId"]
    status = ended(stack_id)["StackStatus"]
    pages = cloudformation().get_paginator("describe_stack_events").paginate(StackName=stack_id)
    events = [event for page in pages for event in page["StackEvents"]]
    failed = {
        event["LogicalResourceId"]: event["ResourceStatusReason"]
        for event in events
        if event["ResourceStatus"] == "CREATE_FAILED" and event["ResourceType"] != "AWS::CloudFormation::Stack"
    }
    return stack_id, status, failed


def create(name, path, parameters):
    """Creates the stack, as far as the stand-in can: a placeholder takes the place of each resource that it fails at, with its reason."""
    template, parameters = load(path), json.loads(parameters)
    with_numbers(template, parameters)
    not_created = {}
    for kind in refused(template):
        for logical, resource in list(template["Resources"].items()):
            if resource["Type"] == kind:
                put_placeholder(template, logical)
                not_created[logical] = f"{kind} is not known"
    while True:
        try:
            stack_id, status, failed = create_once(name, template, parameters)
        except ClientError as error:
            return {"status": "REFUSED", "reason": error.response["Error"]["Message"]}
        if status == "CREATE_COMPLETE" or not failed or failed.keys() & not_created.keys():
            break
        not_created.update(failed)
        for logical in failed:
            put_placeholder(template, logical)
        cloudformation().delete_stack(StackName=stack_id)
        ended(stack_id)
    stack = cloudformation().describe_stacks(StackName=stack_id)["Stacks"][0]
    return {
        "id": stack_id,
        "status": status,
        "reason": "\n".join(f"{logical}: {reason}" for logical, reason in failed.items()),
        "not_created": not_created,
        "outputs": {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])},
        "resources": {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in of_stack(stack_id)},
    }


def of_stack(name):
    return cloudformation().describe_stack_resources(StackName=name)["StackResources"]


def evaluation(stack_id, path, parameters, physical):
    region, account = resources.region(), resources.account()
    pseudo = {
        "AWS::AccountId": account,
        "AWS::Partition": "aws",
        "AWS::Region": region,
        "AWS::StackId": stack_id,
        "AWS::StackName": stack_id.split("/")[1],
        "AWS::URLSuffix": "amazonaws.com",
    }
    return Evaluation(load(path), json.loads(parameters), physical, resources.attribute, pseudo)


def wanted(evaluation):
    """The resources that the template's conditions ask for, with their properties evaluated."""
    for name, resource in evaluation.template["Resources"].items():
        if "Condition" not in resource or evaluation.condition(resource["Condition"]):
            yield name, resource["Type"], resource


def look(path, parameters, created):
    created = json.loads(created)
    evaluated = evaluation(created["id"], path, parameters, created["resources"])
    found = []
    for logical, kind, resource in wanted(evaluated):
        if logical in created["not_created"]:
            continue
        unseen = resources.UNSEEN.get(kind, set()) | {"Tags"}
        properties = {key: value for key, value in evaluated.value(resource.get("Properties", {})).items() if key not in unseen}
        there = resources.look(kind, created["resources"][logical], properties)
        differs = differences(properties, there) if there is not None else []
        found.append({"logical": logical, "type": kind, "differs": differs, "properties": properties, "actual": there})
    asked = {logical for logical, _, _ in wanted(evaluated)}
    return {"resources": found, "unasked": sorted(created["resources"].keys() - asked)}


def delete(name):
    stack_id = cloudformation().describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    cloudformation().delete_stack(StackName=name)
    return {"status": ended(stack_id)["StackStatus"]}


def main():
    command, *arguments = sys.argv[1:]
    commands = {"create": create, "look": look, "delete": delete}
    json.dump(commands[command](*arguments), sys.stdout, default=str)


main()
