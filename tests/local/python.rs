//! Checks for a Python that can run the emulator.

use std::process::Command;

/// Prints the version, if the interpreter can create virtual environments.
const PROBE: &str = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])";

/// Checks that `python3` is version 3.11 or newer and has the venv module.
///
/// # Errors
/// A message that names the packages to install.
pub fn check() -> Result<(), String> {
    let requirement = "The local cloud needs Python 3.11 or newer with its venv module (Debian and Ubuntu: \
                 apt-get install python3 python3-venv)";
    let Ok(output) = Command::new("python3").args(["-c", PROBE]).output() else {
        return Err(format!("{requirement}. There is no python3 on the PATH."));
    };
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let message = stderr.trim().lines().next_back().unwrap_or("no message").to_owned();
        return Err(format!("{requirement}. python3 failed: {message}."));
    }
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match is_supported(&version) {
        true => Ok(()),
        false => Err(format!("{requirement}. python3 is version {version}.")),
    }
}

fn is_supported(version: &str) -> bool {
    let numbers: Vec<u32> = version.split('.').filter_map(|number| number.parse().ok()).collect();
    numbers.as_slice() >= [3, 11].as_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_3_11_is_the_oldest_supported_version() {
        for supported in ["3.11", "3.12", "4.0"] {
            assert!(is_supported(supported), "{supported}");
        }
        for old in ["2.7", "3.9", "3.10", "", "three"] {
            assert!(!is_supported(old), "{old}");
        }
    }
}
