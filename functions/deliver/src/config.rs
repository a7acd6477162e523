use certbridge_platform::{
    Env,
    config::{ConfigError, DEFAULT_SECRET_PREFIX},
};
use certbridge_store::Tables;

/// The variables that this function reads.
#[derive(Debug, Clone)]
pub struct Config {
    /// `STATE_TABLE`. It touches no other.
    pub tables: Tables,
    /// `DELIVERY_QUEUE_URL`: where deliveries wait.
    pub queue_url: String,
    /// `SECRET_PREFIX`: what the names of secrets begin with.
    pub secret_prefix: String,
}

impl Config {
    /// Reads them, and says everything that is wrong at once.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let mut vars = env.reader();
        let config = Self {
            tables: Tables { state: vars.required("STATE_TABLE"), ..Tables::default() },
            queue_url: vars.required("DELIVERY_QUEUE_URL"),
            secret_prefix: vars.parsed("SECRET_PREFIX", DEFAULT_SECRET_PREFIX.to_owned()),
        };
        vars.finish()?;
        Ok(config)
    }
}
