//! What can go wrong with a device, told apart.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, ErrorKind, Result};

/// What a device has said of itself so far: whether it is lost, and the first thing that it could not do.
#[derive(Default)]
pub(super) struct Failure {
    lost: AtomicBool,
    first: Mutex<Option<(ErrorKind, String)>>,
}

impl Failure {
    /// Listens to a device.
    pub(super) fn of(device: &wgpu::Device) -> Arc<Self> {
        let failure = Arc::new(Self::default());
        let listener = failure.clone();
        device.set_device_lost_callback(move |_reason, _message| listener.lose());
        let listener = failure.clone();
        device.on_uncaptured_error(Arc::new(move |error| listener.note(&error)));
        failure
    }

    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Remembers it: from now on every call fails with it.
    pub(super) fn note(&self, error: &wgpu::Error) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| told(error));
    }

    /// Fails if the device is lost or could not do something.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_lost() {
            return Err(lost());
        }
        match &*self.first.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((kind, message)) => Err(Error::new(*kind, message.clone())),
            None => Ok(()),
        }
    }
}

/// What a scope caught, unless the device was lost, which is the reason of all that follows.
pub(super) fn caught(failure: &Failure, error: &wgpu::Error) -> Error {
    if failure.is_lost() {
        return lost();
    }
    let (kind, message) = told(error);
    Error::new(kind, message)
}

pub(super) fn lost() -> Error {
    Error::new(ErrorKind::DeviceLost, "the GPU device was lost: go on with the CPU, or open the device again")
}

fn told(error: &wgpu::Error) -> (ErrorKind, String) {
    match error {
        wgpu::Error::OutOfMemory { .. } => {
            (ErrorKind::OutOfMemory, "the GPU has no memory left: judge fewer windows at once".into())
        }
        wgpu::Error::Validation { description, .. } => (ErrorKind::Backend, line(description)),
        wgpu::Error::Internal { description, .. } => {
            (ErrorKind::Backend, format!("inside the GPU driver: {}", line(description)))
        }
    }
}

/// What the engine says, in one line: sizes and names of its own, never a number of the caller's.
pub(super) fn line(description: &str) -> String {
    let lines: Vec<&str> = description.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ").chars().take(300).collect()
}
