use certbridge_platform::{Env, config::ConfigError};
use certbridge_wiring::EngineConfig;

/// The variables that the function reads.
#[derive(Debug, Clone)]
pub struct Config {
    /// Those of every function with an engine.
    pub engine: EngineConfig,
    /// `REPORTS_URL`: where manifests and reports are kept.
    pub reports_url: String,
    /// `CHECKPOINTS_URL`: where checkpoints are kept, if not with the reports.
    pub checkpoints_url: String,
    /// `AWS_ENDPOINT_URL`, for the bucket too.
    pub endpoint: Option<String>,
}

impl Config {
    /// Reads them, and says everything that is wrong at once.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let engine = EngineConfig::read(env);
        let mut vars = env.reader();
        let reports_url = vars.required("REPORTS_URL");
        let checkpoints_url = vars.optional("CHECKPOINTS_URL");
        let endpoint = vars.url("AWS_ENDPOINT_URL");
        let own = vars.finish();
        let checkpoints_url = checkpoints_url.unwrap_or_else(|| reports_url.clone());
        Ok(Self { engine: engine?, reports_url, checkpoints_url, endpoint: own.map(|()| endpoint)? })
    }
}
