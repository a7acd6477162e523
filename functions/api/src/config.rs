use certbridge_platform::{Env, config::ConfigError};
use certbridge_store::Tables;

/// The variables that this function reads.
#[derive(Debug, Clone)]
pub struct Config {
    /// `STATE_TABLE`. It touches no other.
    pub tables: Tables,
    /// `STATE_MACHINE_ARN`: what carries batches.
    pub state_machine_arn: String,
    /// `REPORTS_URL`: where the archive is, `s3://bucket/prefix` or `file:///folder`.
    pub reports_url: String,
    /// `AWS_ENDPOINT_URL`, for the archive's bucket too.
    pub endpoint: Option<String>,
}

impl Config {
    /// Reads them, and says everything that is wrong at once.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let mut vars = env.reader();
        let config = Self {
            tables: Tables { state: vars.required("STATE_TABLE"), ..Tables::default() },
            state_machine_arn: vars.required("STATE_MACHINE_ARN"),
            reports_url: vars.required("REPORTS_URL"),
            endpoint: vars.url("AWS_ENDPOINT_URL"),
        };
        let known = ["s3://", "file:///"].iter().any(|scheme| config.reports_url.starts_with(scheme));
        if !known && !config.reports_url.is_empty() {
            vars.fault("REPORTS_URL", "is neither s3://bucket/prefix nor file:///folder");
        }
        vars.finish()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let env = Env::from_iter([("STATE_MACHINE_ARN", " "), ("REPORTS_URL", "https://x"), ("AWS_ENDPOINT_URL", "x")]);
        assert_eq!(
            Config::read(&env).unwrap_err().to_string(),
            "configuration: STATE_TABLE: is not set; STATE_MACHINE_ARN: is not set; \
             AWS_ENDPOINT_URL: is not an http or https address; \
             REPORTS_URL: is neither s3://bucket/prefix nor file:///folder"
        );
        let error = Config::read(&Env::from_iter::<[(&str, &str); 0]>([])).unwrap_err().to_string();
        assert_eq!(error.matches("REPORTS_URL").count(), 1, "{error}");
    }

    #[test]
    fn what_is_there_is_read() {
        for address in ["s3://reports", "s3://reports/certbridge", "file:///tmp/reports"] {
            let env = [("STATE_TABLE", "state"), ("STATE_MACHINE_ARN", "arn"), ("REPORTS_URL", address)];
            let config = Config::read(&env.into_iter().collect()).unwrap();
            assert_eq!((config.tables.state.as_str(), config.reports_url.as_str()), ("state", address));
        }
    }
}
