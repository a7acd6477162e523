use certbridge_platform::{Env, config::ConfigError, config::DEFAULT_SECRET_PREFIX};
use certbridge_store::Tables;

/// The variables that this function reads, beside those of its destination.
#[derive(Debug, Clone)]
pub struct Config {
    /// `INBOX_TABLE`, `RECORDS_TABLE`, `AUDIT_TABLE` and `STATE_TABLE`.
    pub tables: Tables,
    /// `RETRY_QUEUE_URL`.
    pub retry_queue_url: String,
    /// `SECRET_PREFIX`: what the names of secrets begin with.
    pub secret_prefix: String,
}

impl Config {
    /// Reads them, and says everything that is wrong at once.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let mut vars = env.reader();
        let config = Self {
            tables: Tables {
                inbox: vars.required("INBOX_TABLE"),
                records: vars.required("RECORDS_TABLE"),
                audit: vars.required("AUDIT_TABLE"),
                state: vars.required("STATE_TABLE"),
            },
            retry_queue_url: vars.required("RETRY_QUEUE_URL"),
            secret_prefix: vars.parsed("SECRET_PREFIX", DEFAULT_SECRET_PREFIX.to_owned()),
        };
        vars.finish()?;
        Ok(config)
    }
}
