//! Whether what an operation is given fits together: asked by every engine that trains before it begins.

use std::ops::Range;

use super::Lengths;
use super::training::Layout;
use crate::error::{Error, ErrorKind, Result};

/// Ids of equal length, each a row of its table.
pub(super) fn check_embed<'a>(sources: impl Iterator<Item = (&'a Layout, &'a [u32])>) -> Result<()> {
    let mut rows = None;
    for (table, ids) in sources {
        let expected = *rows.get_or_insert(ids.len());
        if ids.len() != expected {
            let message = format!("{}: {} ids beside {expected}", table.name(), ids.len());
            return Err(Error::new(ErrorKind::Backend, message));
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= table.rows()) {
            let message = format!("{}: id {id} in a table of {} rows", table.name(), table.rows());
            return Err(Error::new(ErrorKind::Input, message));
        }
    }
    Ok(())
}

/// Rows as wide as a weight takes them.
pub(super) fn check_columns(found: [usize; 2], columns: usize, name: &str) -> Result<()> {
    if found[1] == columns {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Backend, format!("{name}: expected [rows, {columns}], found {found:?}")))
}

/// A residual of the same shape, if there is one.
pub(super) fn check_residual(x: [usize; 2], residual: Option<[usize; 2]>) -> Result<()> {
    match residual {
        Some(residual) if residual != x => {
            Err(Error::new(ErrorKind::Backend, format!("a residual {residual:?} beside {x:?}")))
        }
        _ => Ok(()),
    }
}

/// Rows that are there.
pub(super) fn check_rows(len: usize, rows: &[u32]) -> Result<()> {
    match rows.iter().find(|&&row| row as usize >= len) {
        Some(row) => Err(Error::new(ErrorKind::Backend, format!("row {row} of {len}"))),
        None => Ok(()),
    }
}

/// Columns that are there.
pub(super) fn check_range(h: usize, columns: &Range<usize>) -> Result<()> {
    if columns.is_empty() || columns.end > h {
        return Err(Error::new(ErrorKind::Backend, format!("columns {columns:?} of {h}")));
    }
    Ok(())
}

/// Lengths of all rows.
pub(super) fn check_trigram(rows: usize, lengths: &Lengths) -> Result<()> {
    if lengths.rows() != rows {
        let message = format!("trigrams of {rows} rows, lengths of {}", lengths.rows());
        return Err(Error::new(ErrorKind::Backend, message));
    }
    Ok(())
}

/// Query, key and value of one width, a multiple of the heads: the sum of the widths of all heads.
pub(super) fn check_attention(parts: &[[usize; 2]], heads: usize, lengths: &Lengths) -> Result<usize> {
    let (rows, columns) = (parts[0][0], parts.iter().map(|part| part[1]).sum::<usize>());
    let hidden = columns / 3;
    // Apart, query and key are twice as wide as the value.
    let apart = parts.len() == 1 || (parts[1][0] == rows && parts[1][1] == hidden);
    if heads == 0 || columns != 3 * hidden || !hidden.is_multiple_of(heads) || !apart || lengths.rows() != rows {
        let message = format!("attention of {heads} heads on {parts:?}, lengths of {}", lengths.rows());
        return Err(Error::new(ErrorKind::Backend, message));
    }
    Ok(hidden)
}
