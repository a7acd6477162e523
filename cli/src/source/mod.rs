//! `certbridge source new`: a definition to begin with.

use crate::{CliError, config::built_in};
use certbridge_mapping::{DefinitionError, SourceDefinition};
use clap::{Subcommand, ValueEnum};
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

const TEMPLATE: &str = include_str!("template.toml");
const SCHEMA: &str = include_str!("../../../config/source.schema.json");

/// Write definitions of sources.
#[derive(Debug, Subcommand)]
pub enum SourceCommand {
    /// Write the definition of a new source: valid as it stands, with comments that lead through it
    New {
        /// Its name: letters, digits and hyphens
        name: String,
        /// How its deliveries are proven
        #[arg(long, value_enum, default_value_t = NewScheme::HmacSha256)]
        scheme: NewScheme,
        /// The folder to write it into
        #[arg(long, value_name = "DIR", default_value = "config/sources")]
        folder: PathBuf,
    },
}

/// The schemes of proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NewScheme {
    /// HMAC-SHA256 under a shared secret
    HmacSha256,
    /// RSA with SHA-256 under the sender's private key
    RsaSha256,
    /// Ed25519 under the sender's private key
    Ed25519,
    /// Standard Webhooks
    StandardWebhooks,
    /// A shared secret that is sent along as it is
    Token,
}

/// Why no definition was written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There is a source of this name.
    #[error("{0} is built in: `certbridge config show {0}` prints it, to be changed and pushed")]
    BuiltIn(String),
    /// The name cannot be one.
    #[error(transparent)]
    Name(#[from] DefinitionError),
}

impl NewScheme {
    fn block(self) -> &'static str {
        match self {
            Self::HmacSha256 => HMAC,
            Self::RsaSha256 => RSA,
            Self::Ed25519 => ED25519,
            Self::StandardWebhooks => STANDARD_WEBHOOKS,
            Self::Token => TOKEN,
        }
    }
}

const HMAC: &str = r#"[verification]
scheme = "hmac-sha256"         # a shared secret
header = "X-Signature"
encoding = "hex"               # or "base64"
# prefix = "sha256="           # what stands before the signature, if anything does
# Where {timestamp}.{body} is signed instead of the body alone:
# timestamp = { header = "X-Timestamp", tolerance_seconds = 300 }
"#;

const RSA: &str = r#"[verification]
scheme = "rsa-sha256"          # the sender's public key: PEM, or base64 of its DER
header = "X-Signature"
padding = "pkcs1v15"           # or "pss"
encoding = "base64"            # or "hex"
# Where {timestamp}.{body} is signed instead of the body alone:
# timestamp = { header = "X-Timestamp", tolerance_seconds = 300 }
"#;

const ED25519: &str = r#"[verification]
scheme = "ed25519"             # the sender's public key: base64 of its 32 bytes, or PEM
header = "X-Signature"
encoding = "base64"            # or "hex"
# Where {timestamp}.{body} is signed instead of the body alone:
# timestamp = { header = "X-Timestamp", tolerance_seconds = 300 }
"#;

const STANDARD_WEBHOOKS: &str = r#"[verification]
scheme = "standard-webhooks"   # whsec_.. (shared) or whpk_.. (the sender's public key)
tolerance_seconds = 300
# Only where the sender names them otherwise:
# id_header = "webhook-id"
# timestamp_header = "webhook-timestamp"
# signature_header = "webhook-signature"
"#;

const TOKEN: &str = r#"[verification]
scheme = "token"               # a shared secret, sent along as it is
header = "X-Token"             # without this line, it stands in the path: /webhooks/{name}/{token}
"#;

/// The definition of a new source.
///
/// # Errors
/// The name cannot be one, or is a built-in source's.
pub fn definition(name: &str, scheme: NewScheme, file: &str) -> Result<String, SourceError> {
    let path = format!("sources/{name}.toml");
    if built_in(&path).is_some() {
        return Err(SourceError::BuiltIn(name.to_owned()));
    }
    let variable = match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("variable = \"SOURCE_{}\"\n", name.to_uppercase().replace('-', "_")),
        false => String::new(),
    };
    let text = TEMPLATE
        .replace("{verification}", scheme.block())
        .replace("{variable}", &variable)
        .replace("{name}", name)
        .replace("{file}", file);
    SourceDefinition::parse(&path, &text)?;
    Ok(text)
}

/// Does it.
pub fn run(command: SourceCommand) -> Result<(), CliError> {
    let SourceCommand::New { name, scheme, folder } = command;
    let path = folder.join(format!("{name}.toml"));
    let text = definition(&name, scheme, &path.display().to_string())?;
    fs::create_dir_all(&folder).map_err(CliError::file(&folder))?;
    let file = OpenOptions::new().write(true).create_new(true).open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(CliError::file(&path))?;
    write_schema(&folder)?;
    writeln!(io::stdout(), "{}", path.display())?;
    // Not on stdout, which has the file's name for a script.
    let _ = writeln!(
        io::stderr(),
        "It is valid as it stands. Edit it, and see: certbridge mapping check {}",
        path.display()
    );
    Ok(())
}

/// Puts the schema where the definition names it, for editors, unless it is there.
fn write_schema(folder: &Path) -> Result<(), CliError> {
    let Some(parent) = folder.parent() else { return Ok(()) };
    let path = parent.join("source.schema.json");
    match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(mut file) => file.write_all(SCHEMA.as_bytes()).map_err(CliError::file(&path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(CliError::file(&path)(error)),
    }
}
