use certbridge_platform::{
    Env,
    config::{ConfigError, DEFAULT_SECRET_PREFIX},
};
use certbridge_store::Tables;

/// The variables that this function reads.
#[derive(Debug, Clone)]
pub struct Config {
    /// `INBOX_TABLE`, `RECORDS_TABLE`, `AUDIT_TABLE` and `STATE_TABLE`.
    pub tables: Tables,
    /// `RETRY_QUEUE_URL`: where pointers to events go that are run again.
    pub retry_queue_url: String,
    /// `DESTINATION`: the name of its definition.
    pub destination: String,
    /// `SECRET_PREFIX`: what the names of secrets begin with.
    pub secret_prefix: String,
    /// `STATE_MACHINE_ARN`: what carries batches.
    pub state_machine_arn: String,
    /// `REPORTS_URL`: where the archive is, `s3://bucket/prefix` or `file:///folder`.
    pub reports_url: String,
    /// `CHECKPOINTS_URL`: where checkpoints are kept, if not with the reports.
    pub checkpoints_url: Option<String>,
    /// `AWS_ENDPOINT_URL`, for the archive's bucket too.
    pub endpoint: Option<String>,
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
            destination: vars.one_of("DESTINATION", &["snapshots", "highlevel"]).to_owned(),
            secret_prefix: vars.parsed("SECRET_PREFIX", DEFAULT_SECRET_PREFIX.to_owned()),
            state_machine_arn: vars.required("STATE_MACHINE_ARN"),
            reports_url: vars.required("REPORTS_URL"),
            checkpoints_url: vars.optional("CHECKPOINTS_URL"),
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
            "configuration: INBOX_TABLE: is not set; RECORDS_TABLE: is not set; AUDIT_TABLE: is not set; \
             STATE_TABLE: is not set; RETRY_QUEUE_URL: is not set; STATE_MACHINE_ARN: is not set; \
             AWS_ENDPOINT_URL: is not an http or https address; \
             REPORTS_URL: is neither s3://bucket/prefix nor file:///folder"
        );
        let error = Config::read(&Env::from_iter::<[(&str, &str); 0]>([])).unwrap_err().to_string();
        assert_eq!(error.matches("REPORTS_URL").count(), 1, "{error}");
    }

    #[test]
    fn what_is_there_is_read() {
        for address in ["s3://reports", "s3://reports/certbridge", "file:///tmp/reports"] {
            let tables = ["INBOX_TABLE", "RECORDS_TABLE", "AUDIT_TABLE", "STATE_TABLE"].map(|name| (name, "state"));
            let further = [("RETRY_QUEUE_URL", "q"), ("STATE_MACHINE_ARN", "arn"), ("REPORTS_URL", address)];
            let env = tables.into_iter().chain(further);
            let config = Config::read(&env.collect()).unwrap();
            assert_eq!((config.tables.state.as_str(), config.reports_url.as_str()), ("state", address));
        }
    }
}
