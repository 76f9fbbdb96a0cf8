//! The prerequisites of the driver of the local cloud: Python, the Lambda functions, the driver itself.
//!
//! - [`python`]: checks for a Python that can run the emulator.
//! - [`building`]: runs Cargo and shows its progress, as one updating line on a terminal or as plain lines elsewhere.

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

/// The program that implements the commands.
pub fn driver() -> PathBuf {
    programs().join("driver")
}
