//! A proxy between the functions and AWS, which makes selected calls fail.
//!
//! microburst (PyPI) is such a proxy with far more protocols. It is not used, because it cannot select the calls of one
//! run, and cannot hold a call until its caller has been killed.

use driver::{
    demo,
    http::{self, Request, Server},
};
use serde_json::json;
use std::{
    collections::HashMap,
    fs, io,
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};
use support::wire;

/// Longer than the timeout of any SDK client of the functions.
const LONGEST_HOLD: Duration = Duration::from_secs(30);

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// AWS throttles the call.
    Throttled,
    /// AWS answers with an error of its own.
    Failed,
    /// AWS denies access.
    Denied,
    /// AMP rejects the request, and names a field (API reference, ValidationException).
    Invalid,
    /// The connection is closed before the request reaches AWS.
    ClosedBefore,
    /// The connection is closed after the effect, before the answer.
    ClosedAfter,
    /// The call has its effect, and no answer before the timeout of the client.
    Slow,
    /// The call has its effect and the function's process is killed before the answer.
    Killed,
}

/// A fault for calls of one function in one account.
#[derive(Debug, Clone, Copy)]
pub struct Planned {
    /// The function, as in its user agent: `create-scraper`.
    pub function: &'static str,
    /// The call, as an IAM action: `aps:CreateScraper`.
    pub call: &'static str,
    pub fault: Fault,
    /// The number of calls that fail, counted from the first one.
    pub times: u32,
}

/// The proxy of one cloud.
#[derive(Debug)]
pub struct Proxy {
    server: Server,
    shared: &'static Shared,
}

#[derive(Debug)]
struct Shared {
    /// The URL of the cloud without its path, and the path: the secret of the run.
    upstream: OnceLock<(String, String)>,
    agent: ureq::Agent,
    /// By account: the fault, and the number of calls that have failed.
    faults: Mutex<HashMap<String, (Planned, u32)>>,
    /// The account of each session's access key, as STS returned it.
    accounts: Mutex<HashMap<String, String>>,
}

impl Proxy {
    /// Starts the proxy on a free port. It runs as long as the process.
    pub fn start() -> io::Result<Self> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .max_idle_connections(200)
            .max_idle_connections_per_host(200)
            .build();
        let shared: &Shared = Box::leak(Box::new(Shared {
            upstream: OnceLock::new(),
            agent: config.into(),
            faults: Mutex::default(),
            accounts: Mutex::default(),
        }));
        let server = Server::start(move |request, connection| shared.serve(&request, connection))?;
        Ok(Self { server, shared })
    }

    /// The endpoint for the functions, without the secret of the cloud.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Sets the URL of the cloud. Only the first call counts.
    pub fn forward_to(&self, url: &str) {
        let path = url.rfind('/').unwrap_or(url.len());
        let _ = self
            .shared
            .upstream
            .set((url[..path].to_owned(), url[path..].to_owned()));
    }

    /// Plans a fault for calls in an account; replaces an earlier fault of that account.
    pub fn plan(&self, account: &str, planned: Planned) {
        lock(&self.shared.faults).insert(account.to_owned(), (planned, 0));
    }

    /// Ends the fault of an account; returns the number of calls that failed.
    pub fn end(&self, account: &str) -> u32 {
        lock(&self.shared.faults).remove(account).map_or(0, |(_, times)| times)
    }
}

/// A request in the form that [`wire`] reads.
struct WireRequest<'a> {
    request: &'a Request,
    /// The target without the secret of the cloud.
    target: &'a str,
}

impl wire::Request for WireRequest<'_> {
    fn method(&self) -> &str {
        self.request.line.split(' ').next().unwrap_or_default()
    }
    fn target(&self) -> &str {
        self.target
    }
    fn header(&self, name: &str) -> Option<&str> {
        self.request.header(name)
    }
    fn body(&self) -> &[u8] {
        &self.request.body
    }
}

impl Shared {
    fn serve(&self, request: &Request, connection: &mut TcpStream) -> io::Result<()> {
        let target = request.line.split(' ').nth(1).unwrap_or_default();
        let secret = self.upstream.get().map_or("", |(_, secret)| secret.as_str());
        let target = target.strip_prefix(secret).unwrap_or(target);
        let read = WireRequest { request, target };
        let call = wire::Scope::of(&read).map(|scope| (scope.service, wire::operation(scope.service, &read)));
        let Some((service, operation)) = call else {
            return self.forward(request)?.write(connection);
        };
        let fault = self.fault_of(&read, &format!("{service}:{operation}"));
        let Some(fault) = fault else {
            let answer = self.forward(request)?;
            if operation == "AssumeRole" {
                self.note_session(&read, &answer);
            }
            return answer.write(connection);
        };
        match fault {
            Fault::Throttled | Fault::Failed | Fault::Denied | Fault::Invalid => {
                return error_answer(service, &operation, fault).write(connection);
            }
            Fault::ClosedBefore => {}
            Fault::ClosedAfter => drop(self.forward(request)?),
            Fault::Slow => {
                self.forward(request)?;
                hold(connection)?;
            }
            Fault::Killed => {
                self.forward(request)?;
                kill(connection.peer_addr()?, connection.local_addr()?)?;
            }
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    /// The fault of a call, if one is planned for it; counts the call.
    fn fault_of(&self, request: &WireRequest, call: &str) -> Option<Fault> {
        let key = wire::Scope::of(request)?.access_key;
        let account = lock(&self.accounts).get(key)?.clone();
        let mut faults = lock(&self.faults);
        let (planned, happened) = faults.get_mut(&account)?;
        let matches = planned.call == call && function(request.request) == Some(planned.function);
        if !matches || *happened >= planned.times {
            return None;
        }
        *happened += 1;
        Some(planned.fault)
    }

    /// Stores the account of a session that STS returned.
    fn note_session(&self, request: &WireRequest, answer: &Answer) {
        let text = String::from_utf8_lossy(&answer.body);
        let role = wire::parameter(request, "RoleArn");
        let account = role.and_then(|arn| arn.split(':').nth(4).map(str::to_owned));
        if let (Some(key), Some(account)) = (demo::element(&text, "AccessKeyId"), account) {
            lock(&self.accounts).insert(key, account);
        }
    }

    fn forward(&self, request: &Request) -> io::Result<Answer> {
        self.send(request).map_err(io::Error::other)
    }

    fn send(&self, request: &Request) -> Result<Answer, ureq::Error> {
        let mut words = request.line.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        // The client signed the path, with the secret, and the header Host, which the cloud accepts from its proxy.
        let url = format!(
            "{}{path}",
            self.upstream.get().map_or("", |(origin, _)| origin.as_str())
        );
        let mut outgoing = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in request.headers() {
            if !["connection", "content-length", "expect"].contains(&name) {
                outgoing = outgoing.header(name, value);
            }
        }
        let mut answer = if request.body.is_empty() {
            self.agent.run(outgoing.body(())?)?
        } else {
            self.agent.run(outgoing.body(&request.body[..])?)?
        };
        let kept = answer.headers().iter().filter(|(name, _)| {
            let name = name.as_str();
            name == "content-type" || name.starts_with("x-amz") || name == "date"
        });
        Ok(Answer {
            status: answer.status().as_u16(),
            headers: kept
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
                .collect(),
            body: answer.body_mut().read_to_vec()?,
        })
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn write(&self, to: &mut TcpStream) -> io::Result<()> {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        http::answer(to, &format!("{} AWS", self.status), &headers, &self.body)
    }
}

/// An error of IAM or of AMP (IAM API reference, "Common errors"; AMP API reference, "Errors").
fn error_answer(service: &str, operation: &str, fault: Fault) -> Answer {
    let iam = service == "iam";
    let (status, code, message) = match fault {
        Fault::Throttled if iam => (400, "Throttling", "Rate exceeded".to_owned()),
        Fault::Throttled => (429, "ThrottlingException", "Rate exceeded".to_owned()),
        Fault::Denied => {
            let code = if iam { "AccessDenied" } else { "AccessDeniedException" };
            let message = format!("User: fault is not authorized to perform: {service}:{operation}");
            (403, code, message)
        }
        Fault::Invalid => (400, "ValidationException", "The request is not valid.".to_owned()),
        _ if iam => (500, "ServiceFailure", "An internal error occurred.".to_owned()),
        _ => (500, "InternalServerException", "An internal error occurred.".to_owned()),
    };
    let (kind, body) = match iam {
        true => (
            "text/xml",
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                 <RequestId>fault</RequestId></ErrorResponse>"
            ),
        ),
        false if fault == Fault::Invalid => {
            let fields = json!([{ "name": "roleConfiguration", "message": "the role is not valid" }]);
            (
                "application/json",
                json!({ "message": message, "reason": "FIELD_VALIDATION_FAILED", "fieldList": fields }).to_string(),
            )
        }
        false => ("application/json", json!({ "message": message }).to_string()),
    };
    let headers = [
        ("content-type", kind),
        ("x-amzn-requestid", "fault"),
        ("x-amzn-errortype", code),
    ];
    Answer {
        status,
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        body: body.into_bytes(),
    }
}

/// The function that sends a call. The SDK writes the name of the application into the user agent: `app/ampxa-<step>`.
fn function(request: &Request) -> Option<&str> {
    let agents = [request.header("user-agent"), request.header("x-amz-user-agent")];
    let mut words = agents.into_iter().flatten().flat_map(str::split_whitespace);
    words.find_map(|word| word.strip_prefix("app/ampxa-"))
}

/// Keeps a connection without an answer until its client closes it.
fn hold(connection: &mut TcpStream) -> io::Result<()> {
    let end = Instant::now() + LONGEST_HOLD;
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

/// Kills the function that holds the other end of a connection.
fn kill(peer: SocketAddr, local: SocketAddr) -> io::Result<()> {
    let pid = process_at(peer, local)?
        .ok_or_else(|| io::Error::other(format!("no process holds the connection of {peer}")))?;
    let program = fs::read_link(format!("/proc/{pid}/exe"))?;
    // A custom runtime of Lambda is a program named `bootstrap`. No other process may be killed.
    if !program.to_string_lossy().contains("bootstrap") {
        return Err(io::Error::other(format!("{} is not a function", program.display())));
    }
    let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status()?;
    match killed.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("{pid} could not be killed"))),
    }
}

/// The process that holds the other end of a connection on the loopback interface, from `/proc`.
fn process_at(peer: SocketAddr, local: SocketAddr) -> io::Result<Option<u32>> {
    let end = |at: SocketAddr| format!(":{:04X}", at.port());
    let table = fs::read_to_string("/proc/net/tcp")?;
    let inode = table.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let found = words.get(1)?.ends_with(&end(peer)) && words.get(2)?.ends_with(&end(local));
        found.then(|| words.get(9).copied()).flatten()
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
