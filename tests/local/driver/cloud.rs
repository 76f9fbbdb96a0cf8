//! The emulated AWS on this machine: starts it, uses its control API, and stops it with all its processes.

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
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// The configuration of a local cloud.
#[derive(Debug, Clone)]
pub struct Options {
    /// The port to listen on; a free port if absent.
    pub port: Option<u16>,
    /// The real seconds that a minute of the cloud's clock takes.
    pub minute: f64,
    /// The minutes, by the cloud's clock, until a scraper is ACTIVE.
    pub activation_minutes: f64,
    /// The seconds, by the cloud's clock, until IAM accepts a new role as a principal.
    pub iam_delay_seconds: f64,
    /// The URL of a proxy in front of the cloud, which the functions use; the cloud itself if absent. The functions add
    /// the path of the cloud's URL.
    pub functions_endpoint: Option<String>,
    /// Whether scrapers collect samples on a schedule.
    pub collects: bool,
    /// The partition of all accounts, `aws` or `aws-us-gov`.
    pub partition: &'static str,
    /// Whether workspaces are real Prometheus servers, if Prometheus is installed.
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
            partition: "aws",
            prometheus: false,
        }
    }
}

/// A running local cloud. It is stopped on drop.
#[derive(Debug)]
pub struct Cloud {
    /// The endpoint URL. Its path is the secret of this run, without which the cloud refuses requests.
    pub url: String,
    /// The configuration.
    pub options: Options,
    process: Child,
    // The cloud stops when this pipe closes, also when this program is killed.
    stdin: Option<ChildStdin>,
    folder: PathBuf,
}

impl Cloud {
    /// Starts a cloud and waits until it is ready.
    ///
    /// # Errors
    /// If it does not start; the message contains the end of its log.
    pub fn start(project: &Project, python: &Python, options: Options) -> Result<Self> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        remove_leftovers(&project.scratch());
        let folder = project.scratch().join(format!("cloud-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let log = folder.join("cloud.log");
        let mut process = Command::new(python.interpreter())
            .arg(project.root.join("tests/local/cloud"))
            .args(["--port", &options.port.unwrap_or_default().to_string()])
            .args(["--minute", &options.minute.to_string()])
            .args(["--activation-minutes", &options.activation_minutes.to_string()])
            .args(["--iam-delay-seconds", &options.iam_delay_seconds.to_string()])
            .args(["--partition", options.partition])
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
            // Ctrl-C is sent to this program only, which then stops the cloud.
            .process_group(0)
            .spawn()
            .context("The local cloud could not be started")?;
        let stdin = process.stdin.take();
        let output = process.stdout.take().context("The local cloud has no output")?;
        let mut cloud = Self {
            url: String::new(),
            options,
            process,
            stdin,
            folder,
        };
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let ready = lines.recv_timeout(Duration::from_secs(300));
        let Some(url) = ready.as_ref().ok().and_then(|line| line.strip_prefix("ready ")) else {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let end: Vec<&str> = text.lines().rev().take(12).collect();
            bail!(
                "The local cloud did not start. The end of its log:\n{}",
                end.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        };
        url.clone_into(&mut cloud.url);
        Ok(cloud)
    }

    /// The root user of an account, in a Region.
    pub fn account(&self, id: &str, region: &str) -> Account {
        Account::new(&self.url, id, region)
    }

    /// Sends a GET request to the cloud's control API, which is not part of AWS.
    ///
    /// # Errors
    /// If the request fails.
    pub fn look(&self, path: &str) -> Result<Value> {
        let url = format!("{}/_cloud/{path}", self.url);
        read_json(
            &url,
            ureq::get(&url).config().http_status_as_error(false).build().call()?,
        )
    }

    /// Sends a POST request to the cloud's control API.
    ///
    /// # Errors
    /// If the request fails.
    pub fn tell(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/_cloud/{path}", self.url);
        let request = ureq::post(&url).header("content-type", "application/json");
        let request = request.config().http_status_as_error(false).build();
        read_json(&url, request.send(body.to_string())?)
    }

    /// Converts minutes of the cloud's clock into real time.
    pub fn minutes(&self, minutes: f64) -> Duration {
        Duration::from_secs_f64(minutes * self.options.minute)
    }

    /// The folder of its log and of the packaged templates.
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

/// The JSON body of a response of the control API.
fn read_json(url: &str, mut response: ureq::http::Response<ureq::Body>) -> Result<Value> {
    // The request log of a long test run has tens of megabytes.
    let text = response.body_mut().with_config().limit(1 << 28).read_to_string()?;
    ensure!(
        response.status().is_success(),
        "{url} answered {}: {text}",
        response.status()
    );
    Ok(serde_json::from_str(&text)?)
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // When the pipe closes, the cloud stops its Lambda processes and itself.
        drop(self.stdin.take());
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
