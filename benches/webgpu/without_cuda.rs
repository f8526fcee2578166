//! This build has no engine beside WebGPU and the CPU.

use super::random::Size;

/// There is none.
pub(crate) enum Peer {}

/// None.
pub(crate) fn peers(_rows: usize, _shapes: &[[usize; 2]]) -> Vec<Peer> {
    Vec::new()
}

impl Peer {
    pub(crate) fn name(&self) -> &'static str {
        match *self {}
    }

    pub(crate) fn seconds(&self, _shape: usize) -> clinlite::Result<f64> {
        match *self {}
    }
}

/// None.
pub(crate) fn notes(_name: &str, _size: Size, _seconds: f64, _batches: &[usize]) -> clinlite::Result<()> {
    Ok(())
}
