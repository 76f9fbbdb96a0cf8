//! One emulated AWS on this machine: started, asked, and stopped with everything it started.

use crate::{
    ORGANIZATION,
    project::{Project, Python},
};
use ampxa_cli::account::Account;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// How a cloud is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// The port it listens on; a free one when absent.
    pub port: Option<u16>,
    /// Real seconds that a minute of the cloud takes.
    pub minute: f64,
    /// Minutes, by the cloud's clock, that a scraper takes to become ACTIVE.
    pub activation_minutes: f64,
    /// Seconds, by the cloud's clock, until IAM sees a new role as a principal.
    pub iam_delay_seconds: f64,
    /// Where its functions reach AWS: a proxy in front of it; straight when absent.
    pub functions_endpoint: Option<String>,
    /// Whether its scrapers collect by themselves.
    pub collects: bool,
    /// Whether workspaces are real Prometheus servers, where one is installed.
    pub prometheus: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: None,
            minute: 1.0,
            activation_minutes: 20.0,
            iam_delay_seconds: 8.0,
            functions_endpoint: None,
            collects: true,
            prometheus: false,
        }
    }
}

/// A running cloud. Dropping it stops it.
#[derive(Debug)]
pub struct Cloud {
    /// Where it answers.
    pub url: String,
    /// How it was started.
    pub options: Options,
    process: Child,
    // The cloud stops when this pipe closes: also when this program is killed.
    lifeline: Option<ChildStdin>,
    folder: PathBuf,
}

impl Cloud {
    /// Starts a cloud and waits until it answers.
    ///
    /// # Errors
    /// When it does not start; the end of its log is in the message.
    pub fn start(project: &Project, python: &Python, options: Options) -> Result<Self> {
        let port = match options.port {
            Some(port) => port,
            None => TcpListener::bind("127.0.0.1:0")?.local_addr()?.port(),
        };
        remove_leftovers(&project.scratch());
        let folder = project.scratch().join(format!("cloud-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let log = folder.join("cloud.log");
        let mut process = Command::new(python.interpreter())
            .arg(project.root.join("tests/local/cloud"))
            .args(["--port", &port.to_string()])
            .args(["--minute", &options.minute.to_string()])
            .args(["--activation-minutes", &options.activation_minutes.to_string()])
            .args(["--iam-delay-seconds", &options.iam_delay_seconds.to_string()])
            .args(["--organization", ORGANIZATION, "--watch-stdin", "--dir"])
            .arg(&folder)
            .args(
                options
                    .functions_endpoint
                    .iter()
                    .flat_map(|url| ["--functions-endpoint", url]),
            )
            .args((!options.collects).then_some("--no-collection"))
            .args(options.prometheus.then_some("--prometheus"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            // Ctrl-C reaches this program alone, which then stops the cloud in good order.
            .process_group(0)
            .spawn()
            .context("The local cloud could not be started")?;
        let lifeline = process.stdin.take();
        let output = process.stdout.take().context("The local cloud has no output")?;
        let cloud = Self {
            url: format!("http://127.0.0.1:{port}"),
            options,
            process,
            lifeline,
            folder,
        };
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let ready = lines.recv_timeout(Duration::from_secs(300));
        if !ready.is_ok_and(|line| line.starts_with("ready")) {
            let said = fs::read_to_string(&log).unwrap_or_default();
            let end: Vec<&str> = said.lines().rev().take(12).collect();
            bail!(
                "The local cloud did not start. Its last words:\n{}",
                end.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
        Ok(cloud)
    }

    /// The root of an account, in a Region.
    pub fn account(&self, id: &str, region: &str) -> Account {
        Account::new(&self.url, id, region)
    }

    /// Reads the cloud's control surface, which is no part of AWS.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn look(&self, path: &str) -> Result<Value> {
        let url = format!("{}/_cloud/{path}", self.url);
        told(
            &url,
            ureq::get(&url).config().http_status_as_error(false).build().call()?,
        )
    }

    /// Tells the cloud's control surface something.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn tell(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/_cloud/{path}", self.url);
        let asked = ureq::post(&url).header("content-type", "application/json");
        let asked = asked.config().http_status_as_error(false).build();
        told(&url, asked.send(body.to_string())?)
    }

    /// A duration by the cloud's clock, in real time.
    pub fn minutes(&self, minutes: f64) -> Duration {
        Duration::from_secs_f64(minutes * self.options.minute)
    }

    /// Where its log and the packaged templates lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Removes the folders of clouds whose program was killed.
fn remove_leftovers(scratch: &Path) {
    for entry in fs::read_dir(scratch).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix("cloud-")?.split('-').next());
        let running = |pid: &str| Path::new("/proc").join(pid).exists();
        if pid.is_some_and(|pid| !running(pid)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// What the control surface answered, or its words on why it did not.
fn told(url: &str, mut answer: ureq::http::Response<ureq::Body>) -> Result<Value> {
    let text = answer.body_mut().read_to_string()?;
    ensure!(
        answer.status().is_success(),
        "{url} answered {}: {text}",
        answer.status()
    );
    Ok(serde_json::from_str(&text)?)
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // Closing the pipe asks it to stop its Lambda processes and itself.
        drop(self.lifeline.take());
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            match self.process.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(20)),
                _ => break,
            }
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
