//! Several processes that talk with each other.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Thread;
use std::time::{Duration, Instant};

use timely_communication::Hooks;
use timely_communication::allocator::ProcessBuilder;
use timely_communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;

use super::environment::Seat;
use super::link::{Departures, Link};
use super::rendezvous::meet;
use super::worker::{Alarm, Order, Setup, work};
use crate::error::{Error, ErrorKind, Result};

/// All processes of a run, as one of them sees them. Every rank asks for the same things in the same order.
pub struct Group {
    rank: usize,
    size: usize,
    orders: Option<Sender<Order>>,
    thread: Thread,
    /// Hangs up when the thread has sent everything.
    working: Receiver<()>,
    alarm: Alarm,
    round: Cell<u64>,
    patience: Duration,
    waited: Cell<Duration>,
}

/// Something that the others have a part in.
pub struct Pending<T>(Receiver<Result<T, String>>);

/// How long the last messages may take to be sent, and the others to end, too.
const FAREWELL: Duration = Duration::from_secs(5);

impl Group {
    /// Waits for the others as long as `coming`, and later for what is asked of them as long as `patience`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] that says who did not come.
    pub fn join(seat: &Seat, coming: Duration, patience: Duration) -> Result<Self> {
        let departures = Departures::default();
        let link =
            |(rank, stream): (usize, Option<_>)| stream.map(|stream| Link::new(stream, rank, seat.rank, &departures));
        let links = meet(seat, coming)?.into_iter().enumerate().map(link).collect();
        let failed = |e: &dyn std::fmt::Display| Error::new(ErrorKind::Io, e.to_string()).at("processes");
        let hooks = Hooks::default();
        let inner = ProcessBuilder::new_typed_vector(1, hooks.refill.clone(), None);
        let networking = initialize_networking_from_sockets(inner, links, seat.rank, 1, hooks);
        let (builders, guard) = networking.map_err(|e| failed(&e))?;
        let builder = builders.into_iter().next().ok_or_else(|| failed(&"no builder"))?;
        let (orders, taken) = channel();
        let (finished, working) = channel::<()>();
        let alarm = Alarm::default();
        let (rank, size) = (seat.rank, seat.size);
        let setup = Setup { rank, size, builder, guard, departures, orders: taken, alarm: Arc::clone(&alarm) };
        let run = move || {
            work(setup);
            drop(finished);
        };
        let thread = std::thread::Builder::new().name("ranks".into()).spawn(run).map_err(|e| failed(&e))?;
        let (thread, round, waited) = (thread.thread().clone(), Cell::new(0), Cell::default());
        Ok(Self { rank, size, orders: Some(orders), thread, working, alarm, round, patience, waited })
    }

    /// Which of the processes this is, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Begins to add numbers up over all ranks: the same bits everywhere, in the order of the ranks.
    pub fn sum(&self, values: Vec<f32>) -> Pending<Vec<f32>> {
        let (reply, pending) = channel();
        self.order(Order::Sum(self.next_round(), values, reply));
        Pending(pending)
    }

    /// What every rank has to say, by rank.
    ///
    /// # Errors
    /// A rank that is gone, by its number.
    pub fn gather(&self, note: &[u8]) -> Result<Vec<Vec<u8>>> {
        let (reply, pending) = channel();
        self.order(Order::Gather(self.next_round(), note.to_vec(), reply));
        self.wait(Pending(pending))
    }

    /// Waits for what was begun.
    ///
    /// # Errors
    /// A rank that is gone, by its number.
    pub fn wait<T>(&self, pending: Pending<T>) -> Result<T> {
        let begun = Instant::now();
        let came = pending.0.recv_timeout(self.patience);
        self.waited.set(self.waited.get() + begun.elapsed());
        let message = match came {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(message)) => message,
            Err(RecvTimeoutError::Timeout) => {
                format!("a rank kept the others waiting for {} s", self.patience.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => "the thread that talks with the other ranks ended".into(),
        };
        let place = format!("rank {} of {}", self.rank, self.size);
        Err(Error::new(ErrorKind::Backend, format!("{message}; go on with --resume")).at(place))
    }

    /// How long the run stood still for the others so far.
    pub fn waited(&self) -> Duration {
        self.waited.get()
    }

    /// Tells the others that this rank gives up, and why; they end with that.
    pub fn fail(&self, reason: &str) {
        self.order(Order::Fail(reason.to_owned()));
    }

    /// Called in another thread, once, if a rank is lost.
    pub fn when_broken(&self, alarm: impl FnOnce() + Send + 'static) {
        *self.alarm.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Box::new(alarm));
    }

    fn next_round(&self) -> u64 {
        self.round.replace(self.round.get() + 1)
    }

    fn order(&self, order: Order) {
        // If the thread is gone, whoever waits for the answer hears of it.
        if let Some(orders) = &self.orders {
            drop(orders.send(order));
        }
        self.thread.unpark();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.orders = None;
        self.thread.unpark();
        let _ = self.working.recv_timeout(FAREWELL); // that it hangs up is the answer
    }
}
