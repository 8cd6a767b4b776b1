//! One example of each error. `«` stands before the place that the error must name.

use super::{SALES_ORDERS, document, errors, parse};
use crate::event::AttributeType::{self, B, N, S};

/// The text without its mark, and the mark's line and column.
fn unmark(marked: &str) -> (String, String) {
    let before = marked.split_once('«').map(|(before, _)| before).expect("a mark");
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (marked.replace('«', ""), format!("{line}:{column}"))
}

/// The marked document has exactly one error, which starts as given.
#[track_caller]
fn only_error(marked: &str, expected: &str) {
    let (text, at) = unmark(marked);
    let found = errors(&text);
    let expected = format!("c.yaml:{at}: {expected}");
    assert!(found.starts_with(&expected) && found.lines().count() == 1, "{text}\n  gives: {found}\n  not:   {expected}");
}

/// A property that has one error; the path is below the property.
#[track_caller]
fn property_error(marked: &str, expected: &str) {
    only_error(&document(&[marked]), &format!("schema[0].properties[1]{expected}"));
}

/// The smallest document, changed.
#[track_caller]
fn document_error(replace: (&str, &str), expected: &str) {
    let text = document(&[]);
    assert!(text.contains(replace.0), "{}", replace.0);
    only_error(&text.replacen(replace.0, replace.1, 1), expected);
}

#[test]
fn an_error_names_file_line_column_path_problem_and_what_is_expected() {
    let text = SALES_ORDERS.replace("decimal(12,2)", "decimal(40,2)");
    assert_eq!(errors(&text), "c.yaml:101:23: schema[0].properties[7].physicalType: 'decimal(40,2)': a precision of 1 to 38 is expected");
}

#[test]
fn all_errors_are_reported_at_once_in_the_order_of_the_text() {
    let text = SALES_ORDERS
        .replace("kind: DataContract", "kind: Contract")
        .replace("decimal(12,2)", "double")
        .replace("name: region", "name: cdc_region")
        .replace("unit: minutes", "unit: m");
    let errors = parse(&text).unwrap_err();
    let paths: Vec<&str> = errors.errors().iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["kind", "schema[0].properties[7].physicalType", "schema[0].properties[9].name", "slaProperties[0].unit"]);
    assert_eq!(errors.to_string().lines().count(), 4);
    assert_eq!(errors.file(), "c.yaml");
}

#[test]
fn a_document_that_is_not_yaml_or_not_a_mapping() {
    only_error("id: a\nname: [b\nkind«: c\n", "illegal placement of ':' indicator: one document of valid YAML is expected");
    only_error("id: a\nname: «*unknown\n", "reference to unknown value: one document");
    let deep: Vec<String> = (0..50).map(|i| " ".repeat(i) + "a:").collect();
    let deep = deep.join("\n");
    assert!(errors(&deep).starts_with("c.yaml:41:41: YAML document too large or too complex"), "{}", errors(&deep));
    only_error("«- a\n", "a list: a data contract (a mapping) is expected");
    assert!(errors("").contains("a data contract (a mapping) is expected"), "{}", errors(""));
    let twice = errors(&document(&[]).replace("id: c", "id: c\nkind: DataContract"));
    assert!(twice.starts_with("c.yaml:4:1: ") && twice.lines().count() == 1, "{twice}");
}

#[test]
fn fields_of_the_document() {
    document_error(("v3.1.0", "«v2.2.2"), "apiVersion: 'v2.2.2' is not a version that is understood: v3.1.0");
    document_error(("v3.1.0", "«v3.x"), "apiVersion: 'v3.x' is not a version");
    document_error(("DataContract", "«datacontract"), "kind: 'datacontract': did you mean 'DataContract'?");
    document_error(("id: c", "id: «''"), "id: is empty");
    document_error(("version: 1.0.0", "version: «1.0"), "version: the number 1: text is expected (put it in quotes)");
    document_error(("apiVersion: v3.1.0\nkind: DataContract\nid: c\n", "«apiVersion: v3.1.0\nkind: DataContract\n"), "id: is missing");
    document_error(("apiVersion: v3.1.0\n", "«kind: DataContract\n#"), "apiVersion: is missing");
    document_error(
        ("status: draft", "«statuss: draft\nstatus: draft"),
        "statuss: the standard has no such field in a data contract: did you mean 'status'?",
    );
    document_error(
        ("status: draft", "status: draft\n«owner: me"),
        "owner: the standard has no such field in a data contract: what the standard",
    );
    document_error(("status: draft", "status: draft\nteam: «me"), "team: 'me': a team (a mapping) is expected");
    document_error(
        ("status: draft", "status: draft\nservers: [{server: a, type: s3, location: 's3://b', «port: 1}]"),
        "servers[0].port: the standard has no such field in a server with type 's3'",
    );
    document_error(
        ("status: draft", "status: draft\nservers: [«{server: a, type: glue, account: '1'}]"),
        "servers[0].database: is missing",
    );
    document_error(
        ("status: draft", "status: draft\nservers: [{server: a, type: «s4, x: 1}]"),
        "servers[0].type: 's4': did you mean 's3'?",
    );
}

#[test]
fn the_schema_itself() {
    only_error("apiVersion: v3.1.0\nkind: DataContract\nid: c\nversion: 1.0.0\nstatus: draft\nschema: «[]\n", "schema: is empty");
    document_error(("{name: t, ", "«{"), "schema[0].name: is missing");
    document_error(
        ("  - {name: t,", "  - {name: u, physicalName: t, properties: [{name: a, logicalType: string, primaryKey: true}]}\n  - «{name: t,"),
        "schema[1].name: another object describes 't' as well",
    );
    property_error(
        "{name: v, logicalType: string, «clasification: PII}",
        ".clasification: the standard has no such field in a property with logicalType 'string': did you mean 'classification'?",
    );
    property_error(
        "{name: v, logicalType: string, «items: {logicalType: string}}",
        ".items: the standard has no such field in a property with logicalType 'string'",
    );
    property_error(
        "{name: v, logicalType: string, logicalTypeOptions: {«minimum: 1}}",
        ".logicalTypeOptions.minimum: the standard has no such field in options of a string",
    );
    property_error("«{name: v}", ".logicalType: is missing");
    property_error("{name: v, logicalType: «strng}", ".logicalType: 'strng': did you mean 'string'?");
    property_error("«{logicalType: string}", ".name: is missing");
    property_error("{name: v, logicalType: string, required: «yes}", ".required: 'yes': true or false is expected");
}

#[test]
fn types() {
    property_error(
        "{name: v, logicalType: number, physicalType: «decimal}",
        ".physicalType: 'decimal': a precision and a scale are expected",
    );
    property_error(
        "{name: v, logicalType: number, physicalType: «'decimal(0,0)'}",
        ".physicalType: 'decimal(0,0)': a precision of 1 to 38",
    );
    property_error(
        "{name: v, logicalType: number, physicalType: «'decimal(4,5)'}",
        ".physicalType: 'decimal(4,5)': a scale of 0 to the precision, 4,",
    );
    property_error("«{name: v, logicalType: number}", ".physicalType: is missing: 'decimal(p,s)' or 'string' is expected");
    property_error("{name: v, logicalType: number, physicalType: «double}", ".physicalType: 'double': floating point loses digits");
    property_error(
        "{name: v, logicalType: string, physicalType: «'varchar(20)'}",
        ".physicalType: 'varchar(20)': the lake keeps it as 'string'",
    );
    property_error("{name: v, logicalType: string, physicalType: «blob}", ".physicalType: 'blob': string, bigint, decimal(p,s), boolean");
    for (logical, physical, expected) in [
        ("string", "bigint", "string"),
        ("integer", "'decimal(5,2)'", "bigint, decimal(p,0) or string"),
        ("integer", "boolean", "bigint, decimal(p,0) or string"),
        ("number", "bigint", "decimal(p,s) or string"),
        ("boolean", "string", "boolean"),
        ("date", "timestamp", "string"),
        ("timestamp", "bigint", "timestamp or string"),
        ("object", "timestamp", "struct or string"),
        ("array", "struct", "string"),
    ] {
        let expected =
            format!(".physicalType: '{}' does not go with logicalType '{logical}': {expected} is expected", physical.trim_matches('\''));
        property_error(&format!("{{name: v, logicalType: {logical}, physicalType: «{physical}}}"), &expected);
    }
    property_error("{name: v, logicalType: object, physicalType: «struct}", ".physicalType: 'struct' without properties");
    property_error(
        "{name: v, logicalType: timestamp, logicalTypeOptions: {format: «yyyy-MM-dd}}",
        ".logicalTypeOptions.format: \"yyyy-MM-dd\" cannot be kept as a timestamp and rebuilt exactly",
    );
}

#[test]
fn dynamodb_types() {
    let custom = |logical: &str, value: &str| {
        format!("{{name: v, logicalType: {logical}, customProperties: [{{property: dynamodbType, value: «{value}}}]}}")
    };
    property_error(
        &custom("string", "s"),
        ".customProperties[0].value: 's' is not a DynamoDB type: S, N, B, BOOL, L, M, SS, NS or BS is expected",
    );
    property_error(&custom("integer", "S"), ".customProperties[0].value: 'S' does not go with logicalType 'integer': N is expected");
    property_error(
        &custom("array", "M"),
        ".customProperties[0].value: 'M' does not go with logicalType 'array': L, SS, NS or BS is expected",
    );
    property_error(
        "{name: v, logicalType: string, customProperties: [{property: «dynamoDbType, value: B}]}",
        ".customProperties[0].property: 'dynamoDbType': did you mean 'dynamodbType'?",
    );
    property_error(
        "{name: v, logicalType: array, items: {logicalType: string, customProperties: [{property: dynamodbType, value: «B}]}}",
        ".items.customProperties[0].value: a value of type B cannot be told apart",
    );
}

#[test]
fn keys() {
    document_error(
        (
            "  - {name: t, properties: [\n        {name: pk, logicalType: string, primaryKey: true},",
            "  - «{name: t, properties: [\n        {name: pk, logicalType: string},",
        ),
        "schema[0].properties: no property is the primary key",
    );
    document_error(
        ("primaryKey: true", "primaryKey: true, primaryKeyPosition: «2"),
        "schema[0].properties[0]: the only key property is not in position 1",
    );
    document_error(
        ("{name: pk, logicalType: string", "{name: «pk, logicalType: integer"),
        "schema[0].properties[0]: 'pk' is a key and not text: physicalType 'string' is expected",
    );
    document_error(
        ("primaryKey: true", "primaryKey: true, required: «false"),
        "schema[0].properties[0].required: a key attribute is always there",
    );
    property_error(
        "{name: v, logicalType: string, primaryKeyPosition: «1}",
        ".primaryKeyPosition: the property is not part of the primary key",
    );
    property_error(
        "{name: v, logicalType: object, properties: [{name: x, logicalType: string, primaryKey: «true}]}",
        ".properties[0].primaryKey: a nested field cannot be part of the primary key",
    );
    let two = document(&["{name: sk, logicalType: string, primaryKey: true}"]);
    let found = errors(&two);
    assert_eq!(found.lines().count(), 2, "{found}");
    assert!(found.starts_with("c.yaml:8:9: schema[0].properties[0].primaryKeyPosition: does not tell the key's order"), "{found}");
    only_error(
        &document(&["{name: sk, logicalType: string, primaryKey: true, primaryKeyPosition: «1}"])
            .replace("true},\n", "true, primaryKeyPosition: 1},\n"),
        "schema[0].properties[1].primaryKeyPosition: 'pk' has the same position",
    );
    only_error(
        &document(&["{name: sk, logicalType: string, primaryKey: true}", "«{name: k3, logicalType: string, primaryKey: true}"]),
        "schema[0].properties[2]: there are 3 key properties",
    );
}

#[test]
fn names() {
    property_error("{name: «pk, logicalType: string}", ".name: 'pk' is described twice, first on line 8");
    property_error(
        "{name: «PK, logicalType: string}",
        ".name: gives the column 'pk', as 'pk' on line 8 does: give the property another name",
    );
    property_error("{name: «cdcOp, logicalType: string}", ".name: gives the column 'cdc_op', which is reserved");
    property_error("{name: «old_cdc_extra, logicalType: string}", ".name: gives the column 'old_cdc_extra', which is reserved");
    property_error("{name: «dt, logicalType: string}", ".name: gives the column 'dt', which is reserved");
    property_error("{name: «日本, logicalType: string}", ".name: '日本' has no letter or digit of ASCII");
    let long = "a".repeat(252);
    property_error(
        &format!("{{name: «{long}, logicalType: string}}"),
        &format!(".name: gives the column 'old_{long}', which has 256 characters and Glue takes 255"),
    );
    let longest = document(&[&format!("{{name: {}, logicalType: string}}", "a".repeat(251))]);
    assert_eq!(errors(&longest), "");
    only_error(
        &document(&["{name: a_b, logicalType: string}", "{name: a, logicalType: object, properties: [{name: «b, logicalType: string}]}"]),
        "schema[0].properties[2].properties[0].name: gives the column 'a_b', as 'a_b' on line 9 does",
    );
    only_error(
        &document(&["{name: «v, logicalType: string}", "{name: old_v, logicalType: string}"]),
        "schema[0].properties[1].name: gives the column 'old_v', as 'old_v' on line 10 does",
    );
}

#[test]
fn depth() {
    let nested = |levels: usize| {
        format!("{}«{{name: z, logicalType: string}}{}", "{name: a, logicalType: object, properties: [".repeat(levels), "]}".repeat(levels))
    };
    only_error(&document(&[&nested(16)]), &format!("schema[0].properties[1]{}: lies 17 levels deep", ".properties[0]".repeat(16)));
    assert_eq!(errors(&document(&[&nested(15).replace('«', "")])), "");
    for value in ["16", "-1", "three"] {
        document_error(
            ("status: draft", &format!("status: draft\ncustomProperties: [{{property: flattenDepth, value: «{value}}}]")),
            "customProperties[0].value: ",
        );
    }
}

#[test]
fn quality_rules() {
    let rule = |logical: &str, rule: &str| format!("{{name: v, logicalType: {logical}, quality: [{rule}]}}");
    let invalid = |logical: &str, arguments: &str| rule(logical, &format!("{{metric: invalidValues, arguments: {arguments}, mustBe: 0}}"));
    property_error(&rule("string", "«{metric: nullValues}"), ".quality[0]: the rule compares with nothing: one of mustBe, ");
    property_error(&rule("string", "{metric: nullValues, mustBe: 0, «mustNotBe: 1}"), ".quality[0].mustNotBe: the rule compares twice");
    property_error(&rule("string", "{metric: nullValues, mustBe: «none}"), ".quality[0].mustBe: 'none': a number is expected");
    property_error(
        &rule("string", "{metric: nullValues, mustBeBetween: «[2, 1]}"),
        ".quality[0].mustBeBetween: a list: a list of two numbers",
    );
    property_error(
        &rule("string", "{metric: nullValues, mustBe: 0, unit: «per cent}"),
        ".quality[0].unit: 'per cent': rows or percent is expected",
    );
    property_error(&rule("string", "{metric: «nullValue, mustBe: 0}"), ".quality[0].metric: 'nullValue': did you mean 'nullValues'?");
    property_error(&rule("string", "{metric: «rowCount, mustBe: 0}"), ".quality[0].metric: 'rowCount' counts the rows of an object");
    property_error(&rule("string", "«{metric: invalidValues, mustBe: 0}"), ".quality[0].arguments.validValues: is missing");
    property_error(&rule("string", "«{metric: missingValues, mustBe: 0}"), ".quality[0].arguments.missingValues: is missing");
    property_error(&invalid("string", "{validValues: «[]}"), ".quality[0].arguments.validValues: a list: a list of at least one value");
    property_error(&invalid("string", "{validValues: [a, «1]}"), ".quality[0].arguments.validValues[1]: the number 1: text is expected");
    property_error(&invalid("integer", "{validValues: [1, «1]}"), ".quality[0].arguments.validValues[1]: the number 1 stands here twice");
    property_error(&invalid("string", "{pattern: «7}"), ".quality[0].arguments.pattern: the number 7: a regular expression is expected");
    property_error(&rule("string", "«{type: sql, mustBe: 0}"), ".quality[0].query: is missing");
    property_error(&rule("string", "«{type: custom, engine: soda}"), ".quality[0].implementation: is missing");
    property_error(&rule("string", "«{type: text}"), ".quality[0].description: is missing");
    property_error(
        &rule("string", "{type: text, description: a, «mustBe: 0}"),
        ".quality[0].mustBe: the standard has no such field in a quality rule with type 'text'",
    );
    let of_object = |rule: &str| (("{name: t, "), format!("{{name: t, quality: [{rule}], "));
    let (from, to) = of_object("{metric: «nullValues, mustBe: 0}");
    document_error((from, &to), "schema[0].quality[0].metric: 'nullValues' counts the values of a property");
    let (from, to) = of_object("«{metric: duplicateValues, mustBe: 0}");
    document_error((from, &to), "schema[0].quality[0].arguments.properties: is missing");
    let (from, to) = of_object("{metric: duplicateValues, arguments: {properties: [pk, «v]}, mustBe: 0}");
    document_error((from, &to), "schema[0].quality[0].arguments.properties[1]: the object has no property 'v'");
}

#[test]
fn service_levels() {
    let level = |level: &str| format!("status: draft\nslaProperties: [{level}]");
    document_error(("status: draft", &level("«{property: freshness, value: 5}")), "slaProperties[0].unit: is missing");
    document_error(("status: draft", &level("{property: freshness, value: 5, unit: «m}")), "slaProperties[0].unit: 'm': seconds, minutes");
    document_error(
        ("status: draft", &level("{property: latency, value: «0, unit: h}")),
        "slaProperties[0].value: the number 0: latency is a length of time",
    );
    document_error(("status: draft", &level("«{property: availability}")), "slaProperties[0].value: is missing");
    document_error(
        ("status: draft", &level("{property: availability, value: 1, element: «t.v}")),
        "slaProperties[0].element: the schema has no 't.v'",
    );
    document_error(("status: draft", "status: draft\nslaDefaultElement: «u"), "slaDefaultElement: the schema has no 'u'");
}

#[test]
fn a_table_that_the_contract_does_not_describe_or_whose_key_is_another() {
    let schema = |text: &str, table: &str, keys: &[(&str, AttributeType)]| {
        let keys: Vec<_> = keys.iter().map(|(name, of_type)| ((*name).to_owned(), *of_type)).collect();
        parse(text).unwrap().table_schema(table, Some(&keys)).map_or_else(|errors| errors.to_string(), |_| String::new())
    };
    let one = document(&[]);
    let two = document(&["{name: sk, logicalType: string, primaryKey: true, primaryKeyPosition: 2}"])
        .replace("primaryKey: true},", "primaryKey: true, primaryKeyPosition: 1},");
    assert_eq!(schema(&one, "t", &[("pk", S)]), "");
    for (text, table, keys, expected) in [
        (&one, "u", &[("pk", S)][..], "c.yaml:7:3: schema: no object describes table 'u': t is described; set physicalName"),
        (&one, "t", &[("id", S)], "c.yaml:8:16: schema[0].properties[0]: 'pk' is the partition key here, and 'id' is table 't''s"),
        (
            &one,
            "t",
            &[("pk", N)],
            "c.yaml:8:16: schema[0].properties[0]: the partition key 'pk' is of type S here, and of type N in table 't': logicalType 'integer'",
        ),
        (
            &one,
            "t",
            &[("pk", B)],
            "c.yaml:8:16: schema[0].properties[0]: the partition key 'pk' is of type S here, and of type B in table 't': logicalType 'string' with",
        ),
        (&one, "t", &[("pk", S), ("sk", N)], "c.yaml:8:16: schema[0].properties: there is no sort key, and table 't' has 'sk' (N)"),
        (&two, "t", &[("pk", S)], "c.yaml:9:16: schema[0].properties[1]: 'sk' is the sort key here, and table 't' has none"),
    ] {
        let found = schema(text, table, keys);
        assert!(found.starts_with(expected) && found.lines().count() == 1, "gives: {found}\n not:  {expected}");
    }
    assert_eq!(schema(&two, "t", &[("sk", S), ("pk", S)]).lines().count(), 2, "both key columns are in the wrong place");
}
