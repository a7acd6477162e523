//! `certbridge connect`: lets us in at a destination, and makes what has to be there.
//!
//! Nothing here prints a token: what the provider gives goes into the state table, and nowhere else.

mod command;
mod error;
mod highlevel;
mod place;

pub use command::{ConnectCommand, HighLevelArgs, run};
pub use error::ConnectError;
pub use highlevel::{Told, Wish, code_in, connect};
