//! One run in several processes: each works on its share of every step, gradients are summed, and all take the same step.
//!
//! A launcher starts the processes and says in the environment which one each is ([`environment`]). They find each other at
//! rank 0 (`rendezvous`) and form a [`Group`] over the channels of `timely_communication`. [`Ranks`] is what a run
//! knows of the others: alone it costs nothing, so there is one path through a step.

pub mod environment;
mod group;
mod link;
mod message;
mod ranks;
mod rendezvous;
mod round;
mod sums;
mod worker;

pub use self::environment::Seat;
pub use self::group::{Group, Pending};
pub use self::ranks::{BUCKET, Ranks, parts};
#[cfg(feature = "cuda")]
pub use self::sums::NcclSums;
pub use self::sums::{HostSums, Sums};
