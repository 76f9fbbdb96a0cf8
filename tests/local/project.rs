//! This repository: its Lambda binaries, and the Python that the cloud runs on.

use crate::terminal::Report;
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The repository that this program was built from.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its top folder.
    pub root: PathBuf,
}

impl Project {
    /// Finds the repository.
    ///
    /// # Errors
    /// When it has moved since this program was built.
    pub fn here() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = root
            .canonicalize()
            .with_context(|| format!("The repository is no longer at {}. Build again.", root.display()))?;
        Ok(Self { root })
    }

    /// The folder for everything that the local cloud makes and may be deleted.
    pub fn scratch(&self) -> PathBuf {
        self.target().join("local-cloud")
    }

    fn target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), PathBuf::from)
    }

    /// The folder of the binaries of one of Cargo's profiles.
    fn binaries(&self, profile: &str) -> PathBuf {
        self.target().join(profile)
    }

    /// The names of the steps, in running order, as `Cargo.toml` lists them.
    ///
    /// # Errors
    /// When `Cargo.toml` cannot be read.
    pub fn steps(&self) -> Result<Vec<String>> {
        let manifest = fs::read_to_string(self.root.join("Cargo.toml"))?;
        let mut lines = manifest.lines();
        let mut steps = Vec::new();
        while lines.any(|line| line == "[[bin]]") {
            let name = lines
                .next()
                .and_then(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
            steps.push(
                name.context("Cargo.toml: a [[bin]] does not begin with its name")?
                    .to_owned(),
            );
        }
        Ok(steps)
    }

    /// Builds the Lambda binaries and lays them where `infra/template.yaml` looks for them, as
    /// `cargo lambda build --release` does, which optimizes them more and takes longer.
    ///
    /// # Errors
    /// When the build fails; its own output says why.
    pub fn build(&self, report: &Report) -> Result<()> {
        let doing = report.doing("Building the Lambda functions (some minutes the first time)");
        self.cargo_build("local", &["--bins", "--package", "ampxa"])?;
        for step in self.steps()? {
            let folder = self.root.join("target/lambda").join(&step);
            fs::create_dir_all(&folder)?;
            // A copy under another name first: another run may be reading the old one.
            let (new, place) = (
                folder.join(format!(".new-{}", std::process::id())),
                folder.join("bootstrap"),
            );
            fs::copy(self.binaries("local").join(&step), &new)?;
            fs::rename(new, place)?;
        }
        doing.done();
        Ok(())
    }

    /// Builds these programs, of steps or of tests, as they are deployed; answers the folder they are in.
    ///
    /// # Errors
    /// When the build fails; its own output says why.
    pub fn build_release(&self, programs: &[String], report: &Report) -> Result<PathBuf> {
        let doing = report.doing("Building the programs as they are deployed (about a minute each the first time)");
        let mut arguments = vec!["--package", "ampxa", "--package", "do-nothing"];
        arguments.extend(programs.iter().flat_map(|program| ["--bin", program]));
        self.cargo_build("release", &arguments)?;
        doing.done();
        Ok(self.binaries("release"))
    }

    fn cargo_build(&self, profile: &str, arguments: &[&str]) -> Result<()> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // What Cargo tells the program it runs is not for the Cargo that this one runs: build scripts look at it, and
        // would build everything anew for each program that asks.
        for (name, _) in std::env::vars_os() {
            let told = [
                "CARGO_PKG_",
                "CARGO_MANIFEST_",
                "CARGO_BIN_",
                "CARGO_CRATE_",
                "CARGO_PRIMARY_",
            ];
            if name
                .to_str()
                .is_some_and(|name| told.iter().any(|begin| name.starts_with(begin)))
            {
                cargo.env_remove(name);
            }
        }
        let status = cargo
            .args(["build", "--quiet", "--profile", profile])
            .args(arguments)
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .context("cargo could not be started")?;
        ensure!(
            status.success(),
            "Building the Lambda functions failed; cargo says why above."
        );
        Ok(())
    }

    /// A Python with what the cloud needs, in a virtual environment made when it is missing.
    ///
    /// Safe to call from several processes at once.
    ///
    /// # Errors
    /// When there is no Python 3.11 or newer, or a package cannot be had.
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
        let doing = report.doing("Installing the local cloud's Python packages");
        let _ = fs::remove_dir_all(&venv);
        let log = File::create(self.scratch().join("pip.log"))?;
        run(
            Command::new("python3").args(["-m", "venv"]).arg(&venv),
            &log,
            "python3 -m venv failed. Python 3.11 or newer with its venv module is needed (Debian: python3-venv)",
        )?;
        run(
            Command::new(venv.join("bin/python"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--no-input",
                ])
                .args(["--require-hashes", "--only-binary", ":all:", "--requirement"])
                .arg(&requirements),
            &log,
            "pip could not install tests/local/cloud/requirements.txt",
        )?;
        fs::write(installed, wanted)?;
        doing.done();
        Ok(Python(venv))
    }
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
