//! Runs a Lambda function as a process with its own Lambda Runtime API: responses, log, CPU time and memory.
//!
//! Protocol: Lambda developer guide, "Using the Lambda runtime API for custom runtimes".

use crate::http::{self, Request, Server};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::{
    fs,
    io::{self, Read},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The timeout of each wait; normally a wait takes less than a tenth of it.
const TIMEOUT: Duration = Duration::from_secs(120);
const INVOCATIONS: &str = "/2018-06-01/runtime/invocation/";
/// The request id of every invocation.
pub const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000001";
/// A clock tick in /proc: 1/100 second on all architectures (proc(5), `USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A running function. Its process is killed on drop. If this program is killed, the process ends because its Runtime
/// API is closed.
#[derive(Debug)]
pub struct Function {
    child: Child,
    events: Sender<Vec<u8>>,
    messages: Receiver<Message>,
    _runtime_api: Server,
}

/// The result of an invocation.
#[derive(Debug)]
pub struct Answer {
    /// The time from the first byte of the event to the last byte of the response.
    pub took: Duration,
    /// The name of the error, if the function failed.
    pub error: Option<String>,
    /// The output, or the error with `errorType` and `errorMessage`.
    pub body: Value,
}

#[derive(Debug)]
enum Message {
    Ready(Instant),
    Answered(Answer),
    Unexpected(String),
}

impl Function {
    /// Starts a program like Lambda does. Returns it with the time until it requested the first event.
    ///
    /// # Errors
    /// If it cannot be started, or ends before it requests an event.
    pub fn start(command: Command, name: &str, aws: SocketAddr) -> Result<(Self, Duration)> {
        Self::start_with(command, name, aws, &[], Stdio::null())
    }

    /// Like [`Self::start`], with additional environment variables and a destination for the log (standard output).
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(
        mut command: Command,
        name: &str,
        aws: SocketAddr,
        more: &[(&str, &str)],
        log: Stdio,
    ) -> Result<(Self, Duration)> {
        let (events, work) = mpsc::channel();
        let (sender, messages) = mpsc::channel();
        let runtime_api = RuntimeApi {
            work: Mutex::new(work),
            sent_at: Mutex::new(Instant::now()),
            sender,
        };
        let server = Server::start(move |request, connection| runtime_api.serve(&request, connection))?;
        command
            .env_clear()
            .envs(environment(name, server.address, aws))
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::piped());
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("{} could not be started", command.get_program().display()))?;
        let mut function = Self {
            child,
            events,
            messages,
            _runtime_api: server,
        };
        let ready = function.ready()?;
        Ok((function, ready - started))
    }

    /// Sends an event, and waits until the function requests the next one.
    ///
    /// # Errors
    /// If the process ends or does not respond.
    pub fn invoke(&mut self, event: &Value) -> Result<Answer> {
        self.invoke_bytes(event.to_string().into_bytes())
    }

    /// Like [`Self::invoke`], with an event that may be invalid JSON.
    ///
    /// # Errors
    /// As [`Self::invoke`].
    pub fn invoke_bytes(&mut self, event: Vec<u8>) -> Result<Answer> {
        // Sending fails only if the Runtime API is closed; then no response arrives either.
        let _ = self.events.send(event);
        let answer = match self.next()? {
            Message::Answered(answer) => answer,
            other => bail!("expected a response, got {other:?}"),
        };
        self.ready()?;
        Ok(answer)
    }

    /// The standard output, if it was started with a pipe. Returns it only once.
    pub fn log(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The CPU time used so far, in user and kernel mode.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn processor_time(&self) -> Result<Duration> {
        let process = format!("/proc/{}", self.child.id());
        // schedstat has nanoseconds, but some kernels do not provide it. stat always exists, in ticks.
        if let Some(exact) = threads_time(&process) {
            return Ok(exact);
        }
        let stat = fs::read_to_string(format!("{process}/stat")).context("The benchmark needs Linux's /proc")?;
        time_of_stat(&stat).context("/proc/<pid>/stat does not have the format of proc(5)")
    }

    /// The peak memory so far, in bytes.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn peak(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .context("The benchmark needs Linux's /proc")?;
        peak_of_status(&status).context("/proc/<pid>/status does not have the format of proc(5)")
    }

    fn ready(&mut self) -> Result<Instant> {
        match self.next()? {
            Message::Ready(at) => Ok(at),
            other => bail!("expected a request for an event, got {other:?}"),
        }
    }

    fn next(&mut self) -> Result<Message> {
        let began = Instant::now();
        loop {
            match self.messages.recv_timeout(Duration::from_millis(50)) {
                Ok(Message::Unexpected(request)) => bail!("it sent {request}{}", self.stderr_after_kill()),
                Ok(message) => return Ok(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("its Runtime API is closed"),
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended, {status}{}", self.stderr_after_kill());
            }
            ensure!(
                began.elapsed() < TIMEOUT,
                "no request within {TIMEOUT:?}{}",
                self.stderr_after_kill()
            );
        }
    }

    /// Kills the process and returns its standard error, up to 16 KiB.
    fn stderr_after_kill(&mut self) -> String {
        let _ = self.child.kill();
        let mut text = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            let _ = stderr.take(16 << 10).read_to_end(&mut text);
        }
        format!("\n{}", String::from_utf8_lossy(&text).trim_end())
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The environment variables that Lambda sets ("Defined runtime environment variables"), without the user's
/// configuration and credentials.
fn environment(name: &str, runtime_api: SocketAddr, aws: SocketAddr) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("PATH", std::env::var("PATH").unwrap_or_default()),
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
        ("AWS_ENDPOINT_URL", format!("http://{aws}")),
    ];
    let fixed = [
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_REGION", "us-west-2"),
        ("AWS_DEFAULT_REGION", "us-west-2"),
        ("AWS_ACCESS_KEY_ID", "ASIABENCHBENCHBENCH0"),
        ("AWS_SECRET_ACCESS_KEY", "bench"),
        ("AWS_SESSION_TOKEN", "bench"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("LANG", "en_US.UTF-8"),
        // From the hub's template: without them the functions make no calls.
        ("AMPXA_BUCKET", "bucket"),
        ("AMPXA_LOCKS", "locks"),
        ("AMPXA_ROUTES", "/ampxa/routes"),
        ("AMPXA_TRUST", "AMAZON"),
        ("AMPXA_ROLE_PATH", "/"),
        ("AMPXA_PAIR_BOUNDARY", ""),
        ("AMPXA_DEFAULT_WORKSPACE", ""),
        ("AMPXA_ORGANIZATION_ID", "NONE"),
        ("AMPXA_DEFAULT_WORKSPACE_ANY_ACCOUNT", "no"),
        ("AMPXA_ORGANIZATIONS", "no"),
        ("AMPXA_SCRAPER_QUOTA", "10"),
        ("AMPXA_ALLOWED_WORKSPACES", ""),
        ("AMPXA_HUB", "ampxa"),
        (
            "AMPXA_ONBOARD",
            "arn:aws:states:us-west-2:111111111111:stateMachine:ampxa-onboard",
        ),
        (
            "AMPXA_OFFBOARD",
            "arn:aws:states:us-west-2:111111111111:stateMachine:ampxa-offboard",
        ),
        (
            "AMPXA_RECONCILE",
            "arn:aws:states:us-west-2:111111111111:stateMachine:ampxa-reconcile",
        ),
        ("AMPXA_RECONCILE_ACCOUNTS", ""),
        ("AMPXA_RECONCILE_REGIONS", ""),
        ("TZ", ":UTC"),
    ];
    variables.extend(fixed.map(|(name, value)| (name, value.to_owned())));
    variables
}

#[derive(Debug)]
struct RuntimeApi {
    work: Mutex<Receiver<Vec<u8>>>,
    sent_at: Mutex<Instant>,
    sender: Sender<Message>,
}

impl RuntimeApi {
    /// Handles a request. Times are taken here, on the thread of the connection, without delay by other threads.
    fn serve(&self, request: &Request, connection: &mut TcpStream) -> io::Result<()> {
        let now = Instant::now();
        let mut words = request.line.split(' ');
        let (method, path) = (words.next(), words.next().unwrap_or_default());
        let resource = path.strip_prefix(INVOCATIONS).unwrap_or_default();
        if (method, resource) == (Some("GET"), "next") {
            self.report(Message::Ready(now))?;
            let event = self.work.lock().unwrap_or_else(PoisonError::into_inner).recv();
            return self.send_event(&event.map_err(io::Error::other)?, connection);
        }
        let outcome = resource.strip_prefix(REQUEST_ID).unwrap_or_default();
        let error = match (method, outcome) {
            (Some("POST"), "/response") => None,
            (Some("POST"), "/error") => Some(error_type(&request.body)),
            _ => {
                let body = String::from_utf8_lossy(&request.body);
                self.report(Message::Unexpected(format!("{} {body}", request.line)))?;
                return http::answer(connection, "404 Not Found", &[], b"");
            }
        };
        let took = now - *self.sent_at.lock().unwrap_or_else(PoisonError::into_inner);
        let body = serde_json::from_slice(&request.body).unwrap_or_default();
        self.report(Message::Answered(Answer { took, error, body }))?;
        http::answer(connection, "202 Accepted", &[], b"")
    }

    fn send_event(&self, event: &[u8], connection: &mut TcpStream) -> io::Result<()> {
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + TIMEOUT;
        let headers = [
            ("content-type", "application/json"),
            ("lambda-runtime-aws-request-id", REQUEST_ID),
            ("lambda-runtime-deadline-ms", &deadline.as_millis().to_string()),
            (
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:us-west-2:111111111111:function:bench",
            ),
        ];
        *self.sent_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        http::answer(connection, "200 OK", &headers, event)
    }

    fn report(&self, message: Message) -> io::Result<()> {
        self.sender.send(message).map_err(io::Error::other)
    }
}

fn error_type(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body["errorType"]
        .as_str()
        .unwrap_or("an error without a name")
        .to_owned()
}

fn threads_time(process: &str) -> Option<Duration> {
    let mut spent = Duration::ZERO;
    for thread in fs::read_dir(format!("{process}/task")).ok()? {
        let schedstat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        spent += time_of_schedstat(&schedstat)?;
    }
    Some(spent)
}

/// The fields of schedstat: nanoseconds on a CPU, nanoseconds waiting for a CPU, number of time slices.
fn time_of_schedstat(schedstat: &str) -> Option<Duration> {
    let spent = schedstat.split_whitespace().next()?;
    spent.parse().ok().map(Duration::from_nanos)
}

/// Fields 14 and 15 of stat. The second field is the name of the program, which may contain any character.
fn time_of_stat(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut ticks = after_name.split_whitespace().skip(11).map(str::parse::<u32>);
    Some(TICK * (ticks.next()?.ok()? + ticks.next()?.ok()?))
}

fn peak_of_status(status: &str) -> Option<u64> {
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = peak.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_user_and_kernel_ticks_for_any_program_name() {
        let stat = "12044 (a) R 1 (b) S 1 2 3 0 -1 4194304 99 0 0 0 7 5 900 900 20 0 1 0 564758";
        assert_eq!(time_of_stat(stat), Some(Duration::from_millis(120)));
        for broken in ["", "12044 (cat) R 1 2", "12044 (cat) S 1 2 3 0 -1 4 9 0 0 0 x 5"] {
            assert_eq!(time_of_stat(broken), None, "{broken}");
        }
    }

    #[test]
    fn the_time_of_a_thread_is_the_first_number() {
        assert_eq!(
            time_of_schedstat("994056 2322270 3\n"),
            Some(Duration::from_nanos(994_056))
        );
        assert_eq!(time_of_schedstat(""), None);
    }

    #[test]
    fn peak_memory_is_the_high_water_mark() {
        let status = "Name:\tx\nVmPeak:\t    9000 kB\nVmHWM:\t    2072 kB\nVmRSS:\t    1000 kB\n";
        assert_eq!(peak_of_status(status), Some(2072 * 1024));
        assert_eq!(peak_of_status("Name:\tx\n"), None);
    }

    #[test]
    fn the_proc_files_of_this_process_are_parsed() {
        let process = format!("/proc/{}", std::process::id());
        assert!(time_of_stat(&fs::read_to_string(format!("{process}/stat")).unwrap()).is_some());
        assert!(peak_of_status(&fs::read_to_string(format!("{process}/status")).unwrap()).unwrap() > 0);
    }

    #[test]
    fn a_program_that_ends_is_reported_with_its_status_and_standard_error() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo a message >&2; exit 3"]);
        let unused = SocketAddr::from(([127, 0, 0, 1], 9));
        let error = Function::start(command, "ends", unused).unwrap_err().to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("a message"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_program_is_reported_with_its_path() {
        let unused = SocketAddr::from(([127, 0, 0, 1], 9));
        let error = Function::start(Command::new("/nowhere/step"), "step", unused).unwrap_err();
        assert!(
            error.to_string().contains("/nowhere/step could not be started"),
            "{error}"
        );
    }
}
