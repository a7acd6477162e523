//! What a failed call means, and patience with what passes by itself.

use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::CancellationReason,
};
use certbridge_sync::StoreError;
use std::{future::Future, time::Duration};

/// The pauses before a write is tried again that met a transaction on its row. A transaction takes some ten
/// milliseconds; the SDK itself does not try again.
const PAUSES_MS: [u64; 3] = [15, 45, 135];

/// Refusals that pass: nothing was written.
const BUSY: [&str; 6] = [
    "ExecutionLimitExceeded",
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "ThrottlingException",
    CONFLICT,
];
const CONFLICT: &str = "TransactionConflictException";
/// What a cancelled transaction says of a part whose condition did not hold.
const CONDITION_FAILED: &str = "ConditionalCheckFailed";
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

fn is_passing(reason: &CancellationReason) -> bool {
    matches!(reason.code(), Some("TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded"))
}

/// Whether a cancelled transaction may succeed when it is tried again.
pub(crate) fn passes(error: &SdkError<TransactWriteItemsError>) -> bool {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(refusal)) => {
            let reasons = refusal.cancellation_reasons();
            reasons.iter().any(is_passing) && !reasons.iter().any(|reason| reason.code() == Some(CONDITION_FAILED))
        }
        _ => false,
    }
}

/// The part of a cancelled transaction, if its condition did not hold.
pub(crate) fn condition_failed(reasons: &[CancellationReason], part: usize) -> Option<&CancellationReason> {
    reasons.get(part).filter(|reason| reason.code() == Some(CONDITION_FAILED))
}

/// What a cancelled transaction means, if its conditions tell nothing else.
pub(crate) fn cancelled(operation: &str, reasons: &[CancellationReason]) -> StoreError {
    let words = reasons.iter().filter_map(CancellationReason::code).filter(|code| *code != "None");
    let message = format!("{operation}: {}", words.collect::<Vec<_>>().join(", "));
    let failed = (0..reasons.len()).any(|part| condition_failed(reasons, part).is_some());
    let passes = !failed && reasons.iter().any(is_passing);
    if passes { StoreError::Busy(message) } else { StoreError::Refused(message) }
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
