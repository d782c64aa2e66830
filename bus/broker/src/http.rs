//! Metrics and health over HTTP, on a loopback address, for what already knows how to ask there.
//!
//! Threads of its own, a handful at most, each for one request and a bounded time; one look at the broker serves all who
//! ask within a moment. So nobody who asks slowly, often, or nonsense holds up anything but others who ask here.
//! By hand, because the whole of it is: one line in, one answer out, and the connection is closed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::event::{Event, Events};
use crate::metrics;
use crate::stat::Stat;

/// Requests at a time; one more is closed unheard.
const REQUESTS_MAX: usize = 8;
/// How long a request may take to be said, and its answer to be heard.
const REQUEST_MAX: Duration = Duration::from_secs(2);
/// After a connection that could not be taken.
const ACCEPT_AGAIN: Duration = Duration::from_millis(10);
/// A request's head.
const HEAD_BYTES_MAX: usize = 4_096;
/// How long the control thread may take to look; one that does not is not healthy.
const LOOK_MAX: Duration = Duration::from_secs(2);
/// How long a look is good for.
const FRESH: Duration = Duration::from_millis(100);

/// Who asks the control thread for a look.
#[derive(Debug)]
pub(crate) struct Viewer(SyncSender<Stat>);

impl Viewer {
    /// The answer; whoever asked may have gone.
    pub(crate) fn show(self, stat: Stat) {
        let _ = self.0.try_send(stat);
    }
}

/// What serves all requests.
struct Server {
    events: Events,
    last: Mutex<Option<(Instant, Arc<Stat>)>>,
    running: AtomicUsize,
}

/// Listens, and serves from a thread of its own for as long as the process lives.
pub(crate) fn serve(address: SocketAddr, events: Events) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let local = listener.local_addr()?;
    let server = Arc::new(Server { events, last: Mutex::new(None), running: AtomicUsize::new(0) });
    let accept = move || {
        for client in listener.incoming() {
            // Out of descriptors, it fails at once until there are some again.
            let Ok(client) = client else {
                std::thread::sleep(ACCEPT_AGAIN);
                continue;
            };
            if server.running.fetch_add(1, Ordering::Relaxed) < REQUESTS_MAX {
                let server_then = Arc::clone(&server);
                let answer = move || {
                    server_then.answer(client);
                    server_then.running.fetch_sub(1, Ordering::Relaxed);
                };
                if std::thread::Builder::new().name("http-request".into()).spawn(answer).is_ok() {
                    continue;
                }
            }
            server.running.fetch_sub(1, Ordering::Relaxed);
        }
    };
    std::thread::Builder::new().name("http".into()).spawn(accept)?;
    Ok(local)
}

impl Server {
    fn answer(&self, mut client: TcpStream) {
        let Some(path) = asked(&mut client) else { return };
        let (status, kind, body) = match path.as_str() {
            "/metrics" => match self.look() {
                Some(stat) => ("200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics::text(&stat)),
                None => ("503 Service Unavailable", "text/plain", "the broker does not answer\n".to_owned()),
            },
            "/health" => match self.look().map(|stat| stat.problems()) {
                Some(problems) if problems.is_empty() => ("200 OK", "text/plain", "healthy\n".to_owned()),
                Some(problems) => ("503 Service Unavailable", "text/plain", problems.join("\n") + "\n"),
                None => ("503 Service Unavailable", "text/plain", "the broker does not answer\n".to_owned()),
            },
            _ => ("404 Not Found", "text/plain", "/metrics and /health are here\n".to_owned()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        say(&mut client, (head + &body).as_bytes());
    }

    /// How the broker stands, or stood a moment ago; `None` where it does not say.
    fn look(&self) -> Option<Arc<Stat>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, stat)) = &*last
            && at.elapsed() < FRESH
        {
            return Some(Arc::clone(stat));
        }
        let (shown, seen) = sync_channel(1);
        self.events.offer(Event::Look(Viewer(shown))).ok()?;
        let stat = Arc::new(seen.recv_timeout(LOOK_MAX).ok()?);
        *last = Some((Instant::now(), Arc::clone(&stat)));
        Some(stat)
    }
}

/// Says all of it; whoever has gone, or reads too slowly, has no answer.
fn say(client: &mut TcpStream, mut bytes: &[u8]) {
    let deadline = Instant::now() + REQUEST_MAX;
    while !bytes.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        // None left is no timeout that can be set.
        match client.set_write_timeout(Some(left)).and_then(|()| client.write(bytes)) {
            Ok(count @ 1..) => bytes = &bytes[count..],
            _ => return,
        }
    }
}

/// The path of a GET, if that is what was said in time.
fn asked(client: &mut TcpStream) -> Option<String> {
    let deadline = Instant::now() + REQUEST_MAX;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        client.set_read_timeout(Some(left)).ok()?;
        let mut bytes = [0; 512];
        let count = client.read(&mut bytes).ok().filter(|count| *count > 0)?;
        head.extend_from_slice(&bytes[..count]);
    }
    let text = std::str::from_utf8(&head).ok()?;
    let path = text.strip_prefix("GET ")?.split(' ').next()?;
    Some(path.split('?').next().unwrap_or(path).to_owned())
}
