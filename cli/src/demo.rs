//! x
use crate::CliError;
use certbridge_platform::Env;
use std::path::PathBuf;
/// x
pub async fn run(_data: Option<PathBuf>, _env: Env) -> Result<(), CliError> {
    Ok(())
}
