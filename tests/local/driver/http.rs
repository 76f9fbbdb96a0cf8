//! As much HTTP/1.1 as a server on the loopback needs.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// More than any message here has; a longer one is refused.
const LONGEST: u64 = 1 << 20;

/// A request, read to its end.
#[derive(Debug)]
pub struct Request {
    /// `GET /path HTTP/1.1`.
    pub line: String,
    /// Names in small letters.
    headers: Vec<(String, String)>,
    /// What was posted.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of a name, which is given in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All headers, names in small letters.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Reads the next request of a connection; `None` at its end.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = from.take(LONGEST);
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
            return Err(io::Error::other("a body in chunks is not understood here"));
        }
        let length = request.header("content-length").map_or(Ok(0), str::parse::<u64>);
        let length = length.ok().filter(|length| *length <= LONGEST);
        let length = length.ok_or_else(|| io::Error::other("a content-length that makes no sense"))?;
        from.take(length).read_to_end(&mut request.body)?;
        if (request.body.len() as u64) < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(request))
    }
}

/// Writes an answer in one piece, so that no half of it waits for an acknowledgement.
pub fn answer(to: &mut impl Write, status: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
    let mut whole = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        whole.push_str(&format!("{name}: {value}\r\n"));
    }
    whole.push_str("\r\n");
    let mut whole = whole.into_bytes();
    whole.extend_from_slice(body);
    to.write_all(&whole)
}

/// A server on a free port of the loopback: a thread for each connection, until it is dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Server {
    /// Starts it. A connection ends when `serve`, which gets its requests one by one, fails.
    pub fn start<S>(serve: S) -> io::Result<Self>
    where
        S: Fn(Request, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let (stopped, serve) = (Arc::new(AtomicBool::new(false)), Arc::new(serve));
        let asked_to_stop = Arc::clone(&stopped);
        thread::spawn(move || {
            for connection in listener.incoming() {
                if asked_to_stop.load(Ordering::SeqCst) {
                    return;
                }
                let serve = Arc::clone(&serve);
                if let Ok(connection) = connection {
                    // A connection that breaks is its client's to complain about.
                    thread::spawn(move || serve_all(connection, &*serve).unwrap_or_default());
                }
            }
        });
        Ok(Self { address, stopped })
    }
}

fn serve_all(connection: TcpStream, serve: impl Fn(Request, &mut TcpStream) -> io::Result<()>) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut requests = BufReader::new(connection.try_clone()?);
    let mut answers = connection;
    while let Some(request) = Request::read(&mut requests)? {
        if let Err(error) = serve(request, &mut answers) {
            answers.shutdown(Shutdown::Both)?;
            return Err(error);
        }
    }
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // The listening thread looks up when somebody connects.
        let _ = TcpStream::connect(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_requests_of_one_connection_are_told_apart() {
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
    fn a_request_cut_short_is_an_error() {
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
    fn an_answer_says_its_length() {
        let mut sent = Vec::new();
        answer(&mut sent, "202 Accepted", &[("a", "b")], b"ok").unwrap();
        assert_eq!(sent, b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\na: b\r\n\r\nok");
    }
}
