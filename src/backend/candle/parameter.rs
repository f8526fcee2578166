//! One weight of a model: its values, the Hugging Face names of its parts, and its gradient.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{CpuStorage, Device, InplaceOp1, Tensor, Var};

use super::adamw::Moments;
use super::{engine, host};
use crate::backend::Stored;
use crate::backend::training::{Kind, Layout};
use crate::backend::tuning::Pair;
use crate::error::{Error, ErrorKind, Result};

/// A named weight.
pub struct Parameter {
    layout: Layout,
    value: Tensor,
    pairs: Vec<Arc<Pair<Parameter>>>,
    gradient: Mutex<Gradient>,
    moments: Mutex<Moments>,
}

/// The gradient of a parameter since it was last cleared.
#[derive(Default)]
pub struct Gradient {
    /// Empty until something is added, then as long as the values.
    data: Vec<f32>,
    /// Of a table: the rows that may differ from zero, each once.
    rows: Vec<u32>,
    touched: Vec<bool>,
    /// Something was added to all rows: a table that is a decoder, too.
    whole: bool,
}

impl Parameter {
    pub(super) fn new(kind: Kind, stored: &[Stored], device: &Device, tracked: bool) -> Result<Self> {
        let layout = Layout::new(kind, stored)?;
        let (rows, columns) = (layout.rows(), layout.columns);
        let data: Vec<f32> = stored.iter().flat_map(Stored::to_f32).collect();
        let shape: &[usize] = if kind == Kind::Vector { &[rows] } else { &[rows, columns] };
        let value = Tensor::from_vec(data, shape, device).map_err(engine)?;
        let value = if tracked { Var::from_tensor(&value).map_err(engine)?.into_inner() } else { value };
        Ok(Self { layout, value, pairs: Vec::new(), gradient: Mutex::default(), moments: Mutex::default() })
    }

    /// The same, learning or not, with these matrices beside its parts.
    pub(super) fn tuned(mut self, learns: bool, pairs: Vec<Arc<Pair<Self>>>) -> Self {
        self.layout.learns = learns;
        self.layout.beside = pairs.iter().map(|pair| pair.beside(Self::layout)).collect();
        self.pairs = pairs;
        self
    }

    /// Whether it gets gradients.
    pub(super) fn learns(&self) -> bool {
        self.layout.learns
    }

    /// The low-rank matrices beside its parts.
    pub(super) fn pairs(&self) -> &[Arc<Pair<Self>>] {
        &self.pairs
    }

    /// What it is used as, and where its parts lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The name of the first part: unique, and the key under which everything about this parameter is kept.
    pub fn name(&self) -> &str {
        self.layout.name()
    }

    /// The width of a row; 1 for a vector.
    pub fn columns(&self) -> usize {
        self.layout.columns
    }

    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.layout.len()
    }

    /// Whether it holds no number.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values: `[rows, columns]`, or `[rows]` of a vector.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// The gradient, for reading it, adding to it and clearing it.
    pub fn gradient(&self) -> MutexGuard<'_, Gradient> {
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the optimizer remembers.
    pub(super) fn moments(&self) -> MutexGuard<'_, Moments> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the values where they lie.
    ///
    /// # Errors
    /// When they are not on the CPU.
    pub fn read<R>(&self, read: impl FnOnce(&[f32]) -> R) -> Result<R> {
        host(&self.value, read)
    }

    /// Changes the values where they lie.
    ///
    /// # Errors
    /// When they are not on the CPU.
    pub fn write<R>(&self, write: impl FnOnce(&mut [f32]) -> R) -> Result<R> {
        let change = Change { write: RefCell::new(Some(write)), result: RefCell::new(None) };
        self.value.inplace_op1(&change).map_err(engine)?;
        let result = change.result.into_inner();
        result.ok_or_else(|| Error::new(ErrorKind::Backend, format!("{}: not changed", self.name())))
    }
}

impl Gradient {
    /// The sum so far, as long as the values; nothing when nothing was added yet.
    pub fn get(&self) -> Option<&[f32]> {
        (!self.data.is_empty()).then_some(&self.data)
    }

    /// Whether every row may differ from zero.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// The rows of a table that may differ from zero, if it is not [`Gradient::is_whole`].
    pub fn touched_rows(&self) -> &[u32] {
        &self.rows
    }

    /// A buffer of `len` numbers to add to.
    pub(super) fn dense(&mut self, len: usize) -> &mut [f32] {
        self.whole = true;
        self.buffer(len)
    }

    fn buffer(&mut self, len: usize) -> &mut [f32] {
        if self.data.is_empty() {
            self.data = vec![0.0; len];
        }
        &mut self.data
    }

    /// A buffer of `len` numbers to add to in the rows `ids`.
    pub(super) fn rows(&mut self, len: usize, columns: usize, ids: &[u32]) -> &mut [f32] {
        self.touched.resize(len / columns, false);
        for &id in ids {
            if !std::mem::replace(&mut self.touched[id as usize], true) {
                self.rows.push(id);
            }
        }
        self.buffer(len)
    }

    /// Back to zero; a table's untouched rows are zero already.
    pub fn clear(&mut self, columns: usize) {
        self.for_each_block(columns, |block| block.fill(0.0));
        for row in self.rows.drain(..) {
            self.touched[row as usize] = false;
        }
        self.whole = false;
    }

    /// `Σ g²`, in `f64`, in a fixed order.
    pub fn squared_norm(&self, columns: usize) -> f64 {
        use rayon::prelude::*;
        let square = |block: &[f32]| f64::from(super::kernels::square_sum(block));
        if self.whole {
            let parts: Vec<f64> = self.data.par_chunks(4096).map(square).collect();
            parts.iter().sum()
        } else {
            self.rows.iter().map(|&row| square(&self.data[row as usize * columns..][..columns])).sum()
        }
    }

    fn for_each_block(&mut self, columns: usize, change: impl Fn(&mut [f32]) + Sync + Send) {
        use rayon::prelude::*;
        if self.whole {
            self.data.par_chunks_mut(1 << 15).for_each(change);
        } else {
            for &row in &self.rows {
                change(&mut self.data[row as usize * columns..][..columns]);
            }
        }
    }
}

/// A function on the values as candle wants it.
struct Change<F, R> {
    write: RefCell<Option<F>>,
    result: RefCell<Option<R>>,
}

impl<R, F: FnOnce(&mut [f32]) -> R> InplaceOp1 for Change<F, R> {
    fn name(&self) -> &'static str {
        "change"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &candle_core::Layout) -> candle_core::Result<()> {
        let (CpuStorage::F32(data), Some((from, to)), Some(write)) =
            (storage, layout.contiguous_offsets(), self.write.borrow_mut().take())
        else {
            candle_core::bail!("a parameter is contiguous f32 and is changed once");
        };
        *self.result.borrow_mut() = Some(write(&mut data[from..to]));
        Ok(())
    }
}
