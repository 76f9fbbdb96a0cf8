//! A function's process under a Lambda Runtime API of its own: its answers, its log, and what it costs.
//!
//! The protocol is the Lambda developer guide's, "Using the Lambda runtime API for custom runtimes".

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

/// Nothing here takes a tenth of it.
const PATIENCE: Duration = Duration::from_secs(120);
const INVOCATIONS: &str = "/2018-06-01/runtime/invocation/";
/// The id of every invocation.
pub const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000001";
/// The kernel's clock ticks as /proc shows them, everywhere 100 a second (proc(5), `USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A running function. Its process is killed when this is dropped, and ends by itself when this
/// program is killed, because its Runtime API is gone.
#[derive(Debug)]
pub struct Function {
    child: Child,
    events: Sender<Vec<u8>>,
    heard: Receiver<Heard>,
    _runtime_api: Server,
}

/// How an invocation ended.
#[derive(Debug)]
pub struct Answer {
    /// From the event's first byte to the answer's last.
    pub took: Duration,
    /// The error's name, unless it was a success.
    pub error: Option<String>,
    /// What it answered: its output, or its error with `errorType` and `errorMessage`.
    pub body: Value,
}

#[derive(Debug)]
enum Heard {
    Ready(Instant),
    Answered(Answer),
    Astray(String),
}

impl Function {
    /// Starts a program as Lambda does; returns it with the time until it asked for work.
    ///
    /// # Errors
    /// When it cannot be started, or ends before it asks for work.
    pub fn start(command: Command, name: &str, aws: SocketAddr) -> Result<(Self, Duration)> {
        Self::start_with(command, name, aws, &[], Stdio::null())
    }

    /// The same, with more in its environment, and with its log, which is its standard output, going somewhere.
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
        let (tell, heard) = mpsc::channel();
        let runtime_api = RuntimeApi {
            work: Mutex::new(work),
            given: Mutex::new(Instant::now()),
            tell,
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
            heard,
            _runtime_api: server,
        };
        let ready = function.ready()?;
        Ok((function, ready - started))
    }

    /// Gives it an event, and waits until it asks for the next.
    ///
    /// # Errors
    /// When it ends, or does not answer.
    pub fn invoke(&mut self, event: &Value) -> Result<Answer> {
        self.invoke_bytes(event.to_string().into_bytes())
    }

    /// The same, with an event that need not be JSON.
    ///
    /// # Errors
    /// As [`Self::invoke`].
    pub fn invoke_bytes(&mut self, event: Vec<u8>) -> Result<Answer> {
        // It fails only when nobody listens any more; then there is no answer either.
        let _ = self.events.send(event);
        let answer = match self.next()? {
            Heard::Answered(answer) => answer,
            other => bail!("an answer was expected, but {other:?} came"),
        };
        self.ready()?;
        Ok(answer)
    }

    /// Its standard output, when it was started with a pipe for it. To be taken once.
    pub fn log(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The processor time it took until now, in user and kernel mode.
    ///
    /// # Errors
    /// Where there is no `/proc`.
    pub fn processor_time(&self) -> Result<Duration> {
        let process = format!("/proc/{}", self.child.id());
        // Nanoseconds, but some kernels are built without it. The other has them all, in ticks.
        if let Some(exact) = threads_time(&process) {
            return Ok(exact);
        }
        let stat = fs::read_to_string(format!("{process}/stat")).context("The benchmark needs Linux's /proc")?;
        time_of_stat(&stat).context("/proc/<pid>/stat does not look as proc(5) says")
    }

    /// The most memory it held until now, in bytes.
    ///
    /// # Errors
    /// Where there is no `/proc`.
    pub fn peak(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .context("The benchmark needs Linux's /proc")?;
        peak_of_status(&status).context("/proc/<pid>/status does not look as proc(5) says")
    }

    fn ready(&mut self) -> Result<Instant> {
        match self.next()? {
            Heard::Ready(at) => Ok(at),
            other => bail!("a request for work was expected, but {other:?} came"),
        }
    }

    fn next(&mut self) -> Result<Heard> {
        let asked = Instant::now();
        loop {
            match self.heard.recv_timeout(Duration::from_millis(50)) {
                Ok(Heard::Astray(request)) => bail!("it sent {request}{}", self.last_words()),
                Ok(heard) => return Ok(heard),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("its Runtime API is gone"),
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended, {status}{}", self.last_words());
            }
            ensure!(
                asked.elapsed() < PATIENCE,
                "nothing came in {PATIENCE:?}{}",
                self.last_words()
            );
        }
    }

    /// What it wrote on standard error; ends it, so that there is an end to that.
    fn last_words(&mut self) -> String {
        let _ = self.child.kill();
        let mut words = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            let _ = stderr.take(16 << 10).read_to_end(&mut words);
        }
        format!("\n{}", String::from_utf8_lossy(&words).trim_end())
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // Both fail only for a process that is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What Lambda gives a function ("Defined runtime environment variables"), and nothing of the
/// user's own configuration or credentials.
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
        // Of the hub's template: without them these calls are not even made.
        ("AMPXA_LOCKS", "turns"),
        ("AMPXA_ROUTES", "/ampxa/routes"),
        ("TZ", ":UTC"),
    ];
    variables.extend(fixed.map(|(name, value)| (name, value.to_owned())));
    variables
}

#[derive(Debug)]
struct RuntimeApi {
    work: Mutex<Receiver<Vec<u8>>>,
    given: Mutex<Instant>,
    tell: Sender<Heard>,
}

impl RuntimeApi {
    /// Times are taken here, on the connection's own thread, where they are not late.
    fn serve(&self, request: &Request, connection: &mut TcpStream) -> io::Result<()> {
        let now = Instant::now();
        let mut words = request.line.split(' ');
        let (method, path) = (words.next(), words.next().unwrap_or_default());
        let asked = path.strip_prefix(INVOCATIONS).unwrap_or_default();
        if (method, asked) == (Some("GET"), "next") {
            self.tell(Heard::Ready(now))?;
            let event = self.work.lock().unwrap_or_else(PoisonError::into_inner).recv();
            return self.give(&event.map_err(io::Error::other)?, connection);
        }
        let answered = asked.strip_prefix(REQUEST_ID).unwrap_or_default();
        let error = match (method, answered) {
            (Some("POST"), "/response") => None,
            (Some("POST"), "/error") => Some(error_type(&request.body)),
            _ => {
                let body = String::from_utf8_lossy(&request.body);
                self.tell(Heard::Astray(format!("{} {body}", request.line)))?;
                return http::answer(connection, "404 Not Found", &[], b"");
            }
        };
        let took = now - *self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let body = serde_json::from_slice(&request.body).unwrap_or_default();
        self.tell(Heard::Answered(Answer { took, error, body }))?;
        http::answer(connection, "202 Accepted", &[], b"")
    }

    fn give(&self, event: &[u8], connection: &mut TcpStream) -> io::Result<()> {
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + PATIENCE;
        let headers = [
            ("content-type", "application/json"),
            ("lambda-runtime-aws-request-id", REQUEST_ID),
            ("lambda-runtime-deadline-ms", &deadline.as_millis().to_string()),
            (
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:us-west-2:111111111111:function:bench",
            ),
        ];
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        http::answer(connection, "200 OK", &headers, event)
    }

    fn tell(&self, heard: Heard) -> io::Result<()> {
        self.tell.send(heard).map_err(io::Error::other)
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

/// Nanoseconds on a processor, nanoseconds waiting for one, time slices.
fn time_of_schedstat(schedstat: &str) -> Option<Duration> {
    let spent = schedstat.split_whitespace().next()?;
    spent.parse().ok().map(Duration::from_nanos)
}

/// Fields 14 and 15 of the line, whose second field is a name that may hold anything.
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
    fn processor_time_is_user_and_kernel_ticks_whatever_the_name() {
        let stat = "12044 (a) R 1 (b) S 1 2 3 0 -1 4194304 99 0 0 0 7 5 900 900 20 0 1 0 564758";
        assert_eq!(time_of_stat(stat), Some(Duration::from_millis(120)));
        for broken in ["", "12044 (cat) R 1 2", "12044 (cat) S 1 2 3 0 -1 4 9 0 0 0 x 5"] {
            assert_eq!(time_of_stat(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_threads_time_is_the_first_number() {
        assert_eq!(
            time_of_schedstat("994056 2322270 3\n"),
            Some(Duration::from_nanos(994_056))
        );
        assert_eq!(time_of_schedstat(""), None);
    }

    #[test]
    fn the_peak_is_the_high_water_mark() {
        let status = "Name:\tx\nVmPeak:\t    9000 kB\nVmHWM:\t    2072 kB\nVmRSS:\t    1000 kB\n";
        assert_eq!(peak_of_status(status), Some(2072 * 1024));
        assert_eq!(peak_of_status("Name:\tx\n"), None);
    }

    #[test]
    fn this_very_process_can_be_read() {
        let process = format!("/proc/{}", std::process::id());
        assert!(time_of_stat(&fs::read_to_string(format!("{process}/stat")).unwrap()).is_some());
        assert!(peak_of_status(&fs::read_to_string(format!("{process}/status")).unwrap()).unwrap() > 0);
    }

    #[test]
    fn a_program_that_only_ends_is_told_with_its_last_words() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo no such luck >&2; exit 3"]);
        let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
        let error = Function::start(command, "ends", nobody).unwrap_err().to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("no such luck"),
            "{error}"
        );
    }

    #[test]
    fn a_program_that_does_not_exist_is_named() {
        let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
        let error = Function::start(Command::new("/nowhere/step"), "step", nobody).unwrap_err();
        assert!(
            error.to_string().contains("/nowhere/step could not be started"),
            "{error}"
        );
    }
}
