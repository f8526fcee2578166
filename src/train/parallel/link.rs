//! A connection to another rank that notices how it ends.
//!
//! The threads of `timely_communication` panic when a connection breaks, which would take the run down with a message about
//! a thread. Here the break is written down for the worker, which names the rank, and the thread is put to sleep.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use timely_communication::allocator::zero_copy::stream::Stream;

/// How a rank went.
#[derive(Clone, Debug)]
pub(super) struct Departure {
    pub(super) at: Instant,
    /// It said so.
    pub(super) in_order: bool,
    pub(super) cause: String,
}

/// Which ranks have gone, by their number.
#[derive(Clone, Default)]
pub(super) struct Departures(Arc<Mutex<Vec<Option<Departure>>>>);

impl Departures {
    fn note(&self, rank: usize, in_order: bool, cause: String) {
        let mut all = self.lock();
        let len = all.len().max(rank + 1);
        all.resize(len, None);
        all[rank].get_or_insert_with(|| Departure { at: Instant::now(), in_order, cause });
    }

    /// The ranks that have gone, those that did not say so first, then in the order in which they went.
    pub(super) fn all(&self) -> Vec<(usize, Departure)> {
        let mut gone: Vec<_> =
            self.lock().iter().cloned().enumerate().filter_map(|(rank, gone)| Some((rank, gone?))).collect();
        gone.sort_by_key(|(_, departure)| (departure.in_order, departure.at));
        gone
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Departure>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection to a rank.
pub(super) struct Link {
    stream: TcpStream,
    rank: usize,
    departures: Departures,
    frames: Frames,
}

/// Where one message ends and the next begins in what is read.
struct Frames {
    /// Whom messages are for.
    own: u64,
    /// The header so far.
    header: [u8; HEADER],
    have: usize,
    /// Bytes of the message that are still to come.
    left: usize,
    /// The header that ends a connection has come.
    ended: bool,
}

/// Bytes of a header of `timely_communication`: six numbers, big-endian, the channel, the sender, the first and last but
/// one who are to have it, the length, the number of the message. One of length 0 ends the connection.
const HEADER: usize = 48;
/// The longest message, more than any that is sent.
const MOST: u64 = 1 << 26;

impl Frames {
    fn new(own: usize) -> Self {
        Self { own: own as u64, header: [0; HEADER], have: 0, left: 0, ended: false }
    }

    /// Follows what was read. False when it is nothing that a rank sends.
    fn follow(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.ended {
                return false;
            }
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEADER - self.have).min(bytes.len());
            self.header[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == HEADER {
                self.have = 0;
                let (numbers, _) = self.header.as_chunks::<8>();
                let [channel, _, first, behind, length] = [0, 1, 2, 3, 4].map(|at| u64::from_be_bytes(numbers[at]));
                self.ended = length == 0;
                let known = channel == 0 && length <= MOST && (first, behind) == (self.own, self.own + 1);
                if !known && !self.ended {
                    return false;
                }
                self.left = length as usize;
            }
        }
        true
    }
}

impl Link {
    /// To `rank` from `own`.
    pub(super) fn new(stream: TcpStream, rank: usize, own: usize, departures: &Departures) -> Self {
        Self { stream, rank, departures: departures.clone(), frames: Frames::new(own) }
    }

    fn broken(&self, cause: String) -> ! {
        self.departures.note(self.rank, false, cause);
        loop {
            std::thread::park();
        }
    }
}

impl Read for Link {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(into) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => (),
                Err(e) => self.broken(e.to_string()),
                Ok(0) if self.frames.ended => {
                    self.departures.note(self.rank, true, "it ended its run".into());
                    return Ok(0);
                }
                Ok(0) => self.broken("it closed the connection".into()),
                Ok(n) if self.frames.follow(&into[..n]) => return Ok(n),
                Ok(_) => self.broken("it sends what no rank sends".into()),
            }
        }
    }
}

impl Write for Link {
    /// What cannot be sent is dropped: whoever it was for has gone, and reading says so.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => {
                self.departures.note(self.rank, false, e.to_string());
                Ok(bytes.len())
            }
            other => other,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Link {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::new(self.stream.try_clone()?, self.rank, self.frames.own as usize, &self.departures))
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    /// Of a connection that is closed already, too.
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        drop(self.stream.shutdown(how));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(numbers: [u64; 6]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    #[test]
    fn the_end_is_told_from_zeros() {
        let zeros = [header([0, 1, 2, 3, 200, 0]), vec![0; 200]].concat();
        for size in [1, 7, 48, 49, 300] {
            let mut frames = Frames::new(2);
            let read = [zeros.clone(), zeros.clone()].concat();
            assert!(read.chunks(size).all(|bytes| frames.follow(bytes)) && !frames.ended, "{size}");
            assert!(header([0; 6]).chunks(size).all(|bytes| frames.follow(bytes)) && frames.ended, "{size}");
            assert!(!frames.follow(&[0]), "nothing comes after the end");
        }
    }

    #[test]
    fn what_no_rank_sends_is_noticed() {
        for numbers in [[1, 0, 2, 3, 9, 0], [0, 0, 2, 4, 9, 0], [0, 0, 1, 2, 9, 0], [0, 0, 2, 3, MOST + 1, 0]] {
            assert!(!Frames::new(2).follow(&header(numbers)), "{numbers:?}");
        }
    }
}
