//! A training in several processes, as a launcher starts it.

use std::time::Duration;

use anyhow::{Result, bail};
use clinlite::train::parallel::{Group, Seat};

/// How long a process waits for the others to start: models are read before, and on a cluster not all begin at once.
const COMING: Duration = Duration::from_secs(600);
/// How long it waits for what the others have to say; rank 0 alone looks at what was set apart and writes.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Joins the others, if there are any.
pub(crate) fn join(seat: Option<&Seat>) -> clinlite::Result<Option<Group>> {
    seat.map(|seat| Group::join(seat, COMING, PATIENCE)).transpose()
}

/// Refuses several processes for a command that runs in one.
pub(crate) fn refuse(command: &str) -> Result<()> {
    match Seat::here()? {
        None => Ok(()),
        Some(Seat { rank, size, .. }) => bail!(
            "{command} runs in one process, and this is rank {rank} of {size}: start it without a launcher; pretrain takes \
             several"
        ),
    }
}
