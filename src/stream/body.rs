//! What the clients of tables and streams share.
//!
//! GetRecords, Scan and Query do not go through the SDK's deserialiser: an interceptor takes the body of a successful response, so that one
//! streaming pass makes events of it. Signing, endpoints, error responses and connection handling stay the SDK's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextMut, BeforeDeserializationInterceptorContextRef,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::{DateTime, Format};
use bytes::Bytes;

use crate::aws::{AwsError, Failure};
use crate::clock::ServiceClock;

/// The body of a page is at most a few MB; if it is not there by now, the connection is dead.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Sets the clock by the `Date` header of each answer.
#[derive(Debug)]
pub(crate) struct ReadDate(ServiceClock);

impl ReadDate {
    pub(crate) fn new(clock: ServiceClock) -> Self {
        Self(clock)
    }
}

impl Intercept for ReadDate {
    fn name(&self) -> &'static str {
        "ReadDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        if let Some(date) = date {
            self.0.told(date.secs());
        }
        Ok(())
    }
}

/// Where the interceptor leaves the body.
#[derive(Debug, Clone, Default)]
pub(crate) struct TakenBody(Arc<Mutex<Option<SdkBody>>>);

impl TakenBody {
    fn put(&self, body: SdkBody) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    }

    /// The whole body.
    pub(crate) async fn read(self, operation: &'static str) -> Result<Bytes, AwsError> {
        let Some(body) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Err(AwsError::of(operation, Failure::Unavailable, "the response has no body"));
        };
        match tokio::time::timeout(BODY_TIMEOUT, ByteStream::new(body).collect()).await {
            Ok(Ok(bytes)) => Ok(bytes.into_bytes()),
            Ok(Err(error)) => Err(AwsError::of(operation, Failure::Unavailable, format!("the response broke off: {error}"))),
            Err(_) => Err(AwsError::of(operation, Failure::Unavailable, format!("the response did not end within {BODY_TIMEOUT:?}"))),
        }
    }
}

/// Swaps the body of a successful response for an empty object, which is all that the SDK's deserialiser gets to see.
#[derive(Debug)]
pub(crate) struct TakeBody(pub(crate) TakenBody);

impl Intercept for TakeBody {
    fn name(&self) -> &'static str {
        "TakeBody"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        if response.status().as_u16() == 200 {
            self.0.put(std::mem::replace(response.body_mut(), SdkBody::from("{}")));
        }
        Ok(())
    }
}
