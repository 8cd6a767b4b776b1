//! Settings of the AWS SDK.

/// The SDK's standard chain: environment, profile, container and instance roles, `AWS_ENDPOINT_URL` and its kin.
pub async fn sdk_config() -> aws_config::SdkConfig {
    aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await
}
