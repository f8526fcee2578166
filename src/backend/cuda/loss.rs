//! Losses, their slopes, and where their values add up until somebody asks.

use super::device::Device;
use super::gradients::Gradients;
use super::launch::{Arg, Grid};
use super::memory::Buffer;
use super::operations::{width, widths};
use super::tensor::Tensor;
use crate::backend::top_words::TopWords;
use crate::backend::training::Term;
use crate::error::{Error, ErrorKind, Result};

/// The losses of a step, added up on the device.
pub(super) struct Losses {
    names: Vec<&'static str>,
    sums: Buffer,
}

/// Names of one step.
const MOST: usize = 64;

impl Losses {
    pub(super) fn new(device: &Device) -> Result<Self> {
        Ok(Self { names: Vec::new(), sums: device.zeros(4 * MOST)? })
    }

    /// A step begins: the first loss of each name is written, not added.
    pub(super) fn restart(&mut self) {
        self.names.clear();
    }

    /// Where the loss of a name adds up, and whether there is something to add to.
    fn place(&mut self, name: &'static str) -> Result<(Arg, bool)> {
        let known = self.names.iter().position(|known| *known == name);
        let at = known.unwrap_or(self.names.len());
        if at == MOST {
            return Err(Error::new(ErrorKind::Backend, format!("more than {MOST} losses")));
        }
        if known.is_none() {
            self.names.push(name);
        }
        Ok((Arg::U64(self.sums.at() + 4 * at as u64), known.is_some()))
    }

    /// Adds `weight · Σ parts`.
    fn add(&mut self, device: &Device, name: &'static str, parts: &Buffer, n: usize, weight: f32) -> Result<()> {
        let (to, sum) = self.place(name)?;
        let args = [to, parts.into(), n.into(), weight.into(), u32::from(sum).into()];
        device.launch("total", Grid::blocks(1, 1024), &args)
    }

    /// By name. Waits.
    pub(super) fn read(&self, device: &Device) -> Result<Vec<(&'static str, f64)>> {
        let sums = device.download(&self.sums, self.names.len().max(1))?;
        Ok(self.names.iter().zip(sums).map(|(name, sum)| (*name, f64::from(sum))).collect())
    }
}

/// What a loss is worked out with.
pub(super) struct Loser<'a> {
    pub(super) device: &'a Device,
    pub(super) losses: &'a mut Losses,
    pub(super) seeds: &'a mut Gradients,
    pub(super) name: &'static str,
    pub(super) weight: f32,
}

impl Loser<'_> {
    pub(super) fn lose(&mut self, term: Term<'_, Tensor>) -> Result<()> {
        match term {
            Term::CrossEntropy { logits, labels } => {
                if labels.len() != logits.rows || labels.iter().any(|&label| label as usize >= logits.columns) {
                    let message = format!("{} labels for logits {:?}", labels.len(), [logits.rows, logits.columns]);
                    return Err(Error::new(ErrorKind::Backend, message));
                }
                let labels = self.device.upload(labels)?;
                self.vocabulary(logits, Arg::from(&labels), Arg::U64(0), 1.0, false)
            }
            Term::Divergence { logits, teacher, temperature } => {
                same_shape(logits, teacher)?;
                self.vocabulary(logits, Arg::U64(0), teacher.arg(), temperature, false)
            }
            Term::SoftCrossEntropy { logits, teacher } => {
                same_shape(logits, teacher)?;
                self.vocabulary(logits, Arg::U64(0), teacher.arg(), 1.0, true)
            }
            Term::TopDivergence { logits, teacher } => self.cached(logits, teacher, false),
            Term::TopSoftCrossEntropy { logits, teacher } => self.cached(logits, teacher, true),
            Term::Cosine { x, teacher } => self.cosine(x, teacher),
            Term::MeanSquares { x, teacher } => self.elements(x, teacher, false),
            Term::MapDivergence { map, teacher } => self.elements(map, teacher, true),
        }
    }

    fn vocabulary(
        &mut self,
        logits: &Tensor,
        labels: Arg,
        teacher: Arg,
        temperature: f32,
        entropy: bool,
    ) -> Result<()> {
        let (device, rows) = (self.device, logits.rows);
        let (losses, weight) = (device.alloc(rows * 4)?, self.weight / rows.max(1) as f32);
        let (kernel, _) = width(device, widths!("vocabulary"), logits.stride);
        self.seeds.write(logits, |slope, sum| {
            let args = [
                (&losses).into(),
                slope.arg(),
                logits.arg(),
                labels,
                teacher,
                logits.columns.into(),
                logits.stride.into(),
                temperature.into(),
                u32::from(entropy).into(),
                weight.into(),
                u32::from(sum).into(),
            ];
            device.launch(kernel, Grid::blocks(rows, 256), &args)
        })?;
        self.losses.add(device, self.name, &losses, rows, weight)
    }

    /// Spreads the likeliest words out to logits that make the same distribution: of every word that was left out
    /// `T · (rest − ln n)`, where `n` words were.
    fn cached(&mut self, logits: &Tensor, teacher: &TopWords, entropy: bool) -> Result<()> {
        teacher.check(logits.rows, logits.columns)?;
        let (device, k) = (self.device, teacher.k);
        let left = (logits.columns - k) as f32;
        // Nothing that was left out has mass where there is nothing, or next to nothing.
        let flat = |rest: &f32| (teacher.temperature * (rest - left.max(1.0).ln())).max(-1e30);
        let flat: Vec<f32> = teacher.rest.iter().map(flat).collect();
        let [flat, kept] = [&flat, &teacher.logits].map(|values| device.upload(values));
        let (flat, kept, ids) = (flat?, kept?, device.upload(&teacher.ids)?);
        let spread = logits.like(device)?;
        let args = [
            spread.arg(),
            (&flat).into(),
            (&ids).into(),
            (&kept).into(),
            k.into(),
            logits.columns.into(),
            logits.stride.into(),
        ];
        device.launch("spread_words", Grid::blocks(logits.rows, 256), &args)?;
        self.vocabulary(logits, Arg::U64(0), spread.arg(), teacher.temperature, entropy)
    }

    fn cosine(&mut self, x: &Tensor, teacher: &Tensor) -> Result<()> {
        same_shape(x, teacher)?;
        let (device, rows) = (self.device, x.rows);
        let (losses, weight) = (device.alloc(rows * 4)?, self.weight / rows.max(1) as f32);
        self.seeds.write(x, |slope, sum| {
            let args = [
                (&losses).into(),
                slope.arg(),
                x.arg(),
                teacher.arg(),
                rows.into(),
                x.columns.into(),
                weight.into(),
                u32::from(sum).into(),
            ];
            device.launch("cosine", Grid::warps(rows), &args)
        })?;
        self.losses.add(device, self.name, &losses, rows, weight)
    }

    fn elements(&mut self, x: &Tensor, teacher: &Tensor, divergence: bool) -> Result<()> {
        same_shape(x, teacher)?;
        let (device, n) = (self.device, x.span());
        let grid = Grid { blocks: [n.div_ceil(256 * 32).clamp(1, 1 << 14), 1], threads: 256 };
        let (losses, weight) = (device.alloc(grid.blocks[0] * 4)?, self.weight / n.max(1) as f32);
        self.seeds.write(x, |slope, sum| {
            let args = [
                (&losses).into(),
                slope.arg(),
                x.arg(),
                teacher.arg(),
                n.into(),
                u32::from(divergence).into(),
                weight.into(),
                u32::from(sum).into(),
            ];
            device.launch("elements", grid, &args)
        })?;
        self.losses.add(device, self.name, &losses, grid.blocks[0], weight)
    }
}

fn same_shape(x: &Tensor, teacher: &Tensor) -> Result<()> {
    let shape = |x: &Tensor| [x.rows, x.columns, x.stride];
    if shape(x) == shape(teacher) {
        return Ok(());
    }
    let message = format!("a teacher of {:?} beside {:?}", shape(teacher), shape(x));
    Err(Error::new(ErrorKind::Backend, message))
}
