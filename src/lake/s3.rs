//! Object storage on S3, with region, endpoint and credentials from the AWS SDK's standard chain.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_types::service_config::ServiceConfigKey;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::{BackoffConfig, ClientOptions, CredentialProvider, RetryConfig};
use tokio::sync::Mutex;

use super::error::{LakeError, Problem};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for one request with its body: the largest object over a slow uplink.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// Attempts after the first, for server errors and lost connections.
const RETRIES: usize = 5;
/// No retry begins later than this, so that a failing lake is reported within the shutdown deadline's order of magnitude.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
/// The first pause; pauses grow and are jittered.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Credentials are renewed this long before they expire: longer than a request with its retries.
const EXPIRY_MARGIN: Duration = Duration::from_mins(2);
/// How long credentials without an expiry are kept: a key rotated in a profile's file is noticed.
const UNEXPIRING: Duration = Duration::from_mins(5);
/// The region that stand-ins sign for when none is configured; they do not look at it.
const ANY_REGION: &str = "us-east-1";

/// Builds the store of one bucket.
pub(super) fn connect(bucket: &str, kms_key: Option<&str>, aws: &SdkConfig) -> Result<AmazonS3, LakeError> {
    let doing = || format!("open bucket {bucket}");
    let region = region(aws).ok_or_else(|| LakeError::new(doing(), Problem::NoRegion))?;
    let provider = aws.credentials_provider().ok_or_else(|| LakeError::new(doing(), Problem::Credentials))?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_credentials(Arc::new(SdkCredentials::new(provider)))
        .with_retry(RetryConfig {
            backoff: BackoffConfig { init_backoff: FIRST_PAUSE, max_backoff: LONGEST_PAUSE, base: 2. },
            max_retries: RETRIES,
            retry_timeout: RETRY_TIMEOUT,
        })
        .with_client_options(client_options(aws));
    builder = match endpoint(aws) {
        // Stand-ins and private endpoints rarely have a name for each bucket.
        Some(endpoint) => builder.with_endpoint(endpoint).with_virtual_hosted_style_request(false),
        None => match regional_endpoint(bucket, &region, aws) {
            Some(endpoint) => builder.with_endpoint(endpoint).with_virtual_hosted_style_request(true),
            // A dot in the bucket's name breaks the certificate's wildcard.
            None => builder.with_virtual_hosted_style_request(!bucket.contains('.')),
        },
    };
    if let Some(key) = kms_key {
        builder = builder.with_sse_kms_encryption(key);
    }
    builder.with_region(region).build().map_err(|error| LakeError::from_store(doing(), error))
}

/// The region to sign for; none when the user has to say it.
pub(super) fn region(aws: &SdkConfig) -> Option<String> {
    match (aws.region(), endpoint(aws)) {
        (Some(region), _) => Some(region.as_ref().to_owned()),
        (None, Some(_)) => Some(ANY_REGION.to_owned()),
        (None, None) => None,
    }
}

/// Time limits of every request.
pub(super) fn client_options(aws: &SdkConfig) -> ClientOptions {
    // Only an endpoint that was asked for may be plain HTTP.
    let plain = endpoint(aws).is_some_and(|endpoint| endpoint.starts_with("http://"));
    ClientOptions::new().with_connect_timeout(CONNECT_TIMEOUT).with_timeout(REQUEST_TIMEOUT).with_allow_http(plain)
}

/// The endpoint that the user set, in the SDK's order: `AWS_ENDPOINT_URL_S3` or the profile's S3 section, then `AWS_ENDPOINT_URL`.
fn endpoint(aws: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build().ok()?;
    aws.service_config().and_then(|service| service.load_config(key)).or_else(|| aws.endpoint_url().map(ToOwned::to_owned))
}

/// The bucket's endpoint where it is not the plain one: FIPS, dual-stack and China's own domain.
fn regional_endpoint(bucket: &str, region: &str, aws: &SdkConfig) -> Option<String> {
    let (fips, dual_stack, china) =
        (aws.use_fips().unwrap_or_default(), aws.use_dual_stack().unwrap_or_default(), region.starts_with("cn-"));
    (fips || dual_stack || china).then(|| {
        let service = if fips { "s3-fips" } else { "s3" };
        let stack = if dual_stack { ".dualstack" } else { "" };
        let domain = if china { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("https://{bucket}.{service}{stack}.{region}.{domain}")
    })
}

/// The SDK's credentials, in the store's words. The SDK's clients cache what a provider gives; the provider itself does not.
#[derive(Debug)]
struct SdkCredentials {
    provider: SharedCredentialsProvider,
    cached: Mutex<Option<Cached>>,
}

#[derive(Debug, Clone)]
struct Cached {
    credential: Arc<AwsCredential>,
    until: SystemTime,
}

/// The SDK's chain found no usable credentials.
#[derive(Debug, thiserror::Error)]
#[error("the AWS credentials chain gave no credentials")]
pub(super) struct NoCredentials(#[source] CredentialsError);

impl SdkCredentials {
    fn new(provider: SharedCredentialsProvider) -> Self {
        Self { provider, cached: Mutex::new(None) }
    }
}

#[async_trait]
impl CredentialProvider for SdkCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        // Held while the provider is asked, so that many writers ask once.
        let mut cached = self.cached.lock().await;
        let now = SystemTime::now();
        if let Some(cached) = cached.as_ref().filter(|cached| now < cached.until) {
            return Ok(Arc::clone(&cached.credential));
        }
        let credentials = self
            .provider
            .provide_credentials()
            .await
            .map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(NoCredentials(error)) })?;
        let until = credentials.expiry().map_or(now + UNEXPIRING, |expiry| expiry.checked_sub(EXPIRY_MARGIN).unwrap_or(now));
        let credential = Arc::new(AwsCredential {
            key_id: credentials.access_key_id().to_owned(),
            secret_key: credentials.secret_access_key().to_owned(),
            token: credentials.session_token().map(ToOwned::to_owned),
        });
        *cached = Some(Cached { credential: Arc::clone(&credential), until });
        Ok(credential)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_config::Region;
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::future::ProvideCredentials as ProvideCredentialsFuture;

    use super::*;

    #[test]
    fn the_plain_endpoint_is_left_to_the_store() {
        let aws = SdkConfig::builder().region(Region::new("eu-west-1")).build();
        assert_eq!(regional_endpoint("b", "eu-west-1", &aws), None);
    }

    #[test]
    fn fips_dual_stack_and_china_have_their_own_endpoints() {
        let aws = SdkConfig::builder().use_fips(true).use_dual_stack(true).build();
        assert_eq!(regional_endpoint("b", "us-east-1", &aws).as_deref(), Some("https://b.s3-fips.dualstack.us-east-1.amazonaws.com"));
        let plain = SdkConfig::builder().build();
        assert_eq!(regional_endpoint("b", "cn-north-1", &plain).as_deref(), Some("https://b.s3.cn-north-1.amazonaws.com.cn"));
    }

    #[derive(Debug)]
    struct Counting(AtomicUsize, Option<SystemTime>);

    impl ProvideCredentials for Counting {
        fn provide_credentials<'a>(&'a self) -> ProvideCredentialsFuture<'a>
        where
            Self: 'a,
        {
            let call = self.0.fetch_add(1, Ordering::SeqCst);
            ProvideCredentialsFuture::ready(Ok(Credentials::new(format!("key{call}"), "secret", None, self.1, "test")))
        }
    }

    async fn two_keys(expiry: Option<SystemTime>) -> (String, String) {
        let credentials = SdkCredentials::new(SharedCredentialsProvider::new(Counting(AtomicUsize::new(0), expiry)));
        let first = credentials.get_credential().await.unwrap().key_id.clone();
        (first, credentials.get_credential().await.unwrap().key_id.clone())
    }

    #[tokio::test]
    async fn credentials_are_asked_for_once_until_shortly_before_they_expire() {
        assert_eq!(two_keys(None).await, ("key0".into(), "key0".into()));
        assert_eq!(two_keys(Some(SystemTime::now() + Duration::from_hours(1))).await, ("key0".into(), "key0".into()));
        assert_eq!(two_keys(Some(SystemTime::now() + EXPIRY_MARGIN / 2)).await, ("key0".into(), "key1".into()));
    }

    #[test]
    fn without_region_and_endpoint_the_lake_does_not_open() {
        let error = connect("b", None, &SdkConfig::builder().build()).unwrap_err();
        assert_eq!(error.problem, Problem::NoRegion);
    }
}
