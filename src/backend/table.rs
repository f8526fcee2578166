//! Rows that are looked up: on the CPU, for every engine that has no table of its own.

use super::{Stored, Values};
use crate::error::{Error, ErrorKind, Result};

/// Rows to look up, `[rows, columns]`, as they lie in the file.
pub struct Table {
    rows: usize,
    columns: usize,
    values: Values,
}

impl Table {
    pub(super) fn new(stored: Stored) -> Result<Self> {
        check(&stored)?;
        Ok(Self { rows: stored.rows, columns: stored.columns, values: stored.values })
    }

    /// Adds row `ids[i]` to row `i`, rows `stride` apart.
    pub(super) fn add_rows(&self, ids: &[u32], out: &mut [f32], stride: usize) -> Result<()> {
        let columns = self.columns;
        for (to, &id) in out.chunks_exact_mut(stride).zip(ids) {
            let id = id as usize;
            if id >= self.rows {
                let message = format!("embed: id {id} is outside a table of {} rows", self.rows);
                return Err(Error::new(ErrorKind::Backend, message));
            }
            let range = id * columns..(id + 1) * columns;
            match &self.values {
                Values::F32(data) => to.iter_mut().zip(&data[range]).for_each(|(to, from)| *to += from),
                Values::Int8 { data, scales } => {
                    let scale = scales[id];
                    to.iter_mut().zip(&data[range]).for_each(|(to, &from)| *to += f32::from(from) * scale);
                }
            }
        }
        Ok(())
    }
}

/// The rows and columns of the sum of these rows.
pub(super) fn embedded(sources: &[(&Table, &[u32])]) -> Result<[usize; 2]> {
    let Some((first, ids)) = sources.first() else {
        return Err(Error::new(ErrorKind::Backend, "embed: no table"));
    };
    let shape = [ids.len(), first.columns];
    match sources.iter().map(|(table, ids)| [ids.len(), table.columns]).find(|found| *found != shape) {
        Some(found) => Err(Error::new(ErrorKind::Backend, format!("embed: expected {shape:?}, found {found:?}"))),
        None => Ok(shape),
    }
}

/// Whether a weight has as many numbers as its shape says.
pub(super) fn check(part: &Stored) -> Result<()> {
    let expected = part.rows.saturating_mul(part.columns);
    let (found, scales) = match &part.values {
        Values::F32(data) => (data.len(), part.rows),
        Values::Int8 { data, scales } => (data.len(), scales.len()),
    };
    if expected == 0 || found != expected || scales != part.rows {
        let shape = format!("[{}, {}]", part.rows, part.columns);
        let message = format!("weight {:?}: expected {shape}, found {found} values and {scales} scales", part.name);
        return Err(Error::new(ErrorKind::Weights, message));
    }
    Ok(())
}
