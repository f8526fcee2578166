//! One weight on the device.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::device::{Device, Precision};
use super::memory::Buffer;
use crate::backend::Stored;
use crate::backend::training::{Kind, Layout};
use crate::error::Result;

/// How far apart rows of so many numbers lie: those of a vocabulary begin where the matrix units like it, others are packed.
pub(super) fn stride(columns: usize) -> usize {
    if columns >= 1024 { columns.next_multiple_of(8) } else { columns }
}

/// A named weight.
pub struct Parameter {
    pub(super) layout: Layout,
    /// In `f32`; of a matrix or table that does not learn only where that is what products read.
    pub(super) value: Option<Buffer>,
    /// What products read, where that is not `value`.
    pub(super) shadow: Option<Buffer>,
    /// In `f32`; nothing for a weight that does not learn.
    pub(super) gradient: Option<Buffer>,
    moments: Mutex<Option<Moments>>,
}

/// What the optimizer remembers of a weight, in `f32`.
pub(super) struct Moments {
    pub(super) first: Buffer,
    pub(super) second: Buffer,
    pub(super) average: Option<Buffer>,
}

impl Parameter {
    pub(super) fn new(device: &Device, kind: Kind, stored: &[Stored], learns: bool) -> Result<Self> {
        let layout = Layout::new(kind, stored)?;
        let mut data: Vec<f32> = stored.iter().flat_map(Stored::to_f32).collect();
        let narrow = kind != Kind::Vector && device.precision() == Precision::Bf16;
        let value = (learns || !narrow).then(|| device.upload(&data)).transpose()?;
        data.resize(stride(layout.rows()) * layout.columns, 0.0);
        let shadow = narrow.then(|| device.narrowed(&data)).transpose()?;
        let gradient = learns.then(|| device.zeros(data.len() * 4)).transpose()?;
        Ok(Self { layout, value, shadow, gradient, moments: Mutex::default() })
    }

    /// Where products and look-ups read it; for a vector its floats.
    pub(super) fn at(&self) -> u64 {
        let buffer = self.shadow.as_ref().or(self.value.as_ref());
        buffer.map_or(0, Buffer::at)
    }

    /// Rows that a product runs over: those of a vocabulary are rounded up with zeros, where it reads the shadow.
    pub(super) fn whole_rows(&self) -> usize {
        let rows = self.layout.rows();
        if self.shadow.is_some() { stride(rows) } else { rows }
    }

    pub(super) fn name(&self) -> &str {
        self.layout.name()
    }

    pub(super) fn moments(&self) -> MutexGuard<'_, Option<Moments>> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
