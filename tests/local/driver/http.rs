//! A minimal HTTP/1.1 server on the loopback interface. It refuses requests of web pages, like the local cloud
//! (`tests/local/cloud/server/guard.py`).

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// The maximum size of a head or body in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A complete request.
#[derive(Debug)]
pub struct Request {
    /// The request line: `GET /path HTTP/1.1`.
    pub line: String,
    /// The names are in lower case.
    headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header with this name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(other, _)| other == name);
        header.map(|(_, value)| value.as_str())
    }

    /// All headers; the names are in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Reads the next request of a connection; `None` if the connection is closed.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = from.take(MAX_BYTES);
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            if head.read_line(&mut header)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match header.trim_end().split_once(':') {
                Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
                None => break,
            }
        }
        let mut request = Self {
            line: line.trim_end().to_owned(),
            headers,
            body: Vec::new(),
        };
        if request.header("transfer-encoding").is_some() {
            return Err(io::Error::other("transfer-encoding is not supported"));
        }
        let length = request.header("content-length").map_or(Ok(0), str::parse::<u64>);
        let length = length.ok().filter(|length| *length <= MAX_BYTES);
        let length = length.ok_or_else(|| io::Error::other("content-length is invalid"))?;
        from.take(length).read_to_end(&mut request.body)?;
        if (request.body.len() as u64) < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(request))
    }
}

/// Writes a response with one call, so that no part of it waits for a TCP acknowledgement.
pub fn answer(to: &mut impl Write, status: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
    let mut message = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        message.push_str(&format!("{name}: {value}\r\n"));
    }
    message.push_str("\r\n");
    let mut message = message.into_bytes();
    message.extend_from_slice(body);
    to.write_all(&message)
}

/// A server on a free port of the loopback interface. Each connection has a thread. The server stops on drop.
#[derive(Debug)]
pub struct Server {
    /// The address to connect to.
    pub address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Server {
    /// Starts the server. `serve` handles each request; if it fails, the connection is closed.
    pub fn start<S>(serve: S) -> io::Result<Self>
    where
        S: Fn(Request, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let host = address.to_string();
        let serve = move |request: Request, connection: &mut TcpStream| match refusal(&request, &host) {
            Some(reason) => answer(
                connection,
                "403 Forbidden",
                &[("content-type", "text/plain")],
                reason.as_bytes(),
            ),
            None => serve(request, connection),
        };
        let (stopped, serve) = (Arc::new(AtomicBool::new(false)), Arc::new(serve));
        let stop_requested = Arc::clone(&stopped);
        thread::spawn(move || {
            for connection in listener.incoming() {
                if stop_requested.load(Ordering::SeqCst) {
                    return;
                }
                let serve = Arc::clone(&serve);
                if let Ok(connection) = connection {
                    // The client reports a broken connection.
                    thread::spawn(move || serve_all(connection, &*serve).unwrap_or_default());
                }
            }
        });
        Ok(Self { address, stopped })
    }
}

/// The reason why a request is refused. A page can neither set nor omit these headers. If it gives its own host name
/// the address of this machine (DNS rebinding), `Host` has that name.
fn refusal(request: &Request, host: &str) -> Option<String> {
    if request.header("host") != Some(host) {
        return Some(format!("The Host header must be {host}.\n"));
    }
    if request.header("origin").is_some() {
        return Some("A request with an Origin header is from a web page.\n".to_owned());
    }
    let site = request.header("sec-fetch-site").unwrap_or("none");
    if !["none", "same-origin"].contains(&site) {
        return Some("The Sec-Fetch-Site header shows a request of another web page.\n".to_owned());
    }
    None
}

fn serve_all(connection: TcpStream, serve: impl Fn(Request, &mut TcpStream) -> io::Result<()>) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut requests = BufReader::new(connection.try_clone()?);
    let mut responses = connection;
    while let Some(request) = Request::read(&mut requests)? {
        if let Err(error) = serve(request, &mut responses) {
            responses.shutdown(Shutdown::Both)?;
            return Err(error);
        }
    }
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // A connection wakes the listening thread, which then stops.
        let _ = TcpStream::connect(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn two_requests_of_one_connection_are_read_separately() {
        let mut sent: &[u8] = b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\nX-Y:  z \r\n\r\n";
        let first = Request::read(&mut sent).unwrap().unwrap();
        assert_eq!(
            (first.line.as_str(), first.body.as_slice()),
            ("POST /a HTTP/1.1", b"hi".as_slice())
        );
        let second = Request::read(&mut sent).unwrap().unwrap();
        assert_eq!(second.header("x-y"), Some("z"));
        assert!(second.body.is_empty());
        assert!(Request::read(&mut sent).unwrap().is_none());
    }

    #[test]
    fn an_incomplete_or_unsupported_request_is_an_error() {
        for sent in [
            "GET / HTTP/1.1\r\nHost: x\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhi",
            "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            assert!(Request::read(&mut sent.as_bytes()).is_err(), "{sent}");
        }
    }

    #[test]
    fn a_request_of_a_web_page_is_refused() {
        let served = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&served);
        let server = Server::start(move |request, connection| {
            record.lock().unwrap().push(request.line);
            answer(connection, "200 OK", &[("connection", "close")], b"")
        })
        .unwrap();
        let port = server.address.port();
        let send = |headers: &str| {
            let mut connection = TcpStream::connect(server.address).unwrap();
            let message = format!("POST /{headers:?} HTTP/1.1\r\n{headers}content-length: 0\r\n\r\n");
            connection.write_all(message.as_bytes()).unwrap();
            connection.shutdown(Shutdown::Write).unwrap();
            let mut response = String::new();
            connection.read_to_string(&mut response).unwrap();
            response
        };
        for (headers, reason) in [
            ("".to_owned(), "Host"),
            ("Host: attacker.example\r\n".to_owned(), "Host"),
            (format!("Host: attacker.example:{port}\r\n"), "Host"),
            (format!("Host: 127.0.0.1:{port}\r\nOrigin: null\r\n"), "Origin"),
            (
                format!("Host: 127.0.0.1:{port}\r\nSec-Fetch-Site: cross-site\r\n"),
                "Sec-Fetch-Site",
            ),
            (
                format!("Host: 127.0.0.1:{port}\r\nSec-Fetch-Site: same-site\r\n"),
                "Sec-Fetch-Site",
            ),
        ] {
            let response = send(&headers);
            assert!(
                response.starts_with("HTTP/1.1 403 ") && response.contains(reason),
                "{headers}: {response}"
            );
        }
        assert!(served.lock().unwrap().is_empty());
        for headers in ["", "Sec-Fetch-Site: none\r\n", "Sec-Fetch-Site: same-origin\r\n"] {
            let response = send(&format!("Host: 127.0.0.1:{port}\r\n{headers}"));
            assert!(response.starts_with("HTTP/1.1 200 "), "{headers}: {response}");
        }
        assert_eq!(served.lock().unwrap().len(), 3);
    }

    #[test]
    fn a_response_has_its_content_length() {
        let mut sent = Vec::new();
        answer(&mut sent, "202 Accepted", &[("a", "b")], b"ok").unwrap();
        assert_eq!(sent, b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\na: b\r\n\r\nok");
    }
}
