//! The operations of S3 that the simulator has.

use bytes::Bytes;
#[allow(clippy::wildcard_imports, reason = "every operation has its input and its output, and they have their parts")]
use s3s::dto::*;
use s3s::{Body, S3, S3Request, S3Response, S3Result, s3_error};

use super::Caller;
use super::convert::{after, condition, content, content_type, etag, headers, readable, refuse, timestamp, token, token_text, url_encoded};
use crate::buckets::listing::{After, Query, list};
use crate::buckets::{Headers, Object as Stored, Refusal, Writer};
use crate::cloud::{Cloud, State};

/// The most keys that a page of a listing holds.
const MOST_KEYS: i32 = 1000;

/// S3 as `s3s` calls it.
pub(super) struct Account(pub(super) Cloud);

impl Account {
    /// Does something to the buckets in the name of a request's sender.
    fn write<I, T>(&self, request: &S3Request<I>, effect: impl FnOnce(&mut State, &Writer<'_>) -> Result<T, Refusal>) -> S3Result<T> {
        let worker = request.extensions.get::<Caller>().map(|Caller(worker)| worker.as_str()).unwrap_or_default();
        // The lock comes first, so that the order of times is the order of effects.
        let mut state = self.0.state();
        let writer = Writer { worker, now: self.0.clock.now(), journal: &self.0.journal };
        effect(&mut state, &writer).map_err(refuse)
    }

    /// An object, as it is now.
    fn read(&self, bucket: &str, key: &str) -> S3Result<Stored> {
        self.0.state().buckets.object(bucket, key).cloned().map_err(refuse)
    }
}

type Answer<T> = S3Result<S3Response<T>>;

#[expect(clippy::unnecessary_wraps, reason = "it ends every operation")]
fn ok<T>(output: T) -> Answer<T> {
    Ok(S3Response::new(output))
}

/// Refuses a request with preconditions that the simulator does not look at: carried out all the same, it would do harm.
fn not_supported(given: bool) -> S3Result<()> {
    if given { Err(s3_error!(NotImplemented, "A header you provided implies functionality that is not implemented")) } else { Ok(()) }
}

fn length(bytes: &Bytes) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

#[async_trait::async_trait]
impl S3 for Account {
    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> Answer<CreateBucketOutput> {
        let bucket = &request.input.bucket;
        // In us-east-1, creating a bucket of one's own again is no error.
        self.write(&request, |state, by| Ok(state.buckets.create_at(bucket, by.now)))?;
        ok(CreateBucketOutput { location: Some(format!("/{bucket}")) })
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        self.0.state().buckets.objects(&request.input.bucket).ok_or(Refusal::NoSuchBucket).map_err(refuse)?;
        ok(HeadBucketOutput { bucket_region: Some("us-east-1".to_owned()), ..Default::default() })
    }

    async fn get_bucket_location(&self, request: S3Request<GetBucketLocationInput>) -> Answer<GetBucketLocationOutput> {
        self.0.state().buckets.objects(&request.input.bucket).ok_or(Refusal::NoSuchBucket).map_err(refuse)?;
        // Absent stands for us-east-1.
        ok(GetBucketLocationOutput { location_constraint: None })
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> Answer<ListBucketsOutput> {
        let state = self.0.state();
        let bucket = |(name, created): (&str, i64)| Bucket {
            name: Some(name.to_owned()),
            creation_date: Some(timestamp(created)),
            ..Default::default()
        };
        ok(ListBucketsOutput { buckets: Some(state.buckets.names().map(bucket).collect()), ..Default::default() })
    }

    async fn put_object(&self, mut request: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        let body = content(request.input.body.take()).await?;
        let condition = condition(&request.headers)?;
        let PutObjectInput { bucket, key, content_type, content_encoding, metadata, .. } = &request.input;
        let headers = headers(content_type.clone(), content_encoding.clone(), metadata.clone());
        let written = self.write(&request, |state, by| state.buckets.write(bucket, key, (body, headers), &condition, by))?;
        ok(PutObjectOutput { e_tag: Some(etag(&written)), ..Default::default() })
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> Answer<CopyObjectOutput> {
        let condition = condition(&request.headers)?;
        let input = &request.input;
        let CopySource::Bucket { bucket: from, key: source, .. } = &input.copy_source else {
            return Err(s3_error!(NotImplemented, "only objects of a bucket can be copied"));
        };
        not_supported(
            input.copy_source_if_match.is_some()
                || input.copy_source_if_none_match.is_some()
                || input.copy_source_if_modified_since.is_some()
                || input.copy_source_if_unmodified_since.is_some(),
        )?;
        let replaces = input.metadata_directive.as_ref().is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
        let modified = self.0.clock.now();
        let written = self.write(&request, |state, by| {
            let Stored { body, headers: old, .. } = state.buckets.object(from, source)?.clone();
            let new = headers(input.content_type.clone(), input.content_encoding.clone(), input.metadata.clone());
            state.buckets.write(&input.bucket, &input.key, (body, if replaces { new } else { old }), &condition, by)
        })?;
        let result = CopyObjectResult { e_tag: Some(etag(&written)), last_modified: Some(timestamp(modified)), ..Default::default() };
        ok(CopyObjectOutput { copy_object_result: Some(result), ..Default::default() })
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        let input = request.input;
        let object = self.read(&input.bucket, &input.key)?;
        readable(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        let whole = object.body.len() as u64;
        let (body, content_range) = match input.range {
            None => (object.body, None),
            Some(range) => {
                let unsatisfiable = |_| s3_error!(InvalidRange, "The requested range is not satisfiable");
                let range = range.check(whole).map_err(unsatisfiable)?;
                let shown = format!("bytes {}-{}/{whole}", range.start, range.end.saturating_sub(1));
                let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
                (object.body.slice(start..end), Some(shown))
            }
        };
        let Headers { content_encoding, metadata, .. } = object.headers.clone();
        ok(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(length(&body)),
            body: Some(Body::from(body).into()),
            content_range,
            content_type: Some(content_type(&object.headers)),
            content_encoding,
            e_tag: Some(etag(&object.etag)),
            last_modified: Some(timestamp(object.modified)),
            metadata: Some(metadata.into_iter().collect()),
            ..Default::default()
        })
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        let input = request.input;
        let object = self.read(&input.bucket, &input.key)?;
        readable(&object, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        ok(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(length(&object.body)),
            content_type: Some(content_type(&object.headers)),
            content_encoding: object.headers.content_encoding,
            e_tag: Some(etag(&object.etag)),
            last_modified: Some(timestamp(object.modified)),
            metadata: Some(object.headers.metadata.into_iter().collect()),
            ..Default::default()
        })
    }

    async fn list_objects_v2(&self, request: S3Request<ListObjectsV2Input>) -> Answer<ListObjectsV2Output> {
        let input = request.input;
        let max_keys = input.max_keys.unwrap_or(MOST_KEYS).min(MOST_KEYS);
        let limit = usize::try_from(max_keys)
            .map_err(|_| s3_error!(InvalidArgument, "Argument maxKeys must be an integer between 0 and 2147483647"))?;
        let place = input.continuation_token.as_deref().map(token_text).transpose()?;
        let after = match (&place, &input.start_after) {
            (Some(place), _) => after(place),
            (None, Some(start)) => After::Key(start),
            (None, None) => After::Nothing,
        };
        let state = self.0.state();
        let objects = state.buckets.objects(&input.bucket).ok_or(Refusal::NoSuchBucket).map_err(refuse)?;
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let page = list(objects, &Query { prefix, delimiter: input.delimiter.as_deref(), after, limit });

        let is_encoded = input.encoding_type.as_ref().is_some_and(|encoding| encoding.as_str() == EncodingType::URL);
        let spell = |text: &str| if is_encoded { url_encoded(text) } else { text.to_owned() };
        let object = |(key, object): &(&str, &Stored)| Object {
            key: Some(spell(key)),
            size: Some(length(&object.body)),
            e_tag: Some(etag(&object.etag)),
            last_modified: Some(timestamp(object.modified)),
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
            ..Default::default()
        };
        ok(ListObjectsV2Output {
            key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
            is_truncated: Some(page.next != After::Nothing),
            next_continuation_token: token(page.next),
            contents: Some(page.objects.iter().map(object).collect()),
            common_prefixes: Some(page.prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(spell(prefix)) }).collect()),
            prefix: Some(spell(prefix)),
            delimiter: input.delimiter.as_deref().map(spell),
            start_after: input.start_after.as_deref().map(spell),
            name: Some(input.bucket),
            max_keys: Some(max_keys),
            continuation_token: input.continuation_token,
            encoding_type: input.encoding_type,
            ..Default::default()
        })
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        let DeleteObjectInput { bucket, key, if_match, if_match_last_modified_time, if_match_size, .. } = &request.input;
        not_supported(if_match.is_some() || if_match_last_modified_time.is_some() || if_match_size.is_some())?;
        self.write(&request, |state, by| {
            state.buckets.delete(bucket, key, by.now, by.worker, by.journal).then_some(()).ok_or(Refusal::NoSuchBucket)
        })?;
        ok(DeleteObjectOutput::default())
    }

    async fn delete_objects(&self, request: S3Request<DeleteObjectsInput>) -> Answer<DeleteObjectsOutput> {
        let DeleteObjectsInput { bucket, delete, .. } = &request.input;
        let is_conditional =
            |object: &ObjectIdentifier| object.e_tag.is_some() || object.last_modified_time.is_some() || object.size.is_some();
        not_supported(delete.objects.iter().any(is_conditional))?;
        let keys = delete.objects.iter().map(|object| object.key.as_str());
        self.write(&request, |state, by| {
            state.buckets.objects(bucket).ok_or(Refusal::NoSuchBucket)?;
            for key in keys.clone() {
                state.buckets.delete(bucket, key, by.now, by.worker, by.journal);
            }
            Ok(())
        })?;
        let deleted = keys.map(|key| DeletedObject { key: Some(key.to_owned()), ..Default::default() });
        let quiet = delete.quiet.unwrap_or_default();
        ok(DeleteObjectsOutput { deleted: (!quiet).then(|| deleted.collect()), ..Default::default() })
    }

    async fn create_multipart_upload(&self, request: S3Request<CreateMultipartUploadInput>) -> Answer<CreateMultipartUploadOutput> {
        let CreateMultipartUploadInput { bucket, key, content_type, content_encoding, metadata, .. } = &request.input;
        let headers = headers(content_type.clone(), content_encoding.clone(), metadata.clone());
        let id = self.write(&request, |state, _| state.buckets.begin_upload(bucket, key, headers))?;
        let (bucket, key) = (Some(bucket.clone()), Some(key.clone()));
        ok(CreateMultipartUploadOutput { bucket, key, upload_id: Some(id), ..Default::default() })
    }

    async fn upload_part(&self, mut request: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        let body = content(request.input.body.take()).await?;
        let UploadPartInput { bucket, key, upload_id, part_number, .. } = &request.input;
        if !(1..=10_000).contains(part_number) {
            return Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"));
        }
        let part = self.write(&request, |state, _| state.buckets.upload_part(bucket, key, upload_id, *part_number, body))?;
        ok(UploadPartOutput { e_tag: Some(etag(&part)), ..Default::default() })
    }

    async fn complete_multipart_upload(&self, request: S3Request<CompleteMultipartUploadInput>) -> Answer<CompleteMultipartUploadOutput> {
        let condition = condition(&request.headers)?;
        let CompleteMultipartUploadInput { bucket, key, upload_id, multipart_upload, .. } = &request.input;
        let parts = multipart_upload.as_ref().and_then(|upload| upload.parts.as_deref()).unwrap_or_default();
        let malformed =
            || s3_error!(MalformedXML, "The XML you provided was not well-formed or did not validate against our published schema");
        let part = |part: &CompletedPart| Some((part.part_number?, part.e_tag.as_ref().map(|etag| etag.value().to_owned())));
        let parts: Vec<_> =
            parts.iter().map(part).collect::<Option<_>>().filter(|parts: &Vec<_>| !parts.is_empty()).ok_or_else(malformed)?;
        let place = (bucket.as_str(), key.as_str(), upload_id.as_str());
        let written = self.write(&request, |state, by| state.buckets.complete_upload(place, &parts, &condition, by))?;
        ok(CompleteMultipartUploadOutput {
            location: Some(format!("/{bucket}/{key}")),
            bucket: Some(bucket.clone()),
            key: Some(key.clone()),
            e_tag: Some(etag(&written)),
            ..Default::default()
        })
    }

    async fn abort_multipart_upload(&self, request: S3Request<AbortMultipartUploadInput>) -> Answer<AbortMultipartUploadOutput> {
        let AbortMultipartUploadInput { bucket, key, upload_id, .. } = &request.input;
        self.write(&request, |state, _| state.buckets.abort_upload(bucket, key, upload_id))?;
        ok(AbortMultipartUploadOutput::default())
    }
}
