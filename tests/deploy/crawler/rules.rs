//! What AWS documents of a Glue crawler, as code. Each rule names its page:
//!
//! - \[partitions]: AWS Glue Developer Guide, "How does a crawler determine when to create partitions?"
//! - \[schema]: AWS re:Post Knowledge Center, "How does the AWS Glue crawler detect the schema?"
//! - \[classifiers]: AWS Glue Developer Guide, "Defining and managing classifiers"
//! - \[grouping]: AWS Glue Developer Guide, "Creating a single schema for each Amazon S3 include path"
//! - \[configuration]: AWS Glue Developer Guide, "Customizing crawler behavior"
//! - \[changes]: AWS Glue Developer Guide, "Preventing a crawler from changing an existing schema"
//! - \[policy]: AWS CloudFormation, "AWS::Glue::Crawler SchemaChangePolicy"
//!
//! Not documented, and assumed: how similarity is computed (here: columns of equal name and type, of all columns of both), and what becomes of two types for one
//! name. What the tests conclude rests on neither: where files differ at all, that is drift, and where they do not, any measure says that they are equal.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use arrow::datatypes::{DataType, TimeUnit};
use flate2::read::GzDecoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

/// \[schema]: of JSON the first megabyte is read.
const READ_OF_JSON: u64 = 1 << 20;
/// \[schema]: schemas are similar above this threshold.
const SIMILAR: f64 = 0.7;
/// \[schema]: there are at most so many different ones in a table.
const MOST_SCHEMAS: usize = 5;

/// Names and types of columns. Types are Hive's.
pub(super) type Columns = Vec<(String, String)>;

/// How a crawler is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settings {
    /// \[grouping]: `CombineCompatibleSchemas`.
    pub(super) combine_compatible: bool,
    /// \[changes]: partitions `InheritFromTable`.
    pub(super) inherit_from_table: bool,
    /// \[policy]: UpdateBehavior LOG instead of UPDATE_IN_DATABASE.
    pub(super) log_updates: bool,
}

/// A table of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Columns,
    pub(super) partition_keys: Columns,
    /// By the values of the partition's keys.
    pub(super) partitions: BTreeMap<Vec<String>, Columns>,
}

/// What was found in a folder that holds objects.
struct Folder {
    /// Its path below the include path, a name each.
    path: Vec<String>,
    /// Format and compression of its objects.
    data: BTreeSet<(&'static str, &'static str)>,
    columns: Columns,
}

/// Crawls an include path into an empty catalog.
pub(super) fn crawl(include: &Path, settings: Settings) -> Vec<Table> {
    let folders = folders(include);
    let root = include.file_name().unwrap().to_str().unwrap();
    // [grouping]: data is compatible if format, compression and the structure of the path are the same.
    let shape = |folder: &Folder| (folder.data.clone(), keys(&folder.path));
    let compatible = folders.windows(2).all(|pair| shape(&pair[0]) == shape(&pair[1]));
    let one_table = compatible && (settings.combine_compatible || similar(&folders));
    if one_table {
        return vec![table(root, &folders, settings)];
    }
    // [schema]: otherwise each folder becomes a table.
    let name = |folder: &Folder| folder.path.last().map_or(root, String::as_str).replace('=', "_");
    folders
        .iter()
        .map(|folder| Table { name: name(folder), columns: folder.columns.clone(), partition_keys: vec![], partitions: BTreeMap::new() })
        .collect()
}

/// Crawls again what is in the catalog already: a catalog target, or an earlier result.
pub(super) fn crawl_again(existing: &Table, include: &Path, settings: Settings) -> Table {
    let folders = folders(include);
    let mut now = table(&existing.name, &folders, settings);
    if settings.log_updates {
        // [policy]: a change of the table is logged; partitions are added in any case.
        now.columns.clone_from(&existing.columns);
        now.partition_keys.clone_from(&existing.partition_keys);
    }
    if settings.inherit_from_table {
        now.partitions.values_mut().for_each(|columns| columns.clone_from(&now.columns));
    }
    now
}

/// One table of all folders: its columns are those of any of them. [partitions]: folders are its partitions.
fn table(name: &str, folders: &[Folder], settings: Settings) -> Table {
    let mut columns = Columns::new();
    for folder in folders {
        merge(&mut columns, &folder.columns);
    }
    let partition_keys = folders.first().map(|folder| keys(&folder.path)).unwrap_or_default();
    let value = |part: &String| part.split_once('=').map_or(part.as_str(), |(_, value)| value).to_owned();
    let partitions = folders.iter().map(|folder| {
        let columns = if settings.inherit_from_table { &columns } else { &folder.columns };
        (folder.path.iter().map(value).collect(), columns.clone())
    });
    Table { name: name.to_owned(), partitions: partitions.collect(), columns, partition_keys }
}

/// The names of partition keys, which are text. [partitions]: a folder `key=value` names its key; another one is `partition_0` and so on.
fn keys(path: &[String]) -> Columns {
    let name = |(at, part): (usize, &String)| part.split_once('=').map_or_else(|| format!("partition_{at}"), |(key, _)| key.to_owned());
    path.iter().enumerate().map(name).map(|name| (name, "string".to_owned())).collect()
}

/// [schema]: more than 70 percent alike, and no more than five different ones.
fn similar(folders: &[Folder]) -> bool {
    let different: BTreeSet<&Columns> = folders.iter().map(|folder| &folder.columns).collect();
    different.len() <= MOST_SCHEMAS && different.iter().all(|a| different.iter().all(|b| similarity(a, b) > SIMILAR))
}

fn similarity(a: &Columns, b: &Columns) -> f64 {
    let (a, b): (BTreeSet<_>, BTreeSet<_>) = (a.iter().collect(), b.iter().collect());
    let count = |n: usize| f64::from(u32::try_from(n).unwrap());
    count(a.intersection(&b).count()) / count(a.union(&b).count())
}

/// Every folder below that holds objects, by name.
fn folders(include: &Path) -> Vec<Folder> {
    fn walk(folder: &Path, path: &[String], found: &mut Vec<Folder>) {
        let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        let (below, objects): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.is_dir());
        let mut here = Folder { path: path.to_vec(), data: BTreeSet::new(), columns: Columns::new() };
        for object in &objects {
            let (data, columns) = classify(object);
            here.data.insert(data);
            merge(&mut here.columns, &columns);
        }
        if !objects.is_empty() {
            found.push(here);
        }
        for folder in below {
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            walk(&folder, &[path, &[name]].concat(), found);
        }
    }
    let mut found = Vec::new();
    walk(include, &[], &mut found);
    found
}

/// [classifiers]: Parquet is known by the schema at its end, JSON by its beginning; gzip is looked through.
fn classify(object: &Path) -> ((&'static str, &'static str), Columns) {
    let bytes = std::fs::read(object).unwrap();
    if bytes.ends_with(b"PAR1") {
        return (("parquet", "none"), of_parquet(object));
    }
    let mut text = Vec::new();
    let compression = if bytes.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(&bytes[..]).take(READ_OF_JSON).read_to_end(&mut text).unwrap();
        "gzip"
    } else {
        bytes.as_slice().take(READ_OF_JSON).read_to_end(&mut text).unwrap();
        "none"
    };
    (("json", compression), of_json(&text))
}

fn of_parquet(object: &Path) -> Columns {
    let hive = |kind: &DataType| match kind {
        DataType::Utf8 => "string".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Timestamp(TimeUnit::Millisecond | TimeUnit::Microsecond, _) => "timestamp".to_owned(),
        DataType::List(element) if element.data_type() == &DataType::Utf8 => "array<string>".to_owned(),
        other => panic!("no rule for {other}"),
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(object).unwrap()).unwrap();
    reader.schema().fields().iter().map(|field| (field.name().clone(), hive(field.data_type()))).collect()
}

/// [grouping] shows `{"A": 1}` become `A:int`. A JSON value has no more types than these; a null and an absent attribute say nothing.
fn of_json(text: &[u8]) -> Columns {
    fn hive(value: &Value) -> Option<String> {
        Some(match value {
            Value::Null => return None,
            Value::Bool(_) => "boolean".to_owned(),
            Value::Number(number) if number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) => "int".to_owned(),
            Value::Number(number) if number.is_i64() => "bigint".to_owned(),
            Value::Number(_) => "double".to_owned(),
            Value::String(_) => "string".to_owned(),
            // An empty one says nothing of its elements.
            Value::Array(elements) => format!("array<{}>", elements.iter().find_map(hive).unwrap_or_else(|| "string".to_owned())),
            Value::Object(fields) => {
                let fields: Vec<String> = fields.iter().filter_map(|(name, value)| Some(format!("{name}:{}", hive(value)?))).collect();
                format!("struct<{}>", fields.join(","))
            }
        })
    }
    let mut columns = Columns::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        // A line that the first megabyte cuts in two is none.
        let Ok(Value::Object(members)) = serde_json::from_slice(line) else { break };
        let found: Columns = members.iter().filter_map(|(name, value)| Some((name.clone(), hive(value)?))).collect();
        merge(&mut columns, &found);
    }
    columns
}

/// Adds columns that are not there; of two types for one name the wider number is kept, and text where there is none.
fn merge(columns: &mut Columns, more: &Columns) {
    const WIDTHS: [&str; 3] = ["int", "bigint", "double"];
    for (name, kind) in more {
        match columns.iter_mut().find(|(other, _)| other == name) {
            None => columns.push((name.clone(), kind.clone())),
            Some((_, other)) if other == kind => {}
            Some((_, other)) => {
                let width = |kind: &str| WIDTHS.iter().position(|wide| *wide == kind);
                let widest = width(kind).zip(width(other)).map(|(a, b)| WIDTHS[a.max(b)]);
                widest.unwrap_or("string").clone_into(other);
            }
        }
    }
}
