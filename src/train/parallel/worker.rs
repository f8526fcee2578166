//! The thread that talks with the other ranks, while the run calculates.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use timely_communication::allocator::zero_copy::allocator::TcpBuilder;
use timely_communication::allocator::zero_copy::initialize::CommsGuard;
use timely_communication::{Allocator, Pull, Push};

use super::link::Departures;
use super::message::{Kind, Message, Parcel, bytes_of, values_of};
use super::round::{Round, Send};

/// How long after a rank has gone the others give up: what it sent before is taken first, and everybody sees who went
/// first before those go who went because of it.
const GRACE: Duration = Duration::from_secs(1);
/// How often it is looked who has gone.
const LOOK: Duration = Duration::from_millis(100);

/// What comes of something; why not, if the group is broken.
pub(super) type Reply<T> = Sender<Result<T, String>>;

/// What the run wants.
pub(super) enum Order {
    Sum(u64, Vec<f32>, Reply<Vec<f32>>),
    Gather(u64, Vec<u8>, Reply<Vec<Vec<u8>>>),
    Fail(String),
}

/// What is called once when the group breaks.
pub(super) type Alarm = Arc<Mutex<Option<Box<dyn FnOnce() + std::marker::Send>>>>;

/// What the thread is made of.
pub(super) struct Setup {
    pub(super) rank: usize,
    pub(super) size: usize,
    pub(super) builder: TcpBuilder,
    pub(super) guard: CommsGuard,
    pub(super) departures: Departures,
    pub(super) orders: Receiver<Order>,
    pub(super) alarm: Alarm,
}

/// A sum, and who waits for it here; nobody before this rank takes part.
#[derive(Default)]
struct Sum {
    round: Round,
    reply: Option<Reply<Vec<f32>>>,
}

/// What ranks said, and who waits for it here.
#[derive(Default)]
struct Notes {
    by_rank: BTreeMap<usize, Vec<u8>>,
    reply: Option<Reply<Vec<Vec<u8>>>>,
}

struct Worker {
    rank: usize,
    size: usize,
    senders: Vec<Box<dyn Push<Parcel>>>,
    sums: BTreeMap<u64, Sum>,
    notes: BTreeMap<u64, Notes>,
    departures: Departures,
    alarm: Alarm,
    broken: Option<String>,
}

/// Works until nobody can give orders any more, and everything is sent.
pub(super) fn work(setup: Setup) {
    let Setup { rank, size, builder, guard, departures, orders, alarm } = setup;
    let mut allocator = Allocator::Tcp(builder.build());
    let (senders, receiver) = allocator.allocate::<Parcel>(0);
    let (sums, notes) = (BTreeMap::new(), BTreeMap::new());
    let mut worker = Worker { rank, size, senders, sums, notes, departures, alarm, broken: None };
    worker.run(&mut allocator, receiver, &orders);
    let in_order = worker.departures.all().iter().all(|(_, departure)| departure.in_order);
    drop((worker, allocator)); // ends the connections, once what waits is sent
    if in_order {
        drop(guard); // waits for that, and for the others
    } else {
        std::mem::forget(guard); // threads that read from who has gone sleep for ever
    }
}

impl Worker {
    fn run(&mut self, allocator: &mut Allocator, mut receiver: Box<dyn Pull<Parcel>>, orders: &Receiver<Order>) {
        loop {
            let open = self.take_orders(orders);
            allocator.receive();
            while let Some(Parcel(message)) = receiver.recv() {
                let taken = message.ok_or_else(|| "something that is no message came".to_owned());
                if let Err(message) = taken.and_then(|message| self.take(message)) {
                    self.give_up(message);
                }
            }
            allocator.events().borrow_mut().clear();
            allocator.release();
            self.look_who_has_gone();
            if !open {
                return;
            }
            allocator.await_events(Some(LOOK));
        }
    }

    /// Whether more may come.
    fn take_orders(&mut self, orders: &Receiver<Order>) -> bool {
        loop {
            let taken = match orders.try_recv() {
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
                Ok(Order::Sum(round, values, reply)) => self.begin_sum(round, values, reply),
                Ok(Order::Gather(round, note, reply)) => {
                    self.tell_all(Kind::Note, round, 0, &note);
                    self.notes.entry(round).or_default().reply = Some(reply);
                    self.note(round, self.rank, note);
                    Ok(())
                }
                Ok(Order::Fail(reason)) => {
                    if self.broken.is_none() {
                        self.tell_all(Kind::Failure, 0, 0, reason.as_bytes());
                    }
                    Ok(())
                }
            };
            if let Err(message) = taken {
                self.give_up(message);
            }
            if let Some(message) = self.broken.clone() {
                self.refuse(&message);
            }
        }
    }

    fn begin_sum(&mut self, round: u64, values: Vec<f32>, reply: Reply<Vec<f32>>) -> Result<(), String> {
        let (rank, size) = (self.rank, self.size);
        let sum = self.sums.entry(round).or_default();
        sum.reply = Some(reply);
        for send in sum.round.begin(values, rank, size)? {
            self.send(round, send);
        }
        self.finish(round);
        Ok(())
    }

    fn take(&mut self, message: Message) -> Result<(), String> {
        let Message { kind, from, round, chunk, body } = message;
        if from >= self.size || from == self.rank {
            return Err(format!("a message of rank {from} of {} came", self.size));
        }
        let values = || values_of(&body).ok_or_else(|| format!("rank {from} sends {} bytes as numbers", body.len()));
        match kind {
            Kind::Note => self.note(round, from, body),
            Kind::Failure => return Err(format!("rank {from} stopped: {}", String::from_utf8_lossy(&body))),
            Kind::Part => {
                let more = self.sums.entry(round).or_default().round.part(chunk, from, values()?, self.size)?;
                more.into_iter().for_each(|send| self.send(round, send));
                self.finish(round);
            }
            Kind::Sum => {
                self.sums.entry(round).or_default().round.sum(chunk, &values()?)?;
                self.finish(round);
            }
        }
        Ok(())
    }

    fn note(&mut self, round: u64, from: usize, note: Vec<u8>) {
        let notes = self.notes.entry(round).or_default();
        notes.by_rank.insert(from, note);
        if notes.by_rank.len() == self.size
            && let Some(Notes { by_rank, reply: Some(reply) }) = self.notes.remove(&round)
        {
            drop(reply.send(Ok(by_rank.into_values().collect()))); // nobody may want it any more
        }
    }

    /// Hands a sum over when it is complete.
    fn finish(&mut self, round: u64) {
        let Some(sum) = self.sums.get_mut(&round) else { return };
        if let Some(values) = sum.round.take() {
            if let Some(reply) = sum.reply.take() {
                drop(reply.send(Ok(values))); // nobody may want it any more
            }
            self.sums.remove(&round);
        }
    }

    fn send(&mut self, round: u64, send: Send) {
        match send {
            Send::Part { to, chunk, values } => self.tell(to, Kind::Part, round, chunk, bytes_of(&values)),
            Send::Sum { chunk, values } => self.tell_all(Kind::Sum, round, chunk, &bytes_of(&values)),
        }
    }

    fn tell_all(&mut self, kind: Kind, round: u64, chunk: usize, body: &[u8]) {
        for to in 0..self.size {
            if to != self.rank {
                self.tell(to, kind, round, chunk, body.to_vec());
            }
        }
    }

    fn tell(&mut self, to: usize, kind: Kind, round: u64, chunk: usize, body: Vec<u8>) {
        self.senders[to].send(Parcel(Some(Message { kind, from: self.rank, round, chunk, body })));
    }

    /// A rank that went without a word breaks the group; one that ended in order only if something is wanted of it.
    fn look_who_has_gone(&mut self) {
        let wanted = self.sums.values().any(|sum| sum.reply.is_some()) || !self.notes.is_empty();
        let gone = self.departures.all().into_iter();
        let gone = gone.filter(|(_, departure)| departure.at.elapsed() >= GRACE && (wanted || !departure.in_order));
        if let Some((rank, departure)) = gone.into_iter().next() {
            self.give_up(format!("rank {rank} is gone: {}", departure.cause));
        }
    }

    fn give_up(&mut self, message: String) {
        if self.broken.is_none() {
            self.refuse(&message);
            self.broken = Some(message);
            let alarm = self.alarm.lock().unwrap_or_else(PoisonError::into_inner).take();
            alarm.into_iter().for_each(|alarm| alarm());
        }
    }

    /// Tells everybody who waits.
    fn refuse(&mut self, message: &str) {
        for Sum { reply, .. } in std::mem::take(&mut self.sums).into_values() {
            reply.into_iter().for_each(|reply| drop(reply.send(Err(message.to_owned()))));
        }
        for Notes { reply, .. } in std::mem::take(&mut self.notes).into_values() {
            reply.into_iter().for_each(|reply| drop(reply.send(Err(message.to_owned()))));
        }
    }
}
