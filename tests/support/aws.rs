//! Clients of a stand-in, as any program would make them: nothing of headwater's own adapters.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

/// Stand-ins accept any credentials; DynamoDB Local wants letters and digits only.
pub(super) const ACCESS_KEY: &str = "headwater";
pub(super) const REGION: &str = "us-east-1";

/// Settings of the plain SDK for the stand-in at `endpoint`.
pub(crate) fn sdk_config(endpoint: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::from_static(REGION))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(ACCESS_KEY, ACCESS_KEY, None, None, "tests")))
        .build()
}

/// The same settings as the variables of the SDK's standard chain.
pub(crate) fn environment(endpoint: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT_URL", endpoint.to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", ACCESS_KEY.to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
}
