//! Delivery streams as a whole: creation, deletion and description.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Firehose;
use super::delivery::{DeliveryStream, Source};
use super::destination::Destination;
use crate::buckets::Buckets;
use crate::call::{Answer, ApiError, Call, answer};
use crate::encoding::{arn, constraint, seconds};
use crate::kinesis::{Kinesis, name_in_arn};

const LONGEST_NAME: usize = 64;
const USUAL_LIST: usize = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateDeliveryStream {
    delivery_stream_name: String,
    delivery_stream_type: Option<String>,
    kinesis_stream_source_configuration: Option<KinesisSource>,
    s3_destination_configuration: Option<Value>,
    extended_s3_destination_configuration: Option<Value>,
}

#[derive(Deserialize)]
struct KinesisSource {
    #[serde(rename = "KinesisStreamARN")]
    stream: String,
    #[serde(rename = "RoleARN")]
    role: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reference {
    delivery_stream_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListDeliveryStreams {
    limit: Option<usize>,
    delivery_stream_type: Option<String>,
    exclusive_start_delivery_stream_name: Option<String>,
}

impl Firehose {
    pub(super) fn create_delivery_stream(&mut self, kinesis: &Kinesis, call: &Call<'_>) -> Answer {
        let input: CreateDeliveryStream = call.input()?;
        let name = input.delivery_stream_name;
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        {
            return Err(constraint("deliveryStreamName", "satisfy regular expression pattern: [a-zA-Z0-9_.-]{1,64}"));
        }
        let source = match (input.delivery_stream_type.as_deref(), input.kinesis_stream_source_configuration) {
            (None | Some("DirectPut"), None) => Source::DirectPut,
            (Some("KinesisStreamAsSource"), Some(source)) => source.begin(kinesis)?,
            (Some("KinesisStreamAsSource"), None) => {
                return Err(invalid("KinesisStreamSourceConfiguration is required for delivery stream type KinesisStreamAsSource."));
            }
            (None | Some("DirectPut"), Some(_)) => {
                return Err(invalid("KinesisStreamSourceConfiguration is only for delivery stream type KinesisStreamAsSource."));
            }
            (Some(other), _) => return Err(invalid(format!("Delivery stream type {other} is not supported by the simulator"))),
        };
        let destination = match (input.s3_destination_configuration, input.extended_s3_destination_configuration) {
            (Some(configuration), None) | (None, Some(configuration)) => Destination::read(configuration)?,
            (None, None) => return Err(invalid("Of destinations, the simulator supports S3 and extended S3 only, and one is required.")),
            (Some(_), Some(_)) => return Err(invalid("Exactly one destination configuration is supported for a Firehose")),
        };
        if self.streams.contains_key(&name) {
            let message = format!("Firehose {name} under accountId {} already exists", crate::encoding::ACCOUNT);
            return Err(ApiError::new("ResourceInUseException", message));
        }
        let stream = DeliveryStream::new(name.clone(), source, destination, call.now);
        let arn = stream.arn();
        self.streams.insert(name, stream);
        answer(&json!({"DeliveryStreamARN": arn}))
    }

    /// Deletes a delivery stream. What is in its buffer is written before, if its bucket takes it.
    pub(super) fn delete_delivery_stream(&mut self, buckets: &mut Buckets, call: &Call<'_>) -> Answer {
        let Reference { delivery_stream_name: name } = call.input()?;
        let stream = self.stream(&name)?;
        stream.seal(call.now);
        stream.finish(buckets, call.now, call.journal);
        self.streams.remove(&name);
        Ok(Bytes::from_static(b"{}"))
    }

    pub(super) fn list_delivery_streams(&mut self, call: &Call<'_>) -> Answer {
        let ListDeliveryStreams { limit, delivery_stream_type: kind, exclusive_start_delivery_stream_name: after } = call.input()?;
        let wanted = |stream: &&DeliveryStream| {
            kind.as_ref().is_none_or(|kind| kind == stream.kind()) && after.as_ref().is_none_or(|after| stream.name > *after)
        };
        let mut streams = self.streams.values().filter(wanted);
        let names: Vec<&String> = streams.by_ref().take(limit.unwrap_or(USUAL_LIST)).map(|stream| &stream.name).collect();
        answer(&json!({"DeliveryStreamNames": names, "HasMoreDeliveryStreams": streams.next().is_some()}))
    }

    pub(super) fn describe_delivery_stream(&mut self, call: &Call<'_>) -> Answer {
        let Reference { delivery_stream_name } = call.input()?;
        let stream = self.stream(&delivery_stream_name)?;
        let destination = &stream.destination.description;
        let mut description = json!({
            "DeliveryStreamName": stream.name,
            "DeliveryStreamARN": stream.arn(),
            "DeliveryStreamStatus": "ACTIVE",
            "DeliveryStreamType": stream.kind(),
            "VersionId": "1",
            "CreateTimestamp": seconds(stream.created),
            "Destinations": [{
                "DestinationId": "destinationId-000000000001",
                "S3DestinationDescription": destination,
                "ExtendedS3DestinationDescription": destination,
            }],
            "HasMoreDestinations": false,
        });
        if let Source::Kinesis { arn, role, .. } = &stream.source {
            let source = json!({"KinesisStreamARN": arn, "RoleARN": role, "DeliveryStartTimestamp": seconds(stream.created)});
            description["Source"] = json!({"KinesisStreamSourceDescription": source});
        }
        answer(&json!({"DeliveryStreamDescription": description}))
    }

    /// A delivery stream by its name.
    pub(super) fn stream(&mut self, name: &str) -> Result<&mut DeliveryStream, ApiError> {
        let not_found = || ApiError::not_found(format!("Firehose {name} under account {} not found.", crate::encoding::ACCOUNT));
        self.streams.get_mut(name).ok_or_else(not_found)
    }
}

impl DeliveryStream {
    fn arn(&self) -> String {
        arn("firehose", &format!("deliverystream/{}", self.name))
    }

    fn kind(&self) -> &'static str {
        match self.source {
            Source::DirectPut => "DirectPut",
            Source::Kinesis { .. } => "KinesisStreamAsSource",
        }
    }
}

impl KinesisSource {
    /// The source, to be read from now on.
    fn begin(self, kinesis: &Kinesis) -> Result<Source, ApiError> {
        let stream = name_in_arn(&self.stream).ok_or_else(|| {
            constraint(
                "kinesisStreamSourceConfiguration.kinesisStreamARN",
                "satisfy regular expression pattern: arn:.*:kinesis:.*:stream/.*",
            )
        })?;
        let position = kinesis.tip(stream).ok_or_else(|| invalid(format!("Kinesis stream {} does not exist.", self.stream)))?;
        Ok(Source::Kinesis { stream: stream.to_owned(), position, arn: self.stream, role: self.role })
    }
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidArgumentException", message)
}
