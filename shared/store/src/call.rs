//! What a failed call means, and patience with what passes by itself.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use certbridge_sync::StoreError;
use std::{future::Future, time::Duration};

/// The pauses before a write is tried again that met a transaction on its row. A transaction takes some ten
/// milliseconds; the SDK itself does not try again.
const PAUSES_MS: [u64; 3] = [15, 45, 135];

/// Refusals that pass: nothing was written.
const BUSY: [&str; 5] = [
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "ThrottlingException",
    CONFLICT,
];
const CONFLICT: &str = "TransactionConflictException";
/// An earlier try of the same transaction is still under way, so what becomes of it is open.
const IN_PROGRESS: &str = "TransactionInProgressException";

/// Calls again while `passes` says that the error will pass by itself, a few times.
pub(crate) async fn patiently<T, E, F>(
    mut call: impl FnMut() -> F + Send,
    passes: impl Fn(&E) -> bool + Send,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>> + Send,
{
    for pause in PAUSES_MS {
        match call().await {
            Err(error) if passes(&error) => {}
            answer => return answer,
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    call().await
}

/// Whether a transaction held the row.
pub(crate) fn is_conflict<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    code_of(error) == Some(CONFLICT)
}

/// The service's name for what went wrong, if the service answered.
pub(crate) fn code_of<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// What a failed call means. Only the operation and the error's name are passed on: the service's own words may repeat
/// what was to be written.
pub(crate) fn store_error<E: ProvideErrorMetadata>(operation: &str, error: &SdkError<E>) -> StoreError {
    let failed_there = error.raw_response().is_some_and(|answer| answer.status().is_server_error());
    match (error, code_of(error)) {
        (SdkError::ConstructionFailure(_), _) => StoreError::Refused(format!("{operation}: not a valid request")),
        (SdkError::ServiceError(_), Some(code)) if BUSY.contains(&code) => {
            StoreError::Busy(format!("{operation}: {code}"))
        }
        (SdkError::ServiceError(_), code) => {
            let message = format!("{operation}: {}", code.unwrap_or("an error without a name"));
            if failed_there || code == Some(IN_PROGRESS) {
                StoreError::Unavailable(message)
            } else {
                StoreError::Refused(message)
            }
        }
        (SdkError::TimeoutError(_), _) => StoreError::Unavailable(format!("{operation}: timeout")),
        (SdkError::DispatchFailure(_), _) => StoreError::Unavailable(format!("{operation}: no connection")),
        _ => StoreError::Unavailable(format!("{operation}: not a whole answer")),
    }
}
