//! What the members of requests may be, with the errors as the service words them.

use crate::call::ApiError;

/// A stream ARN: 37 to 1024 characters of the right shape.
pub(super) fn stream_arn(arn: Option<&str>) -> Result<&str, ApiError> {
    let invalid = || ApiError::validation("Invalid StreamArn");
    let arn = length("streamArn", arn.ok_or_else(invalid)?, 37, 1024)?;
    let names_a_stream = arn.starts_with("arn:aws:dynamodb:") && arn.contains(":table/") && arn.contains("/stream/");
    if names_a_stream { Ok(arn) } else { Err(invalid()) }
}

/// A shard id: 28 to 65 characters.
pub(super) fn shard_id<'a>(member: &str, id: &'a str) -> Result<&'a str, ApiError> {
    length(member, id, 28, 65)
}

/// A text of a given length.
pub(super) fn length<'a>(member: &str, text: &'a str, shortest: usize, longest: usize) -> Result<&'a str, ApiError> {
    let complaint = match text.chars().count() {
        count if count < shortest => format!("Member must have length greater than or equal to {shortest}"),
        count if count > longest => format!("Member must have length less than or equal to {longest}"),
        _ => return Ok(text),
    };
    Err(constraint(member, &format!("'{text}'"), &complaint))
}

/// A page's limit of at least 1; `most` if there is none. What is wrong with more than `most` differs from operation to operation.
pub(crate) fn limit(limit: Option<i64>, most: usize, too_many: impl FnOnce() -> ApiError) -> Result<usize, ApiError> {
    let Some(limit) = limit else { return Ok(most) };
    match usize::try_from(limit) {
        Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
        Ok(1..) => Err(too_many()),
        _ => Err(constraint("limit", &format!("'{limit}'"), "Member must have value greater than or equal to 1")),
    }
}

/// A member that has to be there.
pub(super) fn required<T>(member: &str, value: Option<T>) -> Result<T, ApiError> {
    value.ok_or_else(|| constraint(member, "null", "Member must not be null"))
}

/// A member breaks a constraint of its type.
pub(super) fn constraint(member: &str, value: &str, complaint: &str) -> ApiError {
    ApiError::validation(format!("1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: {complaint}"))
}

/// Members break a rule beyond their types.
pub(crate) fn invalid(complaint: &str) -> ApiError {
    ApiError::validation(format!("One or more parameter values were invalid: {complaint}"))
}
