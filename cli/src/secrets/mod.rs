//! `certbridge secrets`: which keys there are, how old they are, which still match, and how each is rotated.
//!
//! Nothing here prints what a secret holds, but for one thing: a key that was made here is shown to whoever has to tell
//! it to the sender.

mod advice;
pub(crate) mod command;
pub mod document;
mod error;
mod place;

pub use command::{RotateArgs, SecretsCommand, Step, run};
pub use document::{Document, Stage};
pub use error::SecretsError;
pub(crate) use place::is_ours;
pub use place::{Held, SecretStore};
