//! This repository: its Lambda functions, and the Python environment of the emulator.

use ampxa_cli::terminal::Report;
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::SystemTime,
};

/// The repository that this program was built from.
#[derive(Debug, Clone)]
pub struct Project {
    /// The top folder.
    pub root: PathBuf,
}

/// The binaries in Cargo.toml, in its order.
#[derive(serde::Deserialize)]
struct Manifest {
    bin: Vec<Bin>,
}

#[derive(serde::Deserialize)]
struct Bin {
    name: String,
}

impl Project {
    /// Finds the repository.
    ///
    /// # Errors
    /// If it was moved after this program was built.
    pub fn here() -> Result<Self> {
        let root = local::root();
        let root = root
            .canonicalize()
            .with_context(|| format!("The repository is no longer at {}. Build again.", root.display()))?;
        Ok(Self { root })
    }

    /// The folder of all files that the local cloud writes. It may be deleted.
    pub fn scratch(&self) -> PathBuf {
        local::target().join("local-cloud")
    }

    /// The names of the functions, in the order of `Cargo.toml`, which is the order of execution.
    ///
    /// # Errors
    /// If `Cargo.toml` cannot be read.
    pub fn steps(&self) -> Result<Vec<String>> {
        let manifest = fs::read_to_string(self.root.join("Cargo.toml"))?;
        let manifest: Manifest = toml::from_str(&manifest).context("Cargo.toml")?;
        Ok(manifest.bin.into_iter().map(|bin| bin.name).collect())
    }

    /// Builds the functions. For tests: `cargo run -p local` has built them before it starts this program.
    ///
    /// # Errors
    /// If the build fails; the message contains Cargo's output.
    pub fn build(&self) -> Result<()> {
        local::building::programs(local::Progress::Quiet).map_err(|error| anyhow!(error))
    }

    /// Builds these programs with the profile of a deployment; returns their folder.
    ///
    /// # Errors
    /// If the build fails; the message contains Cargo's output.
    pub fn build_release(&self, programs: &[String]) -> Result<PathBuf> {
        local::building::release(programs, local::Progress::stderr()).map_err(|error| anyhow!(error))?;
        Ok(local::target().join("release"))
    }

    /// The program of a function that the local cloud runs.
    pub fn program(&self, step: &str) -> PathBuf {
        local::programs().join(step)
    }

    /// Creates the deployment package of every function: a zip file with its program as `bootstrap`. A package that is
    /// newer than its program is kept.
    ///
    /// Several processes may call this at the same time.
    ///
    /// # Errors
    /// If a function has not been built, or if Python cannot write a zip file.
    pub fn packages(&self, python: &Python) -> Result<Vec<(String, PathBuf)>> {
        let folder = self.scratch().join("packages");
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        let (mut packages, mut outdated) = (Vec::new(), Vec::new());
        for step in self.steps()? {
            let program = self.program(&step);
            let package = folder.join(format!("{step}.zip"));
            let built = modified(&program).with_context(|| format!("{} has not been built", program.display()))?;
            if modified(&package).is_none_or(|packed| packed < built) {
                outdated.extend([program, package.clone()]);
            }
            packages.push((step, package));
        }
        if !outdated.is_empty() {
            let script = self.root.join("tests/local/driver/zip_functions.py");
            let output = Command::new(python.interpreter())
                .arg(script)
                .args(&outdated)
                .output()?;
            let stderr = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "The functions could not be zipped:\n{stderr}");
        }
        Ok(packages)
    }

    /// The Python environment of the emulator, a virtual environment. Creates it if it is missing or outdated.
    ///
    /// Several processes may call this at the same time.
    ///
    /// # Errors
    /// If Python 3.11 or newer is not installed, or if a package cannot be installed.
    pub fn python(&self, report: &Report) -> Result<Python> {
        let requirements = self.root.join("tests/local/cloud/requirements.txt");
        let required = fs::read_to_string(&requirements)?;
        fs::create_dir_all(self.scratch())?;
        let lock = File::create(self.scratch().join("venv.lock"))?;
        lock.lock()?;
        let venv = self.scratch().join("venv");
        let installed = venv.join("installed.txt");
        if fs::read_to_string(&installed).is_ok_and(|content| content == required) {
            return Ok(Python(venv));
        }
        local::python::check().map_err(|error| anyhow!(error))?;
        let activity = report.start("Installing the local cloud's Python packages");
        let _ = fs::remove_dir_all(&venv);
        let log = File::create(self.scratch().join("pip.log"))?;
        let failure = "the virtual environment could not be created";
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv), &log, failure)?;
        let mut pip = Command::new(venv.join("bin/python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
        ])
        .args(["--require-hashes", "--only-binary", ":all:", "--requirement"])
        .arg(&requirements);
        run(
            &mut pip,
            &log,
            "pip could not install tests/local/cloud/requirements.txt",
        )?;
        fs::write(installed, required)?;
        activity.finish();
        Ok(Python(venv))
    }
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

fn run(command: &mut Command, log: &File, failure: &str) -> Result<()> {
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => bail!("{failure}. The output is in target/local-cloud/pip.log."),
        Err(error) => bail!("{failure}: {error}."),
    }
}

/// A virtual environment of Python.
#[derive(Debug, Clone)]
pub struct Python(PathBuf);

impl Python {
    /// The interpreter.
    pub fn interpreter(&self) -> PathBuf {
        self.0.join("bin/python")
    }

    /// The AWS CLI in it.
    pub fn aws_cli(&self) -> PathBuf {
        self.0.join("bin/aws")
    }
}
