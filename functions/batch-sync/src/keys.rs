//! What signs the audit's checkpoints.

use certbridge_batch::TaskError;
use certbridge_platform::{
    SecretProvider, Secrets,
    secrets::{AuditSecret, SecretError},
};
use certbridge_sync::{checkpoint::Signer, ports::Runtime};
use std::sync::Arc;

/// Where the audit's keys are.
pub trait AuditKeys: Send + Sync {
    /// The audit's secret, no older than five minutes; `None` if there is none.
    fn audit(&self) -> impl Future<Output = Result<Option<AuditSecret>, SecretError>> + Send;
}

impl<P: SecretProvider, R: Runtime> AuditKeys for Arc<Secrets<P, R>> {
    async fn audit(&self) -> Result<Option<AuditSecret>, SecretError> {
        Secrets::audit(self).await
    }
}

/// What signs checkpoints, if the audit's secret has a key for it. It is looked at for each of them: an environment that
/// polls every few minutes lives for long, and a key may be made or rotated meanwhile.
///
/// # Errors
/// The secret cannot be read, or its key is none: checkpoints must not go unsigned where somebody believes that they are.
pub(crate) async fn signer(keys: &impl AuditKeys) -> Result<Option<Signer>, TaskError> {
    let secret = keys.audit().await.map_err(|error| TaskError::Transient(error.to_string()))?;
    let key = secret.and_then(|secret| secret.signing_key);
    if key.is_none() {
        tracing::warn!("the secret audit has no signing_key: the checkpoint is not signed");
    }
    let signer = key.as_ref().map(Signer::new).transpose();
    signer.map_err(|error| TaskError::Refused(format!("the audit's signing_key: {error}")))
}
