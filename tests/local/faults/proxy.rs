//! A proxy between the functions and AWS, which lets one chosen call of one run fail.
//!
//! microburst (PyPI) is such a proxy with far more protocols. It was not used: it cannot pick the
//! n-th call of a run, tells runs that go on at once apart by nothing, and cannot hold a call until
//! its caller has been killed.

use super::{
    call::{self, Call},
    envelope::{Envelope, No},
};
use crate::http::{self, Request, Server};
use aws_smithy_types::{DateTime, date_time::Format};
use std::{
    collections::HashMap,
    fs, io,
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// Longer than any SDK here waits for an answer.
const HELD_AT_MOST: Duration = Duration::from_secs(30);
/// Sessions of the provisioners seem to end so soon that no function keeps one for its next
/// invocation: so each invocation makes the same calls, warm or cold.
const SESSION_SECONDS: i64 = 240;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// AWS answers that it is called too often.
    Throttled,
    /// AWS answers a fault of its own.
    Failed,
    /// The connection ends before the request reaches AWS.
    CutBefore,
    /// The connection ends after AWS did what was asked, before it answers.
    CutAfter,
    /// AWS answers that the caller may not.
    Denied,
    /// AWS does what was asked, and answers after the SDK has given up.
    Slow,
    /// AWS does what was asked, and the function's process dies before it hears so.
    Killed,
}

impl Fault {
    /// Whether AWS does what it was asked, though the caller does not hear so.
    pub fn has_effect(self) -> bool {
        matches!(self, Self::CutAfter | Self::Slow | Self::Killed)
    }
}

/// A fault of one call of a run.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The call.
    pub call: Call,
    /// Which one of its kind within the run, from 1 on.
    pub occurrence: u32,
    /// What happens to it.
    pub fault: Fault,
    /// To how many of its kind it happens, from this one on.
    pub times: u32,
}

/// The proxy. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    server: Server,
    shared: Arc<Shared>,
}

/// A run that the proxy watches; nothing happens to its calls after this is dropped.
#[derive(Debug)]
pub struct Watched {
    shared: Arc<Shared>,
    accounts: Vec<String>,
    run: Arc<Mutex<Run>>,
}

#[derive(Debug, Default)]
struct Run {
    calls: Vec<Call>,
    planned: Option<Planned>,
    fired: u32,
    scrapers: Vec<String>,
}

#[derive(Debug)]
struct Shared {
    upstream: OnceLock<String>,
    agent: ureq::Agent,
    /// By the number of an account that works for one run only.
    runs: Mutex<HashMap<String, Arc<Mutex<Run>>>>,
    /// The account that an access key is of, as STS said.
    keys: Mutex<HashMap<String, String>>,
}

impl Proxy {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When the loopback gives no port.
    pub fn start() -> io::Result<Self> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .max_idle_connections(200)
            .max_idle_connections_per_host(200)
            .build();
        let shared = Arc::new(Shared {
            upstream: OnceLock::new(),
            agent: config.into(),
            runs: Mutex::default(),
            keys: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let server = Server::start(move |request, connection| serving.serve(&request, connection))?;
        Ok(Self { server, shared })
    }

    /// Where the functions reach it.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Says where AWS is. Only the first time counts.
    pub fn forward_to(&self, url: &str) {
        let _ = self.shared.upstream.set(url.to_owned());
    }

    /// Watches the run that works in these accounts, which no other run does.
    pub fn watch(&self, accounts: &[&str]) -> Watched {
        let run = Arc::<Mutex<Run>>::default();
        let accounts: Vec<String> = accounts.iter().map(|account| (*account).to_owned()).collect();
        let mut runs = lock(&self.shared.runs);
        runs.extend(accounts.iter().map(|account| (account.clone(), Arc::clone(&run))));
        Watched {
            shared: Arc::clone(&self.shared),
            accounts,
            run,
        }
    }
}

impl Watched {
    /// Forgets the calls that were made, and lets a fault happen to those that come.
    pub fn plan(&self, planned: Option<Planned>) {
        let mut run = lock(&self.run);
        run.calls.clear();
        run.fired = 0;
        run.planned = planned;
    }

    /// The calls that were made, in order.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.run).calls.clone()
    }

    /// How often the fault has happened.
    pub fn fired(&self) -> u32 {
        lock(&self.run).fired
    }

    /// Every scraper that AMP said it made, in order.
    pub fn scrapers(&self) -> Vec<String> {
        lock(&self.run).scrapers.clone()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut runs = lock(&self.shared.runs);
        for account in &self.accounts {
            runs.remove(account);
        }
        lock(&self.shared.keys).retain(|_, account| !self.accounts.contains(account));
    }
}

impl Run {
    /// Notes a call; answers what is to happen to it.
    fn meets(&mut self, call: &Call) -> Option<Fault> {
        self.calls.push(call.clone());
        let planned = self.planned.as_ref()?;
        if planned.call != *call || self.fired >= planned.times {
            return None;
        }
        let made = self.calls.iter().filter(|made| *made == call).count();
        if (made as u32) < planned.occurrence {
            return None;
        }
        self.fired += 1;
        Some(planned.fault)
    }
}

impl Shared {
    fn serve(&self, request: &Request, connection: &mut TcpStream) -> io::Result<()> {
        let (call, run) = (Call::of(request), self.run_of(request));
        let fault = match (&call, &run) {
            (Some(call), Some(run)) => lock(run).meets(call),
            _ => None,
        };
        let no = |no| {
            let (service, operation) = call.as_ref().map_or(("", ""), |call| (&call.service, &call.operation));
            Envelope::new(service, operation, no)
        };
        match fault {
            None => self.forward(request, call.as_ref(), run.as_deref())?.write(connection),
            Some(Fault::Throttled) => refuse(connection, &no(No::Throttled)),
            Some(Fault::Failed) => refuse(connection, &no(No::Failed)),
            Some(Fault::Denied) => refuse(connection, &no(No::Denied)),
            Some(Fault::CutBefore) => Err(io::ErrorKind::ConnectionAborted.into()),
            Some(after) => {
                self.forward(request, call.as_ref(), run.as_deref())?;
                match after {
                    Fault::Slow => hold(connection),
                    Fault::Killed => kill(connection.peer_addr()?, connection.local_addr()?),
                    _ => Ok(()),
                }?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
        }
    }

    /// The run that a request belongs to: by the session that signed it, or, where the hub itself
    /// calls, by an account that the request names.
    fn run_of(&self, request: &Request) -> Option<Arc<Mutex<Run>>> {
        let session = call::access_key(request).and_then(|key| lock(&self.keys).get(key).cloned());
        let runs = lock(&self.runs);
        match session {
            Some(account) => runs.get(&account).cloned(),
            None => named_accounts(&request.body).find_map(|account| runs.get(account).cloned()),
        }
    }

    fn forward(&self, request: &Request, call: Option<&Call>, run: Option<&Mutex<Run>>) -> io::Result<Answer> {
        let answer = self.ask(request).map_err(io::Error::other)?;
        match call.map(|call| (call.service.as_str(), call.operation.as_str())) {
            Some(("sts", "AssumeRole")) if answer.status == "200" => Ok(self.shorten(request, answer)),
            Some(("aps", "CreateScraper")) if answer.status == "202" => {
                let made: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                if let (Some(run), Some(arn)) = (run, made["arn"].as_str()) {
                    let known = &mut lock(run).scrapers;
                    if !known.iter().any(|known| known == arn) {
                        known.push(arn.to_owned());
                    }
                }
                Ok(answer)
            }
            _ => Ok(answer),
        }
    }

    fn ask(&self, request: &Request) -> Result<Answer, ureq::Error> {
        let mut words = request.line.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let url = format!("{}{path}", self.upstream.get().map_or("", String::as_str));
        let mut asked = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in request.headers() {
            if !["connection", "content-length", "expect"].contains(&name) {
                asked = asked.header(name, value);
            }
        }
        let mut answer = if request.body.is_empty() {
            self.agent.run(asked.body(())?)?
        } else {
            self.agent.run(asked.body(&request.body[..])?)?
        };
        let kept = answer.headers().iter().filter(|(name, _)| {
            let name = name.as_str();
            name == "content-type" || name.starts_with("x-amz") || name == "date"
        });
        Ok(Answer {
            status: answer.status().as_str().to_owned(),
            headers: kept
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
                .collect(),
            body: answer.body_mut().read_to_vec()?,
        })
    }

    /// Notes whose session STS gave, and lets it end soon.
    fn shorten(&self, request: &Request, answer: Answer) -> Answer {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let key = crate::demo::element(&text, "AccessKeyId");
        let account = call::parameter(request, "RoleArn").and_then(|arn| arn.split(':').nth(4).map(str::to_owned));
        if let (Some(key), Some(account)) = (key, account) {
            lock(&self.keys).insert(key, account);
        }
        let body = match crate::demo::element(&text, "Expiration") {
            Some(ends) => text.replace(&ends, &soon()).into_bytes(),
            None => answer.body,
        };
        Answer { body, ..answer }
    }
}

/// What AWS answered.
#[derive(Debug)]
struct Answer {
    status: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn write(&self, to: &mut TcpStream) -> io::Result<()> {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        http::answer(to, &format!("{} AWS", self.status), &headers, &self.body)
    }
}

fn refuse(to: &mut TcpStream, envelope: &Envelope) -> io::Result<()> {
    let headers = [
        ("content-type", envelope.kind),
        ("x-amzn-requestid", "fault"),
        ("x-amzn-errortype", envelope.code),
    ];
    http::answer(to, envelope.status, &headers, envelope.body.as_bytes())
}

fn soon() -> String {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let ends = DateTime::from_secs(now.as_secs() as i64 + SESSION_SECONDS);
    ends.fmt(Format::DateTime).unwrap_or_default()
}

/// The numbers of twelve digits in a text: accounts, wherever an ARN names them.
fn named_accounts(body: &[u8]) -> impl Iterator<Item = &str> {
    let digits = body.split(|byte| !byte.is_ascii_digit());
    digits
        .filter(|word| word.len() == 12)
        .filter_map(|word| std::str::from_utf8(word).ok())
}

/// Keeps a connection without an answer until its client leaves.
fn hold(connection: &mut TcpStream) -> io::Result<()> {
    let end = Instant::now() + HELD_AT_MOST;
    connection.set_read_timeout(Some(Duration::from_secs(1)))?;
    while Instant::now() < end {
        match connection.peek(&mut [0]) {
            Ok(0) => break,
            Ok(_) => thread::sleep(Duration::from_millis(100)),
            Err(error) if [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind()) => {}
            Err(_) => break,
        }
    }
    Ok(())
}

/// Kills the function at the other end of a connection.
fn kill(peer: SocketAddr, here: SocketAddr) -> io::Result<()> {
    let pid = process_at(peer, here)?.ok_or_else(|| io::Error::other(format!("no process is at {peer}")))?;
    let program = fs::read_link(format!("/proc/{pid}/exe"))?;
    // Lambda's name for the program of a custom runtime: nothing else may be killed.
    if !program.to_string_lossy().contains("bootstrap") {
        return Err(io::Error::other(format!("{} is not a function", program.display())));
    }
    let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status()?;
    if killed.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{pid} could not be killed")))
    }
}

/// The process that holds the other end of a connection on the loopback, as Linux tells it.
fn process_at(peer: SocketAddr, here: SocketAddr) -> io::Result<Option<u32>> {
    let end = |at: SocketAddr| format!(":{:04X}", at.port());
    let table = fs::read_to_string("/proc/net/tcp")?;
    let inode = table.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ours = words.get(1)?.ends_with(&end(peer)) && words.get(2)?.ends_with(&end(here));
        ours.then(|| words.get(9).copied()).flatten()
    });
    let Some(inode) = inode else { return Ok(None) };
    let socket = format!("socket:[{inode}]");
    let holds = |pid: u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|file| file.as_os_str() == socket.as_str())
    };
    let all = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(all.into_iter().find(|pid| holds(*pid)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
