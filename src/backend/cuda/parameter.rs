//! One weight on the device.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::device::{Device, Precision};
use super::memory::Buffer;
use crate::backend::Stored;
use crate::backend::training::{Kind, Layout};
use crate::backend::tuning::Pair;
use crate::error::Result;

/// How far apart rows of so many numbers lie: those of a vocabulary begin where the matrix units like it, others are packed.
pub(super) fn stride(columns: usize) -> usize {
    if columns >= 1024 { columns.next_multiple_of(8) } else { columns }
}

/// A named weight.
pub struct Parameter {
    pub(super) layout: Layout,
    /// In `f32`; of a matrix or table of an engine that only answers where that is what products read.
    pub(super) value: Option<Buffer>,
    /// What products read, where that is not `value`.
    pub(super) shadow: Option<Buffer>,
    /// In `f32`; nothing for a weight that does not learn.
    pub(super) gradient: Option<Buffer>,
    /// Low-rank matrices beside its parts.
    pub(super) pairs: Vec<Arc<Pair<Parameter>>>,
    moments: Mutex<Option<Moments>>,
}

/// What the optimizer remembers of a weight, in `f32`.
pub(super) struct Moments {
    pub(super) first: Buffer,
    pub(super) second: Buffer,
    pub(super) average: Option<Buffer>,
}

impl Parameter {
    /// `kept`: by an engine that learns, which may be asked for its floats.
    pub(super) fn new(device: &Device, kind: Kind, stored: &[Stored], kept: bool, learns: bool) -> Result<Self> {
        let layout = Layout { learns, ..Layout::new(kind, stored)? };
        let mut data: Vec<f32> = stored.iter().flat_map(Stored::to_f32).collect();
        let narrow = kind != Kind::Vector && device.precision() == Precision::Bf16;
        let value = (kept || !narrow).then(|| device.upload(&data)).transpose()?;
        data.resize(stride(layout.rows()) * layout.columns, 0.0);
        let shadow = narrow.then(|| device.narrowed(&data)).transpose()?;
        let gradient = learns.then(|| device.zeros(data.len() * 4)).transpose()?;
        Ok(Self { layout, value, shadow, gradient, pairs: Vec::new(), moments: Mutex::default() })
    }

    /// The same, with these matrices beside its parts.
    pub(super) fn with_pairs(mut self, pairs: Vec<Arc<Pair<Self>>>) -> Self {
        self.layout.beside = pairs.iter().map(|pair| pair.beside(|weight| &weight.layout)).collect();
        self.pairs = pairs;
        self
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
