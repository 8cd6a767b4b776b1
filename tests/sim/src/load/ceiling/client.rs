//! As little of an HTTP/1.1 client as measures a server: it knows the server's answers to have a length and to be small enough to keep.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use memchr::memmem;

/// Longer answers do not come: a page has a megabyte, its head a few hundred bytes.
const LONGEST_ANSWER: usize = 2 << 20;

/// A connection, kept alive.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A call as it goes over the wire.
pub(super) fn request(target: &str, json: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: {target}\r\ncontent-length: {}\r\n\r\n{json}", json.len()).into_bytes()
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; LONGEST_ANSWER] })
    }

    pub(super) fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request)
    }

    /// The body of the answer to the request that was sent last. An answer that is not 200 is an error.
    pub(super) fn receive(&mut self) -> io::Result<&[u8]> {
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled)?;
            if let Some(head) = memmem::find(&self.buffer[..filled], b"\r\n\r\n") {
                break head + 4;
            }
        };
        let end = head + length(&self.buffer[..head]).ok_or_else(|| refused(&self.buffer[..filled]))?;
        while filled < end {
            filled += self.read(filled)?;
        }
        Ok(&self.buffer[head..end])
    }

    fn read(&mut self, from: usize) -> io::Result<usize> {
        match self.stream.read(&mut self.buffer[from..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}

/// The length of a successful answer's body.
fn length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return None;
    }
    let (_, value) = head.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    value.trim().parse().ok()
}

fn refused(answer: &[u8]) -> io::Error {
    io::Error::other(format!("the server answered {:.500}", String::from_utf8_lossy(answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_success_is_known() {
        assert_eq!(length(b"HTTP/1.1 200 OK\r\ncontent-type: x\r\nContent-Length: 17\r\n\r\n"), Some(17));
        assert_eq!(length(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 17\r\n\r\n"), None);
    }
}
