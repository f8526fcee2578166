//! The way back of a look-up: many rows of a gradient go to few rows of a table. On the host the rows are sorted by what
//! they looked up and cut into runs; on the device each run is summed by a block of its own, and then the runs of a row.
//! The order of every sum is fixed, so that two runs of a program give the same bytes.

use super::device::{Arg, Buffer, Device, Grid};
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

/// Row numbers sorted by what they looked up.
struct Runs {
    order: Vec<u32>,
    /// Where each run begins in `order`, and where the last one ends.
    starts: Vec<u32>,
    /// What was looked up, each once.
    targets: Vec<u32>,
    /// Which run is the first of each target, and how many there are.
    first_run: Vec<u32>,
}

impl Runs {
    fn new(ids: &[u32]) -> Self {
        let mut order: Vec<u32> = (0..ids.len() as u32).collect();
        order.sort_by_key(|&row| ids[row as usize]); // stable: equal ids stay in order
        let mut runs = Self { order, starts: vec![], targets: vec![], first_run: vec![] };
        let mut at = 0;
        for group in runs.order.chunk_by(|&a, &b| ids[a as usize] == ids[b as usize]) {
            runs.targets.push(ids[group[0] as usize]);
            runs.first_run.push(runs.starts.len() as u32);
            runs.starts.extend((0..group.len()).step_by(RUN).map(|from| (at + from) as u32));
            at += group.len();
        }
        runs.first_run.push(runs.starts.len() as u32);
        runs.starts.push(at as u32);
        runs
    }
}

/// Adds each row of `grad` `[R, h]` to the row that its id names.
pub(super) fn add_rows(device: &Device, grad: &Tensor, ids: &[u32], to: Into<'_>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let runs = Runs::new(ids);
    let (h, blocks) = (grad.columns, runs.starts.len() - 1);
    let partial = device.alloc(blocks * h * 4)?;
    let (order, starts) = (device.upload(&runs.order)?, device.upload(&runs.starts)?);
    let threads = h.next_multiple_of(32).min(512);
    let args = [(&partial).into(), grad.arg(), (&order).into(), (&starts).into(), h.into()];
    device.launch("sum_runs", Grid::blocks(blocks, threads), &args)?;
    let (targets, first_run) = (device.upload(&runs.targets)?, device.upload(&runs.first_run)?);
    let (name, to): (_, Arg) = match to {
        Into::Weight(gradient) => ("add_runs_to_weight", gradient.into()),
        Into::Rows(gradient) => ("add_runs_to_rows", gradient.arg()),
    };
    let args = [to, (&partial).into(), (&targets).into(), (&first_run).into(), h.into()];
    device.launch(name, Grid::blocks(runs.targets.len(), threads), &args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ids_lie_together_in_order() {
        let runs = Runs::new(&[6, 2, 2, 0, 6]);
        assert_eq!(runs.order, [3, 1, 2, 0, 4]);
        assert_eq!((runs.targets, runs.first_run, runs.starts), (vec![0, 2, 6], vec![0, 1, 2, 3], vec![0, 1, 3, 5]));
    }

    #[test]
    fn a_long_group_is_several_runs() {
        let runs = Runs::new(&[7; 70]);
        assert_eq!((runs.targets, runs.first_run, runs.starts), (vec![7], vec![0, 3], vec![0, 32, 64, 70]));
    }
}
