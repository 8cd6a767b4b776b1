//! The fields of the Open Data Contract Standard v3.1 (Bitol), as its JSON schema defines them. Fields of servers are in [`servers`].

mod servers;

use super::shape::Shape::{
    Any, AtLeast, Boolean, Id, Integer, List, ListOr, Mapping, Number, Object as Of, OneOf, Range, Scalar, Text, TextOrMapping, Texts,
};
use super::shape::{Field, Object, Shape, Variant, may, must};

/// A whole document.
pub(super) static CONTRACT: Shape = Of(&Object {
    what: "a data contract",
    fields: &[&[
        must("apiVersion", Text),
        must("kind", OneOf(&["DataContract"])),
        must("id", Text),
        must("version", Text),
        must("status", Text),
        must("schema", List(&Of(&SCHEMA_OBJECT))),
        may("name", Text),
        may("tenant", Text),
        may("domain", Text),
        may("dataProduct", Text),
        may("tags", TAGS),
        may("description", Of(&DESCRIPTION)),
        may("servers", List(&Of(&servers::SERVER))),
        may("support", List(&Of(&SUPPORT))),
        may("price", Of(&PRICE)),
        may("team", ListOr(&TEAM_MEMBER, &TEAM)),
        may("roles", ROLES),
        may("slaDefaultElement", Text),
        may("slaProperties", List(&Of(&SLA_PROPERTY))),
        may("authoritativeDefinitions", DEFINITIONS),
        may("customProperties", CUSTOM),
        may("contractCreatedTs", Text),
    ]],
    variant: None,
});

const TAGS: Shape = List(&Text);
const CUSTOM: Shape = List(&Of(&CUSTOM_PROPERTY));
const DEFINITIONS: Shape = List(&Of(&DEFINITION));
const ROLES: Shape = List(&Of(&ROLE));
const PROPERTIES: Shape = List(&Of(&PROPERTY));
const QUALITY: Shape = List(&Of(&QUALITY_RULE));

/// An object without fields that depend on others.
const fn plain(what: &'static str, fields: &'static [&'static [Field]]) -> Object {
    Object { what, fields, variant: None }
}

static DESCRIPTION: Object = plain(
    "a description",
    &[&[
        may("purpose", Text),
        may("usage", Text),
        may("limitations", Text),
        may("authoritativeDefinitions", DEFINITIONS),
        may("customProperties", CUSTOM),
    ]],
);

static CUSTOM_PROPERTY: Object =
    plain("a custom property", &[&[may("id", Id), must("property", Text), must("value", Any), may("description", Text)]]);

static DEFINITION: Object =
    plain("an authoritative definition", &[&[may("id", Id), must("url", Text), must("type", Text), may("description", Text)]]);

static SUPPORT: Object = plain(
    "a support channel",
    &[&[
        may("id", Id),
        must("channel", Text),
        may("url", Text),
        may("description", Text),
        may("tool", Text),
        may("scope", Text),
        may("invitationUrl", Text),
        may("customProperties", CUSTOM),
    ]],
);

static PRICE: Object =
    plain("a price", &[&[may("id", Id), may("priceAmount", Number), may("priceCurrency", Text), may("priceUnit", Text)]]);

static TEAM: Object = plain(
    "a team",
    &[&[
        may("id", Id),
        may("name", Text),
        may("description", Text),
        may("members", List(&Of(&TEAM_MEMBER))),
        may("tags", TAGS),
        may("customProperties", CUSTOM),
        may("authoritativeDefinitions", DEFINITIONS),
    ]],
);

static TEAM_MEMBER: Object = plain(
    "a team member",
    &[&[
        may("id", Id),
        must("username", Text),
        may("name", Text),
        may("description", Text),
        may("role", Text),
        may("dateIn", Text),
        may("dateOut", Text),
        may("replacedByUsername", Text),
        may("tags", TAGS),
        may("customProperties", CUSTOM),
        may("authoritativeDefinitions", DEFINITIONS),
    ]],
);

static ROLE: Object = plain(
    "a role",
    &[&[
        may("id", Id),
        must("role", Text),
        may("description", Text),
        may("access", Text),
        may("firstLevelApprovers", Text),
        may("secondLevelApprovers", Text),
        may("customProperties", CUSTOM),
    ]],
);

static SLA_PROPERTY: Object = plain(
    "a service-level property",
    &[&[
        may("id", Id),
        must("property", Text),
        must("value", Scalar),
        may("valueExt", Scalar),
        may("unit", Text),
        may("element", Text),
        may("driver", Text),
        may("description", Text),
        may("scheduler", Text),
        may("schedule", Text),
    ]],
);

/// What objects and properties of the schema have in common.
static ELEMENT: &[Field] = &[
    may("id", Id),
    may("physicalName", Text),
    may("physicalType", Text),
    may("description", Text),
    may("businessName", Text),
    may("authoritativeDefinitions", DEFINITIONS),
    may("tags", TAGS),
    may("customProperties", CUSTOM),
    may("quality", QUALITY),
];

static SCHEMA_OBJECT: Object = plain(
    "a schema object",
    &[
        ELEMENT,
        &[
            must("name", Text),
            may("logicalType", OneOf(&["object"])),
            may("dataGranularityDescription", Text),
            must("properties", PROPERTIES),
            may("relationships", List(&Of(&OBJECT_RELATIONSHIP))),
        ],
    ],
);

static OBJECT_RELATIONSHIP: Object = plain(
    "a relationship of a schema object",
    &[&[may("type", OneOf(&["foreignKey"])), must("from", Texts), must("to", Texts), may("customProperties", CUSTOM)]],
);

static PROPERTY_RELATIONSHIP: Object =
    plain("a relationship of a property", &[&[may("type", OneOf(&["foreignKey"])), must("to", Texts), may("customProperties", CUSTOM)]]);

static PROPERTY: Object =
    Object { what: "a property", fields: &[ELEMENT, &[must("name", Text)], PROPERTY_FIELDS], variant: BY_LOGICAL_TYPE };

/// The type of an array's items: a property that may go without a name.
static ITEMS: Object =
    Object { what: "an items property", fields: &[ELEMENT, &[may("name", Text)], PROPERTY_FIELDS], variant: BY_LOGICAL_TYPE };

static PROPERTY_FIELDS: &[Field] = &[
    must("logicalType", OneOf(&["string", "date", "timestamp", "time", "number", "integer", "object", "array", "boolean"])),
    may("primaryKey", Boolean),
    may("primaryKeyPosition", Integer),
    may("required", Boolean),
    may("unique", Boolean),
    may("partitioned", Boolean),
    may("partitionKeyPosition", Integer),
    may("classification", Text),
    may("encryptedName", Text),
    may("transformSourceObjects", List(&Text)),
    may("transformLogic", Text),
    may("transformDescription", Text),
    may("examples", List(&Any)),
    may("criticalDataElement", Boolean),
    may("relationships", List(&Of(&PROPERTY_RELATIONSHIP))),
];

const BY_LOGICAL_TYPE: Option<Variant> = Some(Variant { field: "logicalType", fields: fields_of_logical_type });

fn fields_of_logical_type(logical: Option<&str>) -> Option<&'static [&'static [Field]]> {
    Some(match logical? {
        "string" => const { &[&[may("logicalTypeOptions", Of(&STRING_OPTIONS))]] },
        "date" => const { &[&[may("logicalTypeOptions", Of(&DATE_OPTIONS))]] },
        "timestamp" | "time" => const { &[&[may("logicalTypeOptions", Of(&TIMESTAMP_OPTIONS))]] },
        "integer" => const { &[&[may("logicalTypeOptions", Of(&INTEGER_OPTIONS))]] },
        "number" => const { &[&[may("logicalTypeOptions", Of(&NUMBER_OPTIONS))]] },
        "boolean" => const { &[&[may("logicalTypeOptions", Any)]] },
        "object" => const { &[&[may("logicalTypeOptions", Of(&OBJECT_OPTIONS)), may("properties", PROPERTIES)]] },
        "array" => const { &[&[may("logicalTypeOptions", Of(&ARRAY_OPTIONS)), may("items", Of(&ITEMS))]] },
        _ => return None,
    })
}

static STRING_OPTIONS: Object = plain(
    "options of a string",
    &[&[may("minLength", AtLeast(0)), may("maxLength", AtLeast(0)), may("pattern", Text), may("format", Text)]],
);

static DATE_BOUNDS: &[Field] =
    &[may("format", Text), may("minimum", Text), may("maximum", Text), may("exclusiveMinimum", Text), may("exclusiveMaximum", Text)];

static DATE_OPTIONS: Object = plain("options of a date", &[DATE_BOUNDS]);

static TIMESTAMP_OPTIONS: Object =
    plain("options of a timestamp", &[DATE_BOUNDS, &[may("timezone", Boolean), may("defaultTimezone", Text)]]);

static NUMBER_BOUNDS: &[Field] = &[
    may("multipleOf", Number),
    may("minimum", Number),
    may("maximum", Number),
    may("exclusiveMinimum", Number),
    may("exclusiveMaximum", Number),
];

static INTEGER_OPTIONS: Object = plain(
    "options of an integer",
    &[NUMBER_BOUNDS, &[may("format", OneOf(&["i8", "i16", "i32", "i64", "i128", "u8", "u16", "u32", "u64", "u128"]))]],
);

static NUMBER_OPTIONS: Object = plain("options of a number", &[NUMBER_BOUNDS, &[may("format", OneOf(&["f32", "f64"]))]]);

static OBJECT_OPTIONS: Object =
    plain("options of an object", &[&[may("minProperties", AtLeast(0)), may("maxProperties", AtLeast(0)), may("required", List(&Text))]]);

static ARRAY_OPTIONS: Object =
    plain("options of an array", &[&[may("minItems", AtLeast(0)), may("maxItems", AtLeast(0)), may("uniqueItems", Boolean)]]);

static QUALITY_RULE: Object = Object {
    what: "a quality rule",
    fields: &[&[
        may("id", Id),
        may("name", Text),
        may("type", OneOf(&["text", "library", "sql", "custom"])),
        may("description", Text),
        may("dimension", OneOf(&["accuracy", "completeness", "conformity", "consistency", "coverage", "timeliness", "uniqueness"])),
        may("businessImpact", Text),
        may("severity", Text),
        may("method", Text),
        may("unit", Text),
        may("schedule", Text),
        may("scheduler", Text),
        may("tags", TAGS),
        may("authoritativeDefinitions", DEFINITIONS),
        may("customProperties", CUSTOM),
    ]],
    variant: Some(Variant { field: "type", fields: fields_of_rule_type }),
};

/// The comparisons of which a measuring rule has exactly one.
pub(super) const OPERATORS: [&str; 8] = [
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
];

/// The fields of [`OPERATORS`].
static COMPARISONS: &[Field] = &[
    may("mustBe", Any),
    may("mustNotBe", Any),
    may("mustBeGreaterThan", Number),
    may("mustBeGreaterOrEqualTo", Number),
    may("mustBeLessThan", Number),
    may("mustBeLessOrEqualTo", Number),
    may("mustBeBetween", Range),
    may("mustNotBeBetween", Range),
];

static METRIC: &[Field] = &[
    must("metric", OneOf(&["nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount"])),
    may("rule", Text),
    may("arguments", Mapping),
];

fn fields_of_rule_type(rule: Option<&str>) -> Option<&'static [&'static [Field]]> {
    Some(match rule {
        Some("text") => &[],
        // `library` is the standard's default.
        None | Some("library") => const { &[METRIC, COMPARISONS] },
        Some("sql") => const { &[&[must("query", Text)], COMPARISONS] },
        Some("custom") => const { &[&[must("engine", Text), must("implementation", TextOrMapping)]] },
        Some(_) => return None,
    })
}
