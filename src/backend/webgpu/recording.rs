//! What has been noted and not yet handed to the device, and the buffers through which it goes.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::clock::Clock;
use super::pipelines::{Layouts, PARAMS_STRIDE, Pipelines};
use crate::error::Result;

/// Words of a kernel's parameters.
pub(super) const PARAMS: usize = 16;

/// Buffers grow by whole pieces of this many bytes.
pub(super) const PIECE: u64 = 1 << 16;

/// A dispatch.
pub(super) struct Command {
    pub(super) pipeline: usize,
    pub(super) groups: Option<[wgpu::BindGroup; 2]>,
    pub(super) grid: [u32; 2],
}

/// Numbers of the host on their way to the arena.
struct Upload {
    /// Where they go, in floats.
    to: usize,
    from: std::ops::Range<usize>,
}

/// Everything noted since the last time.
pub(super) struct Recording {
    pub(super) commands: Vec<Command>,
    /// Of each command.
    pub(super) params: Vec<[u32; PARAMS]>,
    /// What kernels look up.
    pub(super) numbers: Vec<u32>,
    staged: Vec<f32>,
    uploads: Vec<Upload>,
    buffers: Buffers,
    bytes: Vec<u8>,
}

/// The buffers of group 0. They grow and are never made anew for a smaller batch.
struct Buffers {
    arena: wgpu::Buffer,
    numbers: wgpu::Buffer,
    params: wgpu::Buffer,
    group: wgpu::BindGroup,
}

/// What handing over needs.
pub(super) struct Context<'a> {
    pub(super) device: &'a wgpu::Device,
    pub(super) queue: &'a wgpu::Queue,
    pub(super) layouts: &'a Layouts,
    pub(super) pipelines: &'a Pipelines,
    pub(super) created: &'a AtomicUsize,
    /// Times each command, in a pass of its own.
    pub(super) clock: Option<&'a Clock>,
}

impl Recording {
    pub(super) fn new(device: &wgpu::Device, layouts: &Layouts, created: &AtomicUsize) -> Self {
        let arena = buffer(device, PIECE, ARENA, created);
        let numbers = buffer(device, PIECE, NUMBERS, created);
        let params = buffer(device, PIECE, UNIFORM, created);
        let group = layouts.common(device, &arena, &numbers, &params);
        let buffers = Buffers { arena, numbers, params, group };
        let (commands, params, numbers, staged) = Default::default();
        Self { commands, params, numbers, staged, uploads: Vec::new(), buffers, bytes: Vec::new() }
    }

    /// Takes `len` floats for the place `to`.
    pub(super) fn stage(&mut self, to: usize, len: usize, fill: impl FnOnce(&mut [f32]) -> Result<()>) -> Result<()> {
        let start = self.staged.len();
        self.staged.resize(start + len, 0.0);
        if let Err(error) = fill(&mut self.staged[start..]) {
            self.staged.truncate(start);
            return Err(error);
        }
        self.uploads.push(Upload { to, from: start..start + len });
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.commands.clear();
        self.params.clear();
        self.numbers.clear();
        self.staged.clear();
        self.uploads.clear();
    }

    /// Writes, encodes and submits; `end` adds to the encoder after the last dispatch. `len` floats of arena are in use.
    pub(super) fn hand_over<T>(
        &mut self,
        context: &Context<'_>,
        len: usize,
        end: impl FnOnce(&mut wgpu::CommandEncoder, &wgpu::Buffer) -> T,
    ) -> T {
        self.grow(context, len);
        self.write(context.queue);
        let mut encoder = context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.encode(context, &mut encoder);
        let done = end(&mut encoder, &self.buffers.arena);
        context.queue.submit([encoder.finish()]);
        done
    }

    fn write(&mut self, queue: &wgpu::Queue) {
        for Upload { to, from } in &self.uploads {
            fill_bytes(&mut self.bytes, self.staged[from.clone()].iter().map(|value| value.to_bits()));
            queue.write_buffer(&self.buffers.arena, 4 * *to as u64, &self.bytes);
        }
        if !self.numbers.is_empty() {
            fill_bytes(&mut self.bytes, self.numbers.iter().copied());
            queue.write_buffer(&self.buffers.numbers, 0, &self.bytes);
        }
        if !self.params.is_empty() {
            let gap = [0; PARAMS_STRIDE as usize / 4 - PARAMS];
            fill_bytes(&mut self.bytes, self.params.iter().flat_map(|params| params.iter().chain(&gap)).copied());
            queue.write_buffer(&self.buffers.params, 0, &self.bytes);
        }
    }

    fn encode(&self, context: &Context<'_>, encoder: &mut wgpu::CommandEncoder) {
        if let Some(clock) = context.clock {
            for i in 0..self.commands.len() {
                let timestamp_writes = clock.writes(i);
                let description = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
                self.dispatch(context, &mut encoder.begin_compute_pass(&description), i);
            }
            clock.resolve(encoder, self.commands.len());
            return;
        }
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for i in 0..self.commands.len() {
            self.dispatch(context, &mut pass, i);
        }
    }

    fn dispatch(&self, context: &Context<'_>, pass: &mut wgpu::ComputePass<'_>, i: usize) {
        let Command { pipeline, groups, grid: [x, y] } = &self.commands[i];
        pass.set_pipeline(context.pipelines.compiled(*pipeline));
        pass.set_bind_group(0, &self.buffers.group, &[(i as u64 * PARAMS_STRIDE) as u32]);
        for (at, group) in (1..).zip(groups.iter().flatten()) {
            pass.set_bind_group(at, group, &[]);
        }
        pass.dispatch_workgroups(*x, *y, 1);
    }

    /// Makes room for `len` floats of arena, and for what is written.
    fn grow(&mut self, context: &Context<'_>, len: usize) {
        let Context { device, queue, layouts, created, .. } = context;
        let size = (4 * len as u64).next_multiple_of(PIECE);
        let mut grown = false;
        if size > self.buffers.arena.size() {
            let arena = buffer(device, size, ARENA, created);
            // Tensors of earlier passes may still be in use.
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(&self.buffers.arena, 0, &arena, 0, self.buffers.arena.size());
            queue.submit([encoder.finish()]);
            self.buffers.arena = arena;
            grown = true;
        }
        let rest = [
            (4 * self.numbers.len() as u64, &mut self.buffers.numbers, NUMBERS),
            (PARAMS_STRIDE * self.params.len() as u64, &mut self.buffers.params, UNIFORM),
        ];
        for (size, old, usage) in rest {
            if size > old.size() {
                *old = buffer(device, size.next_power_of_two(), usage, created);
                grown = true;
            }
        }
        if grown {
            let Buffers { arena, numbers, params, group } = &mut self.buffers;
            *group = layouts.common(device, arena, numbers, params);
        }
    }
}

const ARENA: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_DST).union(wgpu::BufferUsages::COPY_SRC);
const NUMBERS: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_DST);
const UNIFORM: wgpu::BufferUsages = wgpu::BufferUsages::UNIFORM.union(wgpu::BufferUsages::COPY_DST);

pub(super) fn buffer(
    device: &wgpu::Device,
    size: u64,
    usage: wgpu::BufferUsages,
    created: &AtomicUsize,
) -> wgpu::Buffer {
    created.fetch_add(1, Ordering::Relaxed);
    device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
}

fn fill_bytes(bytes: &mut Vec<u8>, words: impl Iterator<Item = u32>) {
    bytes.clear();
    bytes.extend(words.flat_map(u32::to_le_bytes));
}
