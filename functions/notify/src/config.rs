use certbridge_platform::{Env, config::ConfigError};

/// The variables that this function reads.
#[derive(Debug, Clone)]
pub struct Config {
    /// `EVENT_BUS`: the bus's name or ARN.
    pub event_bus: String,
}

impl Config {
    /// Reads them, and says everything that is wrong at once.
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let mut vars = env.reader();
        let config = Self { event_bus: vars.required("EVENT_BUS") };
        vars.finish()?;
        Ok(config)
    }
}
