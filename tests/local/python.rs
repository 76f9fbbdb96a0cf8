//! Whether there is a Python that the emulator runs on.

use std::process::Command;

/// Prints the version, if the interpreter can make virtual environments.
const PROBE: &str = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])";

/// Checks that `python3` is version 3.11 or newer and has the venv module.
///
/// # Errors
/// A sentence that says what to install.
pub fn check() -> Result<(), String> {
    let right = "The local cloud needs Python 3.11 or newer with its venv module (Debian and Ubuntu: \
                 apt-get install python3 python3-venv)";
    let Ok(output) = Command::new("python3").args(["-c", PROBE]).output() else {
        return Err(format!("{right}, and there is no python3 on the PATH."));
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().lines().next_back().unwrap_or("it failed").to_owned();
        return Err(format!("{right}, and python3 says: {said}."));
    }
    let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match is_enough(&found) {
        true => Ok(()),
        false => Err(format!("{right}, and python3 is version {found}.")),
    }
}

fn is_enough(version: &str) -> bool {
    let numbers: Vec<u32> = version.split('.').filter_map(|number| number.parse().ok()).collect();
    numbers.as_slice() >= [3, 11].as_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_3_11_is_the_oldest_that_is_accepted() {
        for enough in ["3.11", "3.12", "4.0"] {
            assert!(is_enough(enough), "{enough}");
        }
        for old in ["2.7", "3.9", "3.10", "", "three"] {
            assert!(!is_enough(old), "{old}");
        }
    }
}
