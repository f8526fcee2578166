//! How ranks find each other: everybody goes to rank 0, is told where the others listen, and connects to those before it.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::environment::Seat;
use crate::error::{Error, ErrorKind, Result};

/// What a rank says when it comes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hello {
    /// The version of what follows.
    clinlite: u32,
    rank: usize,
    size: usize,
    /// Where it listens, for rank 0.
    port: u16,
    /// What rank 0 told it, for the others.
    key: u64,
}

/// What rank 0 answers: where each rank listens, from rank 1 on.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    key: u64,
    others: Vec<SocketAddr>,
}

const VERSION: u32 = 1;
/// The longest of these messages.
const MOST: u32 = 1 << 20;
/// How long who has connected may take to say who it is.
const HELLO: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// A connection to each rank, none to itself.
///
/// # Errors
/// [`ErrorKind::Io`] that says who did not come within `patience`.
pub(super) fn meet(seat: &Seat, patience: Duration) -> Result<Vec<Option<TcpStream>>> {
    let until = Instant::now() + patience;
    let place = format!("rank {} of {} at {}:{}", seat.rank, seat.size, seat.host, seat.port);
    let met = if seat.rank == 0 { lead(seat, until) } else { follow(seat, until) };
    let mut streams = met.map_err(|message| Error::new(ErrorKind::Io, message).at(place))?;
    for stream in streams.iter_mut().flatten() {
        let ready = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(None));
        let ready = ready.and_then(|()| stream.set_write_timeout(None)).and_then(|()| stream.set_nodelay(true));
        ready.map_err(|e| Error::new(ErrorKind::Io, e.to_string()))?;
    }
    Ok(streams)
}

/// Rank 0: waits for all, then tells each where the others are.
fn lead(seat: &Seat, until: Instant) -> Result<Vec<Option<TcpStream>>, String> {
    let loopback = resolve(seat)?.iter().all(|address| address.ip().is_loopback());
    let any = if loopback { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
    let listener = TcpListener::bind((any, seat.port))
        .map_err(|e| format!("cannot listen: {e}; CLINLITE_PORT names another port for all ranks"))?;
    let mut others: Vec<Option<(TcpStream, SocketAddr)>> = (1..seat.size).map(|_| None).collect();
    while others.iter().any(Option::is_none) {
        let missing = || {
            let missing = (1..).zip(&others).filter(|(_, other)| other.is_none());
            let missing: Vec<String> = missing.map(|(rank, _)| rank.to_string()).collect();
            format!("not come in time: rank {}", missing.join(", "))
        };
        let (stream, hello) = accept::<Hello>(&listener, until).ok_or_else(missing)?;
        if (hello.clinlite, hello.size) != (VERSION, seat.size) || hello.rank == 0 || hello.rank >= seat.size {
            return Err(format!(
                "a rank {} of {} came: two runs share a port, or two versions meet",
                hello.rank, hello.size
            ));
        }
        let from = stream.peer_addr().map_err(|e| e.to_string())?;
        let place = &mut others[hello.rank - 1];
        if place.is_some() {
            return Err(format!("rank {} came twice: two runs share a port; CLINLITE_PORT names another", hello.rank));
        }
        *place = Some((stream, SocketAddr::new(from.ip(), hello.port)));
    }
    let others: Vec<(TcpStream, SocketAddr)> = others.into_iter().flatten().collect();
    let answer = Answer { key: key(), others: others.iter().map(|(_, address)| *address).collect() };
    let mut streams = vec![None];
    for (mut stream, _) in others {
        say(&mut stream, &answer)?;
        streams.push(Some(stream));
    }
    Ok(streams)
}

/// The others: to rank 0, then to each rank before, then wait for those behind.
fn follow(seat: &Seat, until: Instant) -> Result<Vec<Option<TcpStream>>, String> {
    let mut first = connect(&resolve(seat)?, until).map_err(|e| format!("rank 0 does not listen: {e}"))?;
    let own = first.local_addr().map_err(|e| e.to_string())?.ip();
    let listener = TcpListener::bind(SocketAddr::new(own, 0)).map_err(|e| format!("cannot listen: {e}"))?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    let mut hello = Hello { clinlite: VERSION, rank: seat.rank, size: seat.size, port, key: 0 };
    say(&mut first, &hello)?;
    let answer: Answer = hear(&mut first, until).map_err(|e| format!("rank 0 did not answer: {e}"))?;
    if answer.others.len() + 1 != seat.size {
        return Err(format!("rank 0 knows {} ranks", answer.others.len() + 1));
    }
    hello.key = answer.key;
    let mut streams: Vec<Option<TcpStream>> = (0..seat.size).map(|_| None).collect();
    streams[0] = Some(first);
    for (rank, address) in (1..seat.rank).zip(&answer.others) {
        let mut stream = connect(&[*address], until).map_err(|e| format!("rank {rank} does not listen: {e}"))?;
        say(&mut stream, &hello)?;
        streams[rank] = Some(stream);
    }
    while let Some(missing) = (seat.rank + 1..seat.size).find(|rank| streams[*rank].is_none()) {
        let came = accept::<Hello>(&listener, until);
        let (stream, hello) = came.ok_or_else(|| format!("not come in time: rank {missing}"))?;
        let expected = hello.key == answer.key && (seat.rank + 1..seat.size).contains(&hello.rank);
        if expected && streams[hello.rank].is_none() {
            streams[hello.rank] = Some(stream);
        }
    }
    Ok(streams)
}

/// The addresses of rank 0: those of the fourth version first, which is what it listens on.
fn resolve(seat: &Seat) -> Result<Vec<SocketAddr>, String> {
    let host = if seat.host == "localhost" { IpAddr::V4(Ipv4Addr::LOCALHOST).to_string() } else { seat.host.clone() };
    let found = (host.as_str(), seat.port).to_socket_addrs().map_err(|e| format!("no such host: {e}"))?;
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    Ok(found)
}

fn connect(addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, String> {
    loop {
        let mut failed = "no address".to_owned();
        for address in addresses {
            let left = until.saturating_duration_since(Instant::now()).max(PAUSE);
            match TcpStream::connect_timeout(address, left) {
                Ok(stream) => return Ok(stream),
                Err(e) => failed = e.to_string(),
            }
        }
        if Instant::now() >= until {
            return Err(failed);
        }
        std::thread::sleep(PAUSE);
    }
}

/// The next who comes and says something that can be read; nothing when time is up.
fn accept<T: DeserializeOwned>(listener: &TcpListener, until: Instant) -> Option<(TcpStream, T)> {
    listener.set_nonblocking(true).ok()?;
    while Instant::now() < until {
        let Ok((mut stream, _)) = listener.accept() else {
            std::thread::sleep(PAUSE);
            continue;
        };
        let heard = stream.set_nonblocking(false).map_err(|e| e.to_string());
        if let Ok(said) = heard.and_then(|()| hear(&mut stream, until.min(Instant::now() + HELLO))) {
            return Some((stream, said));
        }
    }
    None
}

fn say(stream: &mut TcpStream, what: &impl Serialize) -> Result<(), String> {
    let text = serde_json::to_vec(what).map_err(|e| e.to_string())?;
    let bytes = [&(text.len() as u32).to_be_bytes(), text.as_slice()].concat();
    stream.write_all(&bytes).map_err(|e| e.to_string())
}

fn hear<T: DeserializeOwned>(stream: &mut TcpStream, until: Instant) -> Result<T, String> {
    let left = until.saturating_duration_since(Instant::now()).max(PAUSE);
    stream.set_read_timeout(Some(left)).map_err(|e| e.to_string())?;
    let mut len = [0; 4];
    stream.read_exact(&mut len).map_err(|e| e.to_string())?;
    let len = u32::from_be_bytes(len);
    if len > MOST {
        return Err(format!("a message of {len} bytes"));
    }
    let mut text = vec![0; len as usize];
    stream.read_exact(&mut text).map_err(|e| e.to_string())?;
    serde_json::from_slice(&text).map_err(|e| e.to_string())
}

/// Tells the connections of this run from those of another.
fn key() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    since.as_nanos() as u64 ^ u64::from(std::process::id()) << 40
}
