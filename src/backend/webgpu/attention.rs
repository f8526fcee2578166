//! Attention: which kernel, and what it is told.

use super::arena::Slot;
use super::gpu::Dispatch;
use super::kernels::{self, Kernel};
use super::shapes::{self, refuse};
use super::{Tensor, WebGpuBackend, pipelines};
use crate::backend::{Lengths, Qkv};
use crate::error::Result;

/// Where query, key and value begin in the arena, and how far their rows are apart.
struct Parts<'a> {
    query_key: &'a Tensor,
    value: &'a Tensor,
    starts: [u32; 3],
    width: u32,
    heads: u32,
}

impl Parts<'_> {
    /// What the parameters of all kernels begin with, after the first two.
    fn params(&self) -> [u32; 5] {
        let [query, key, value] = self.starts;
        [query, key, value, self.query_key.stride() as u32, self.value.stride() as u32]
    }
}

impl WebGpuBackend {
    /// Shapes are those of [`crate::backend::Backend::attention`].
    pub(super) fn attend(&self, qkv: Qkv<'_, Tensor>, heads: usize, lengths: &Lengths) -> Result<Tensor> {
        let hidden = shapes::attention(qkv, heads, lengths)?;
        let width = hidden / heads;
        let Some(quads) = pipelines::head_quads(width) else {
            return refuse(format!("attention: heads of {width} columns, at most 128 are implemented"));
        };
        let (query_key, value, value_start) = match qkv {
            Qkv::Joined(x) => (x, x, x.start() + 2 * hidden as u32),
            Qkv::Apart { query_key, value } => (query_key, value, value.start()),
        };
        let starts = [query_key.start(), query_key.start() + hidden as u32, value_start];
        let parts = Parts { query_key, value, starts, width: width as u32, heads: heads as u32 };
        let out = self.tensor(query_key.rows, hidden)?;
        if query_key.exact && value.exact {
            self.attend_exactly(&parts, lengths, Kernel::AttentionExact(quads), &out)?;
        } else {
            self.attend_in_floats(&parts, lengths, Kernel::Attention(quads), &out)?;
        }
        Ok(out)
    }

    fn attend_in_floats(&self, parts: &Parts<'_>, lengths: &Lengths, kernel: Kernel, out: &Tensor) -> Result<()> {
        let tiles = kernels::attention::tiles(lengths);
        let grid = [tiles.len(), parts.heads as usize];
        let scale = kernels::attention::scale(parts.width as usize).to_bits();
        let ends = [out.start(), out.stride() as u32, 0, scale];
        let params = [&[parts.width, out.columns as u32][..], &parts.params(), &ends].concat();
        let slots: &[&Slot] = &[&parts.query_key.slot, &parts.value.slot, &out.slot];
        let look_up = Some((params.len() - 2, tiles.into_iter().flatten().collect()));
        self.gpu.record(Dispatch { kernel, params: &params, look_up, slots, groups: None, grid })
    }

    /// In integers, as the CPU: first what they stand for, head by head.
    fn attend_exactly(&self, parts: &Parts<'_>, lengths: &Lengths, kernel: Kernel, out: &Tensor) -> Result<()> {
        let sequences: Vec<u32> = lengths.ranges().flat_map(|rows| [rows.start as u32, rows.len() as u32]).collect();
        let heads = parts.heads as usize;
        let scales = self.gpu.arena.take(sequences.len() / 2 * heads * 8)?;
        let (at, scale) = (scales.start() as u32, kernels::attention::scale(parts.width as usize).to_bits());
        let slots: &[&Slot] = &[&parts.query_key.slot, &parts.value.slot, &scales, &out.slot];

        let grid = [sequences.len() / 2, heads];
        let params = [&[parts.width, parts.heads][..], &parts.params(), &[at, 0, scale]].concat();
        let look_up = Some((params.len() - 2, sequences));
        self.gpu.record(Dispatch {
            kernel: Kernel::HeadScales,
            params: &params,
            look_up,
            slots,
            groups: None,
            grid,
        })?;

        let tiles = kernels::attention_exact::tiles(lengths);
        let grid = [tiles.len(), heads];
        let ends = [out.start(), out.stride() as u32, 0, 0, at, parts.heads];
        let params = [&[parts.width, out.columns as u32][..], &parts.params(), &ends].concat();
        let look_up = Some((params.len() - 4, tiles.into_iter().flatten().collect()));
        self.gpu.record(Dispatch { kernel, params: &params, look_up, slots, groups: None, grid })
    }
}
