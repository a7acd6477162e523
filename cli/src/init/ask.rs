//! Asking a person.

use crate::CliError;
use dialoguer::{Confirm, Input, MultiSelect, Password, Select, theme::ColorfulTheme};
use secrecy::SecretString;
use std::io;

/// Whoever answers.
pub trait Ask {
    /// One of several.
    fn choose(&mut self, question: &str, options: &[String]) -> Result<usize, CliError>;
    /// Any of several.
    fn choose_any(&mut self, question: &str, options: &[String]) -> Result<Vec<usize>, CliError>;
    /// A line; an empty one takes the default.
    fn line(&mut self, question: &str, default: &str) -> Result<String, CliError>;
    /// A line that is not shown; an empty one is none.
    fn hidden(&mut self, question: &str) -> Result<Option<SecretString>, CliError>;
    /// Yes or no.
    fn confirm(&mut self, question: &str) -> Result<bool, CliError>;
}

/// The person at the terminal.
#[derive(Default)]
pub struct Terminal(ColorfulTheme);

fn failed(error: dialoguer::Error) -> CliError {
    let dialoguer::Error::IO(error) = error;
    CliError::Io(io::Error::other(error))
}

impl Ask for Terminal {
    fn choose(&mut self, question: &str, options: &[String]) -> Result<usize, CliError> {
        Select::with_theme(&self.0).with_prompt(question).items(options).default(0).interact().map_err(failed)
    }

    fn choose_any(&mut self, question: &str, options: &[String]) -> Result<Vec<usize>, CliError> {
        MultiSelect::with_theme(&self.0).with_prompt(question).items(options).interact().map_err(failed)
    }

    fn line(&mut self, question: &str, default: &str) -> Result<String, CliError> {
        let mut input = Input::<String>::with_theme(&self.0).with_prompt(question).allow_empty(true);
        if !default.is_empty() {
            input = input.default(default.to_owned());
        }
        input.interact_text().map(|text| text.trim().to_owned()).map_err(failed)
    }

    fn hidden(&mut self, question: &str) -> Result<Option<SecretString>, CliError> {
        let text = Password::with_theme(&self.0).with_prompt(question).allow_empty_password(true).interact();
        let text = text.map_err(failed)?;
        let text = text.trim();
        Ok((!text.is_empty()).then(|| text.into()))
    }

    fn confirm(&mut self, question: &str) -> Result<bool, CliError> {
        Confirm::with_theme(&self.0).with_prompt(question).default(true).interact().map_err(failed)
    }
}
