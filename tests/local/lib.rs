//! What must be there before the local cloud's driver can run: Python, the Lambda functions, the driver itself.
//!
//! - [`python`]: whether there is a Python that the emulator runs on.
//! - [`building`]: Cargo, with its progress as one line that moves, or as plain lines where there is no terminal.

pub mod building;
mod progress;
pub mod python;

pub use progress::Progress;

use std::{
    env,
    path::{Path, PathBuf},
};

/// The repository that this program was built from.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The folder of the programs that [`building::programs`] builds.
pub fn programs() -> PathBuf {
    target().join("debug")
}

/// The program that has the commands.
pub fn driver() -> PathBuf {
    programs().join("driver")
}
