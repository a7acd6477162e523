//! The built-in sources, each as its sender sees it: through the handler of `webhook`, and, where the end matters, on
//! through the engine to the Snapshots API of the sandbox.

mod accredit;
mod acculynx;
mod certifylize;
mod golden;
pub(crate) mod ground;
mod proof;
mod seventeenhats;
