//! The fields of a server, which depend on its type.

use super::super::shape::Shape::{Id, Integer, OneOf, Text};
use super::super::shape::{Field, Object, Variant, may, must};
use super::{CUSTOM, ROLES};

/// Where data of the contract lies.
pub(super) static SERVER: Object = Object {
    what: "a server",
    fields: &[&[
        may("id", Id),
        must("server", Text),
        must("type", OneOf(TYPES)),
        may("description", Text),
        may("environment", Text),
        may("roles", ROLES),
        may("customProperties", CUSTOM),
    ]],
    variant: Some(Variant { field: "type", fields }),
};

static TYPES: &[&str] = &[
    "api",
    "athena",
    "azure",
    "bigquery",
    "clickhouse",
    "databricks",
    "denodo",
    "dremio",
    "duckdb",
    "glue",
    "cloudsql",
    "db2",
    "hive",
    "impala",
    "informix",
    "kafka",
    "kinesis",
    "local",
    "mysql",
    "oracle",
    "postgresql",
    "postgres",
    "presto",
    "pubsub",
    "redshift",
    "s3",
    "sftp",
    "snowflake",
    "sqlserver",
    "synapse",
    "trino",
    "vertica",
    "zen",
    "custom",
];

fn fields(server_type: Option<&str>) -> Option<&'static [&'static [Field]]> {
    Some(match server_type? {
        "api" => const { &[&[must("location", Text)]] },
        "athena" => const { &[&[must("stagingDir", Text), must("schema", Text), may("catalog", Text), may("regionName", Text)]] },
        "azure" => const { &[&[must("location", Text), must("format", Text), may("delimiter", Text)]] },
        "bigquery" => const { &[&[must("project", Text), must("dataset", Text)]] },
        "clickhouse" | "mysql" | "synapse" => const { &[&[must("host", Text), must("port", Integer), must("database", Text)]] },
        "databricks" => const { &[&[may("host", Text), must("catalog", Text), must("schema", Text)]] },
        "denodo" => const { &[&[must("host", Text), must("port", Integer), may("database", Text)]] },
        "dremio" => const { &[&[must("host", Text), must("port", Integer), may("schema", Text)]] },
        "duckdb" => const { &[&[must("database", Text), may("schema", Text)]] },
        "glue" => const { &[&[must("account", Text), must("database", Text), may("location", Text), may("format", Text)]] },
        "cloudsql" | "postgresql" | "postgres" | "vertica" => {
            const { &[&[must("host", Text), must("port", Integer), must("database", Text), must("schema", Text)]] }
        }
        "db2" => const { &[&[must("host", Text), must("port", Integer), must("database", Text), may("schema", Text)]] },
        "hive" | "impala" | "informix" | "zen" => const { &[&[must("host", Text), may("port", Integer), must("database", Text)]] },
        "kafka" => const { &[&[must("host", Text), may("format", Text)]] },
        "kinesis" => const { &[&[may("region", Text), may("format", Text)]] },
        "local" => const { &[&[must("path", Text), must("format", Text)]] },
        "oracle" => const { &[&[must("host", Text), must("port", Integer), must("serviceName", Text)]] },
        "presto" => const { &[&[must("host", Text), may("catalog", Text), may("schema", Text)]] },
        "pubsub" => const { &[&[must("project", Text)]] },
        "redshift" => {
            const { &[&[may("host", Text), must("database", Text), must("schema", Text), may("region", Text), may("account", Text)]] }
        }
        "s3" => const { &[&[must("location", Text), may("endpointUrl", Text), may("format", Text), may("delimiter", Text)]] },
        "sftp" => const { &[&[must("location", Text), may("format", Text), may("delimiter", Text)]] },
        "snowflake" => {
            const {
                &[&[
                    may("host", Text),
                    may("port", Integer),
                    must("account", Text),
                    must("database", Text),
                    must("schema", Text),
                    may("warehouse", Text),
                ]]
            }
        }
        "sqlserver" => const { &[&[must("host", Text), may("port", Integer), must("database", Text), must("schema", Text)]] },
        "trino" => const { &[&[must("host", Text), must("port", Integer), must("catalog", Text), must("schema", Text)]] },
        "custom" => {
            const {
                &[&[
                    may("account", Text),
                    may("catalog", Text),
                    may("database", Text),
                    may("dataset", Text),
                    may("delimiter", Text),
                    may("endpointUrl", Text),
                    may("format", Text),
                    may("host", Text),
                    may("location", Text),
                    may("path", Text),
                    may("port", Integer),
                    may("project", Text),
                    may("region", Text),
                    may("regionName", Text),
                    may("schema", Text),
                    may("serviceName", Text),
                    may("stagingDir", Text),
                    may("warehouse", Text),
                    may("stream", Text),
                ]]
            }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_fields() {
        for server_type in TYPES {
            assert!(fields(Some(server_type)).is_some(), "{server_type}");
        }
    }
}
