//! This repository: its Lambda functions, and the Python that the emulator runs on.

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
    /// Its top folder.
    pub root: PathBuf,
}

/// The bins of the product's manifest, in its order.
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
    /// When it was moved since this program was built.
    pub fn here() -> Result<Self> {
        let root = local::root();
        let root = root
            .canonicalize()
            .with_context(|| format!("The repository is no longer at {}. Build again.", root.display()))?;
        Ok(Self { root })
    }

    /// The folder of all that the local cloud writes. It may be deleted.
    pub fn scratch(&self) -> PathBuf {
        local::target().join("local-cloud")
    }

    /// The names of the functions, in running order, as `Cargo.toml` lists them.
    ///
    /// # Errors
    /// When `Cargo.toml` cannot be read.
    pub fn steps(&self) -> Result<Vec<String>> {
        let manifest = fs::read_to_string(self.root.join("Cargo.toml"))?;
        let manifest: Manifest = toml::from_str(&manifest).context("Cargo.toml")?;
        Ok(manifest.bin.into_iter().map(|bin| bin.name).collect())
    }

    /// Builds the functions. `cargo run -p local` did so before it started this program: tests call it.
    ///
    /// # Errors
    /// When the build fails; Cargo's own words are in the message.
    pub fn build(&self) -> Result<()> {
        local::building::programs(local::Progress::Quiet).map_err(|why| anyhow!(why))
    }

    /// Builds these programs as they are deployed; returns the folder they are in.
    ///
    /// # Errors
    /// When the build fails; Cargo's own words are in the message.
    pub fn build_release(&self, programs: &[String]) -> Result<PathBuf> {
        local::building::release(programs, local::Progress::stderr()).map_err(|why| anyhow!(why))?;
        Ok(local::target().join("release"))
    }

    /// The program of a function, as the local cloud runs it.
    pub fn program(&self, step: &str) -> PathBuf {
        local::programs().join(step)
    }

    /// The deployment package of every function: a zip with its program, named `bootstrap`. Packages are kept, and made
    /// again only for functions that were built since.
    ///
    /// Safe to call from several processes at once.
    ///
    /// # Errors
    /// When a function has not been built, or Python cannot write the zip.
    pub fn packages(&self, python: &Python) -> Result<Vec<(String, PathBuf)>> {
        let folder = self.scratch().join("packages");
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        let (mut packages, mut missing) = (Vec::new(), Vec::new());
        for step in self.steps()? {
            let program = self.program(&step);
            let package = folder.join(format!("{step}.zip"));
            let built = modified(&program).with_context(|| format!("{} has not been built", program.display()))?;
            if modified(&package).is_none_or(|packed| packed < built) {
                missing.extend([program, package.clone()]);
            }
            packages.push((step, package));
        }
        if !missing.is_empty() {
            let script = self.root.join("tests/local/driver/zip_functions.py");
            let output = Command::new(python.interpreter()).arg(script).args(&missing).output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "The functions could not be zipped:\n{said}");
        }
        Ok(packages)
    }

    /// A Python with what the emulator needs, in a virtual environment that is made when it is missing.
    ///
    /// Safe to call from several processes at once.
    ///
    /// # Errors
    /// When there is no Python 3.11 or newer, or a package cannot be installed.
    pub fn python(&self, report: &Report) -> Result<Python> {
        let requirements = self.root.join("tests/local/cloud/requirements.txt");
        let wanted = fs::read_to_string(&requirements)?;
        fs::create_dir_all(self.scratch())?;
        let lock = File::create(self.scratch().join("venv.lock"))?;
        lock.lock()?;
        let venv = self.scratch().join("venv");
        let installed = venv.join("installed.txt");
        if fs::read_to_string(&installed).is_ok_and(|have| have == wanted) {
            return Ok(Python(venv));
        }
        local::python::check().map_err(|why| anyhow!(why))?;
        let doing = report.doing("Installing the local cloud's Python packages");
        let _ = fs::remove_dir_all(&venv);
        let log = File::create(self.scratch().join("pip.log"))?;
        let sorry = "the virtual environment could not be made";
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv), &log, sorry)?;
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
        fs::write(installed, wanted)?;
        doing.done();
        Ok(Python(venv))
    }
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

fn run(command: &mut Command, log: &File, sorry: &str) -> Result<()> {
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => bail!("{sorry}. target/local-cloud/pip.log says why."),
        Err(error) => bail!("{sorry}: {error}."),
    }
}

/// A virtual environment.
#[derive(Debug, Clone)]
pub struct Python(PathBuf);

impl Python {
    /// Its interpreter.
    pub fn interpreter(&self) -> PathBuf {
        self.0.join("bin/python")
    }

    /// The AWS CLI in it.
    pub fn aws_cli(&self) -> PathBuf {
        self.0.join("bin/aws")
    }
}
