//! How the AWS clients are set up.

use crate::config::{ConfigError, Env};
use aws_config::{
    BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider, timeout::TimeoutConfig,
};
use aws_sdk_secretsmanager::config::{SharedCredentialsProvider, SharedHttpClient};
use aws_smithy_http_client::{
    Builder, HttpClientError,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::time::Duration;

/// The AWS clients cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum AwsConfigError {
    /// The environment.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The TLS stack.
    #[error("no HTTP client for AWS: {0}")]
    Tls(#[from] HttpClientError),
}

/// What all clients of a function share, as Lambda sets it: `AWS_REGION`, the role's credentials, and
/// `AWS_ENDPOINT_URL`, `AWS_CA_BUNDLE` (a PEM file to trust instead of the roots compiled in), `AWS_USE_FIPS_ENDPOINT`
/// and `AWS_USE_DUALSTACK_ENDPOINT` as AWS's own tools read them. To be made once: its clients share connections.
///
/// Lambda needs none of the other places where credentials and settings may be found on a person's machine, and they
/// would be a tenth of a function's weight.
///
/// # Errors
/// A variable is missing or wrong, or the file that it names holds no certificates.
pub fn function_config(env: &Env) -> Result<SdkConfig, AwsConfigError> {
    let mut vars = env.reader();
    let region = vars.required("AWS_REGION");
    let endpoint = vars.url("AWS_ENDPOINT_URL");
    let fips = vars.parsed("AWS_USE_FIPS_ENDPOINT", false);
    let dual_stack = vars.parsed("AWS_USE_DUALSTACK_ENDPOINT", false);
    let roots = match vars.optional("AWS_CA_BUNDLE") {
        None => roots(),
        Some(path) => bundle(&path).unwrap_or_else(|error| {
            vars.fault("AWS_CA_BUNDLE", error);
            Vec::new()
        }),
    };
    vars.finish()?;
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
        .timeout_config(timeouts())
        .http_client(http_client(roots)?)
        .use_fips(fips)
        .use_dual_stack(dual_stack);
    config.set_endpoint_url(endpoint);
    Ok(config.build())
}

/// What the clients of a command share: all that the AWS CLI reads too, profiles among it.
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts()).load().await
}

/// A connection may have died while the environment was frozen, so neither connecting nor the first byte of an answer
/// is waited for long; the SDK then tries again on a new one.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(Duration::from_millis(1_500)).read_timeout(Duration::from_secs(5)).build()
}

fn http_client(roots: Vec<u8>) -> Result<SharedHttpClient, HttpClientError> {
    let trusted = TrustStore::empty().with_pem_certificate(roots);
    let tls = TlsContext::builder().with_trust_store(trusted).build()?;
    Ok(Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(tls).build_https())
}

/// The certificates in a file. They are read here, since the SDK's client panics over those that it cannot read.
fn bundle(path: &str) -> Result<Vec<u8>, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("holds no certificate".to_owned()) } else { Ok(pem) }
}

/// The roots compiled in, as PEM, which is all that the SDK's client takes.
fn roots() -> Vec<u8> {
    let mut pem = String::new();
    for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        BASE64_STANDARD.encode_string(root, &mut pem);
        pem.push_str("\n-----END CERTIFICATE-----\n");
    }
    pem.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(extra: &[(&str, &str)]) -> Result<SdkConfig, String> {
        let env = [("AWS_REGION", "eu-west-1")].iter().chain(extra).copied().collect();
        function_config(&env).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_what_lambda_sets() {
        let config = function(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"), ("AWS_USE_FIPS_ENDPOINT", "true")]);
        let config = config.unwrap();
        assert_eq!(config.region().map(AsRef::as_ref), Some("eu-west-1"));
        assert_eq!(config.endpoint_url(), Some("http://127.0.0.1:4566"));
        assert_eq!((config.use_fips(), config.use_dual_stack()), (Some(true), Some(false)));
        assert_eq!(function(&[]).unwrap().endpoint_url(), None);
    }

    #[test]
    fn says_what_is_wrong() {
        let error = function_config(&Env::from_iter([("AWS_USE_FIPS_ENDPOINT", "yes")])).unwrap_err().to_string();
        assert!(error.contains("AWS_REGION") && error.contains("AWS_USE_FIPS_ENDPOINT"), "{error}");
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for (path, says) in [("/no/such/bundle", "No such file"), (file, "holds no certificate")] {
            let error = function(&[("AWS_CA_BUNDLE", path)]).unwrap_err();
            assert!(error.contains("AWS_CA_BUNDLE") && error.contains(says), "{error}");
        }
    }

    /// The SDK's client panics over a root that it cannot read, and does so when it connects.
    #[test]
    fn the_roots_compiled_in_can_be_read() {
        let pem = roots();
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(&pem) {
            store.add(root.unwrap()).unwrap();
        }
        assert_eq!(store.len(), webpki_root_certs::TLS_SERVER_ROOT_CERTS.len());
        assert!(store.len() > 100);
    }
}
