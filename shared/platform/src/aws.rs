//! How the AWS clients are set up.

use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use std::time::Duration;

/// What all clients share: region, credentials and `AWS_ENDPOINT_URL` as AWS itself sets them. To be loaded once.
///
/// A connection may have died while the environment was frozen, so neither connecting nor the first byte of an answer
/// is waited for long; the SDK then tries again on a new one.
pub async fn sdk_config() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(1_500))
        .read_timeout(Duration::from_secs(5))
        .build();
    aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts).load().await
}
