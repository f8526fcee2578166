//! The device, what is compiled for it, and what is recorded for it.
//!
//! An operation only notes what it wants: the places of its tensors, a kernel and its parameters. When somebody asks for
//! numbers, all that was noted becomes one command encoder with one compute pass and is handed over at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::adapter::{Adapter, Opened, Options, Precision};
use super::arena::{Arena, Slot};
use super::clock::Clock;
use super::failure::{Failure, caught};
use super::kernels::{Kernel, Numbers, Tile, Weights};
use super::pipelines::{Layouts, Pipelines};
use super::readback::Readback;
use super::recording::{Command, Context, PARAMS, PIECE, Recording};
use super::weights::Packed;
use crate::backend::{Stored, Values};
use crate::error::{Error, ErrorKind, Result};

/// An opened device.
pub(super) struct Gpu {
    pub(super) adapter: Adapter,
    pub(super) failure: Arc<Failure>,
    pub(super) arena: Arc<Arena>,
    pub(super) device: wgpu::Device,
    queue: wgpu::Queue,
    layouts: Layouts,
    pipelines: Pipelines,
    precision: Precision,
    /// Bound where there is no bias.
    nothing: wgpu::BindGroup,
    recording: Mutex<Recording>,
    readback: Readback,
    created: AtomicUsize,
}

/// A dispatch to be.
pub(super) struct Dispatch<'a> {
    pub(super) kernel: Kernel,
    pub(super) params: &'a [u32],
    /// Numbers that it looks up, and which of the parameters says where they begin.
    pub(super) look_up: Option<(usize, Vec<u32>)>,
    /// The tensors that it reads and writes.
    pub(super) slots: &'a [&'a Slot],
    pub(super) groups: Option<[&'a wgpu::BindGroup; 2]>,
    /// Workgroups.
    pub(super) grid: [usize; 2],
}

impl Gpu {
    /// Opens a device, compiles all kernels and runs each once, so that the first answer does not wait for a compiler.
    pub(super) async fn open(options: Options) -> Result<Self> {
        let Opened { adapter, device, queue } = super::adapter::open(options).await?;
        let failure = Failure::of(&device);
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let layouts = Layouts::new(&device);
        let pipelines = Pipelines::new(&device, &layouts, &Pipelines::wanted(options, &adapter), options.checked);
        if let Some(error) = scope.pop().await {
            return Err(refused(&failure, &error));
        }
        let created = AtomicUsize::new(1);
        let nothing = vector_buffer(&device, 4);
        let nothing = layouts.vector(&device, &nothing);
        let recording = Mutex::new(Recording::new(&device, &layouts, &created));
        let most = usize::try_from(device.limits().max_storage_buffer_binding_size).unwrap_or(usize::MAX);
        // Places are 32-bit numbers, and buffers grow by pieces.
        let arena = Arena::new((most.min(u32::MAX as usize) / PIECE as usize * PIECE as usize) / 4);
        let readback = Readback::new(&device, &created);
        let precision = options.precision;
        let gpu = Self {
            adapter,
            failure,
            arena,
            device,
            queue,
            layouts,
            pipelines,
            precision,
            nothing,
            recording,
            readback,
            created,
        };
        gpu.warm_up().await?;
        Ok(gpu)
    }

    /// Every kernel once, with nothing to do.
    async fn warm_up(&self) -> Result<()> {
        let slot = self.arena.take(4)?;
        for &kernel in self.pipelines.kernels() {
            let groups = match kernel.weights() {
                Weights::None => None,
                Weights::Matrix => Some([&self.layouts.no_matrix, &self.nothing]),
                Weights::Vectors => Some([&self.nothing, &self.nothing]),
            };
            self.record(Dispatch { kernel, params: &[], look_up: None, slots: &[&slot], groups, grid: [1, 1] })?;
        }
        self.read(&slot, 4).await.map(drop)
    }

    /// Cuts all products up like that.
    pub(super) async fn use_tile(&mut self, tile: Option<Tile>) -> Result<()> {
        if let Some(tile) = tile.filter(|tile| !tile.fits()) {
            return Err(Error::new(ErrorKind::Shader, format!("{tile:?} does not divide into threads and steps")));
        }
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        self.pipelines.use_tile(&self.device, &self.layouts, tile);
        scope.pop().await.map_or(Ok(()), |error| Err(refused(&self.failure, &error)))
    }

    /// What a matrix of these parts is multiplied in.
    pub(super) fn numbers_of(&self, parts: &[Stored]) -> Numbers {
        let int8 = parts.iter().all(|part| matches!(part.values, Values::Int8 { .. }));
        match self.precision {
            Precision::Int8 if int8 && self.adapter.has_int8() => Numbers::Int8,
            Precision::F16 => Numbers::F16,
            Precision::Int8 | Precision::F32 => Numbers::F32,
        }
    }

    /// The kernel of a product `[rows, columns]`.
    pub(super) fn product(&self, numbers: Numbers, rows: usize, columns: usize) -> (Kernel, [usize; 2]) {
        self.pipelines.product(numbers, rows, columns)
    }

    /// A matrix on the device.
    pub(super) fn matrix_group(&self, packed: &Packed) -> Result<wgpu::BindGroup> {
        let weights = self.filled(&packed.weights)?;
        let scales = self.filled(&bytes(&packed.scales))?;
        Ok(self.layouts.matrix(&self.device, &weights, &scales))
    }

    /// A vector on the device.
    pub(super) fn vector_group(&self, values: &[f32]) -> Result<wgpu::BindGroup> {
        Ok(self.layouts.vector(&self.device, &self.filled(&bytes(values))?))
    }

    /// What is bound where there is no bias.
    pub(super) fn no_bias(&self) -> &wgpu::BindGroup {
        &self.nothing
    }

    fn filled(&self, contents: &[u8]) -> Result<wgpu::Buffer> {
        self.failure.check()?;
        let (size, most) = (contents.len() as u64, self.device.limits().max_storage_buffer_binding_size);
        if size > most {
            let message = format!("a weight of {size} bytes, the GPU binds at most {most}");
            return Err(Error::new(ErrorKind::GpuLimits, message));
        }
        self.created.fetch_add(1, Ordering::Relaxed);
        let buffer = vector_buffer(&self.device, size);
        self.queue.write_buffer(&buffer, 0, contents);
        Ok(buffer)
    }

    /// Notes a dispatch.
    pub(super) fn record(&self, dispatch: Dispatch<'_>) -> Result<()> {
        self.failure.check()?;
        let Dispatch { kernel, params, look_up, slots, groups, grid } = dispatch;
        if grid.iter().any(|&groups| groups > 65_535) {
            let message = format!("{}: {grid:?} workgroups are more than a GPU takes at once", kernel.name());
            return Err(Error::new(ErrorKind::Backend, format!("{message}: judge fewer windows")));
        }
        let mut padded = [0; PARAMS];
        padded[..params.len()].copy_from_slice(params);
        let command = Command {
            pipeline: self.pipelines.get(kernel)?,
            groups: groups.map(|groups| groups.map(Clone::clone)),
            grid: grid.map(|groups| groups as u32),
        };
        let mut recording = self.recording();
        slots.iter().for_each(|slot| slot.touch());
        // Under one lock: another thread may hand over, and so forget, what was noted before.
        if let Some((place, numbers)) = look_up {
            padded[place] = recording.numbers.len() as u32;
            recording.numbers.extend(numbers);
        }
        recording.commands.push(command);
        recording.params.push(padded);
        Ok(())
    }

    /// A place whose contents are `len` floats of the host, which `fill` writes over zeros.
    pub(super) fn upload(&self, len: usize, fill: impl FnOnce(&mut [f32]) -> Result<()>) -> Result<Arc<Slot>> {
        self.failure.check()?;
        let slot = self.arena.take_untouched(len)?;
        let mut recording = self.recording();
        slot.touch();
        recording.stage(slot.start(), len, fill)?;
        Ok(slot)
    }

    /// Hands over what was noted and brings `len` floats back.
    pub(super) async fn read(&self, slot: &Slot, len: usize) -> Result<Vec<f32>> {
        Ok(self.hand_over(slot, len, None).await?.0)
    }

    /// As [`Self::read`], with the kernels that ran and the seconds of each.
    pub(super) async fn read_timed(&self, slot: &Slot, len: usize) -> Result<(Vec<f32>, Vec<(Kernel, f64)>)> {
        if !self.adapter.has_timestamps() {
            return Err(Error::new(ErrorKind::Unsupported, "the GPU adapter has no timestamp-query"));
        }
        let clock = Clock::new(&self.device);
        let (values, kernels) = self.hand_over(slot, len, Some(&clock)).await?;
        let moments = self.readback.words(&self.device, &clock.read, 16 * kernels.len()).await?;
        let seconds = Clock::seconds(&moments, self.queue.get_timestamp_period());
        Ok((values, kernels.into_iter().zip(seconds).collect()))
    }

    /// Submits, waits, reads. With a clock also the kernels, in their order.
    async fn hand_over(&self, slot: &Slot, len: usize, clock: Option<&Clock>) -> Result<(Vec<f32>, Vec<Kernel>)> {
        self.failure.check()?;
        let (buffer, kernels, scopes) = {
            let mut recording = self.recording();
            let scopes = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Internal]
                .map(|filter| self.device.push_error_scope(filter));
            let timed = clock.map_or(&[][..], |_| &recording.commands);
            let kernels = timed.iter().map(|command| self.pipelines.kernels()[command.pipeline]).collect();
            let buffer = self.submit(&mut recording, slot.start(), len, clock);
            (buffer, kernels, scopes.into_iter().rev().map(wgpu::ErrorScopeGuard::pop).collect::<Vec<_>>())
        };
        let mut first = None;
        for error in scopes {
            first = first.or(error.await);
        }
        let values = match first {
            None => self.readback.floats(&self.device, &buffer, len).await,
            Some(error) => {
                // What was recorded is gone, and tensors of it hold nothing.
                self.failure.note(&error);
                Err(caught(&self.failure, &error))
            }
        };
        if values.is_err() {
            self.readback.settle(&self.device).await;
        }
        // On a lost device all that follows is noise.
        self.failure.check()?;
        let values = values?;
        self.readback.give_back(buffer);
        Ok((values, kernels))
    }

    fn submit(&self, recording: &mut Recording, start: usize, len: usize, clock: Option<&Clock>) -> wgpu::Buffer {
        let context = Context {
            device: &self.device,
            queue: &self.queue,
            layouts: &self.layouts,
            pipelines: &self.pipelines,
            created: &self.created,
            clock,
        };
        let buffer = recording.hand_over(&context, self.arena.len(), |encoder, arena| {
            let buffer = self.readback.take(&self.device, len, &self.created);
            encoder.copy_buffer_to_buffer(arena, 4 * start as u64, &buffer, 0, 4 * len as u64);
            buffer
        });
        recording.clear();
        self.arena.begin_recording();
        buffer
    }

    /// The buffers made so far.
    pub(super) fn buffers_created(&self) -> usize {
        self.created.load(Ordering::Relaxed)
    }

    /// The bytes of the arena.
    pub(super) fn arena_bytes(&self) -> usize {
        4 * self.arena.len()
    }

    fn recording(&self) -> MutexGuard<'_, Recording> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(failure: &Failure, error: &wgpu::Error) -> Error {
    let error = caught(failure, error);
    let kind = if error.kind() == ErrorKind::Backend { ErrorKind::Shader } else { error.kind() };
    Error::new(kind, format!("a GPU kernel was refused: {error}"))
}

pub(super) fn vector_buffer(device: &wgpu::Device, size: u64) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: size.max(16),
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

/// Little-endian bytes.
pub(super) fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
