//! The way back of a look-up: many rows of a gradient go to few rows of a table. On the host the rows are sorted by what
//! they looked up and cut into runs; on the device each run is summed by a block of its own, and then the runs of a row.
//! The order of every sum is fixed, so that two runs of a program give the same bytes.

use super::device::Device;
use super::launch::{Arg, Grid};
use super::memory::Buffer;
use super::tensor::Tensor;
use crate::error::Result;

/// Rows of one run.
const RUN: usize = 32;

/// Where a sum of rows goes.
pub(super) enum Into<'a> {
    /// The gradient of a table, `f32`.
    Weight(&'a Buffer),
    /// The gradient of an activation.
    Rows(&'a Tensor),
}

/// Row numbers sorted by what they looked up, on the device.
pub(super) struct Runs {
    order: Buffer,
    starts: Buffer,
    targets: Buffer,
    first_run: Buffer,
    /// How many runs and how many targets.
    counts: [usize; 2],
}

impl Runs {
    pub(super) fn new(device: &Device, ids: &[u32]) -> Result<Self> {
        let Sorted { order, starts, targets, first_run } = Sorted::new(ids);
        Ok(Self {
            counts: [starts.len() - 1, targets.len()],
            order: device.upload(&order)?,
            starts: device.upload(&starts)?,
            targets: device.upload(&targets)?,
            first_run: device.upload(&first_run)?,
        })
    }

    /// Adds each row of `grad` `[R, h]` to the row that its id names.
    pub(super) fn add(&self, device: &Device, grad: &Tensor, to: Into<'_>) -> Result<()> {
        let ([runs, targets], h) = (self.counts, grad.columns);
        let partial = device.alloc(runs * h * 4)?;
        let threads = h.next_multiple_of(32).min(512);
        let args = [(&partial).into(), grad.arg(), (&self.order).into(), (&self.starts).into(), h.into()];
        device.launch("sum_runs", Grid::blocks(runs, threads), &args)?;
        let (name, to): (_, Arg) = match to {
            Into::Weight(gradient) => ("add_runs_to_weight", gradient.into()),
            Into::Rows(gradient) => ("add_runs_to_rows", gradient.arg()),
        };
        let args = [to, (&partial).into(), (&self.targets).into(), (&self.first_run).into(), h.into()];
        device.launch(name, Grid::blocks(targets, threads), &args)
    }
}

/// Row numbers sorted by what they looked up.
struct Sorted {
    order: Vec<u32>,
    /// Where each run begins in `order`, and where the last one ends.
    starts: Vec<u32>,
    /// What was looked up, each once.
    targets: Vec<u32>,
    /// Which run is the first of each target, and how many there are.
    first_run: Vec<u32>,
}

impl Sorted {
    fn new(ids: &[u32]) -> Self {
        let mut sorted = Self { order: by_id(ids), starts: vec![], targets: vec![], first_run: vec![] };
        let mut at = 0;
        for group in sorted.order.chunk_by(|&a, &b| ids[a as usize] == ids[b as usize]) {
            sorted.targets.push(ids[group[0] as usize]);
            sorted.first_run.push(sorted.starts.len() as u32);
            sorted.starts.extend((0..group.len()).step_by(RUN).map(|from| (at + from) as u32));
            at += group.len();
        }
        sorted.first_run.push(sorted.starts.len() as u32);
        sorted.starts.push(at as u32);
        sorted
    }
}

/// Row numbers by their ids, equal ids in order: by counting, as ids are rows of a table.
fn by_id(ids: &[u32]) -> Vec<u32> {
    let most = ids.iter().copied().max().map_or(0, |id| id as usize + 1);
    let mut next = vec![0u32; most + 1];
    ids.iter().for_each(|&id| next[id as usize + 1] += 1);
    (0..most).for_each(|id| next[id + 1] += next[id]);
    let mut order = vec![0u32; ids.len()];
    for (row, &id) in ids.iter().enumerate() {
        order[next[id as usize] as usize] = row as u32;
        next[id as usize] += 1;
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ids_lie_together_in_order() {
        let sorted = Sorted::new(&[6, 2, 2, 0, 6]);
        assert_eq!(sorted.order, [3, 1, 2, 0, 4]);
        assert_eq!(
            (sorted.targets, sorted.first_run, sorted.starts),
            (vec![0, 2, 6], vec![0, 1, 2, 3], vec![0, 1, 3, 5])
        );
    }

    #[test]
    fn a_long_group_is_several_runs() {
        let sorted = Sorted::new(&[7; 70]);
        assert_eq!((sorted.targets, sorted.first_run, sorted.starts), (vec![7], vec![0, 3], vec![0, 32, 64, 70]));
    }
}
