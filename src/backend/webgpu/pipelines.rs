//! Bind group layouts, and the kernels compiled.
//!
//! Group 0 is the same for all: the arena, numbers to look up, parameters. A matrix is group 1 and a bias group 2; of a norm
//! the weight is group 1 and the bias group 2.

use super::adapter::{Adapter, Options, Precision};
use super::gpu::vector_buffer;
use super::kernels::{Kernel, Numbers, Tile, Weights};
use crate::error::{Error, ErrorKind, Result};

/// From one set of parameters to the next: the least alignment that every WebGPU takes.
pub(super) const PARAMS_STRIDE: u64 = 256;

/// Quads of a head for which attention is compiled.
const HEADS: [usize; 4] = [4, 8, 16, 32];

/// Up to so many rows, `linear_small` makes a product.
const FEW_ROWS: usize = 8;

/// How products are cut up, the largest first: a smaller one where that makes too few workgroups to fill a GPU.
const TILES: [Tile; 3] = [
    Tile { rows: 64, columns: 64, depth: 16, thread_rows: 8, thread_quads: 1 },
    Tile { rows: 32, columns: 64, depth: 16, thread_rows: 4, thread_quads: 1 },
    Tile { rows: 32, columns: 32, depth: 16, thread_rows: 4, thread_quads: 1 },
];

/// Workgroups that fill one: two for each of the 132 processors of an H200.
const ENOUGH: usize = 264;

/// How buffers are bound.
pub(super) struct Layouts {
    common: wgpu::BindGroupLayout,
    matrix: wgpu::BindGroupLayout,
    vector: wgpu::BindGroupLayout,
    /// A matrix of nothing, for the first run of the kernels.
    pub(super) no_matrix: wgpu::BindGroup,
}

impl Layouts {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        let common = layout(device, &[storage(false), storage(true), params()]);
        let matrix = layout(device, &[storage(true), storage(true)]);
        let vector = layout(device, &[storage(true)]);
        // As much as one tile reads.
        let nothing = vector_buffer(device, 4096);
        let no_matrix = group(device, &matrix, &[nothing.as_entire_binding(), nothing.as_entire_binding()]);
        Self { common, matrix, vector, no_matrix }
    }

    pub(super) fn common(
        &self,
        device: &wgpu::Device,
        arena: &wgpu::Buffer,
        numbers: &wgpu::Buffer,
        params: &wgpu::Buffer,
    ) -> wgpu::BindGroup {
        let one = wgpu::BufferBinding { buffer: params, offset: 0, size: wgpu::BufferSize::new(PARAMS_BYTES) };
        let entries = [arena.as_entire_binding(), numbers.as_entire_binding(), wgpu::BindingResource::Buffer(one)];
        group(device, &self.common, &entries)
    }

    pub(super) fn matrix(
        &self,
        device: &wgpu::Device,
        weights: &wgpu::Buffer,
        scales: &wgpu::Buffer,
    ) -> wgpu::BindGroup {
        group(device, &self.matrix, &[weights.as_entire_binding(), scales.as_entire_binding()])
    }

    pub(super) fn vector(&self, device: &wgpu::Device, values: &wgpu::Buffer) -> wgpu::BindGroup {
        group(device, &self.vector, &[values.as_entire_binding()])
    }

    fn pipeline(&self, device: &wgpu::Device, weights: Weights) -> wgpu::PipelineLayout {
        let (common, vector) = (Some(&self.common), Some(&self.vector));
        let all = match weights {
            Weights::None => vec![common],
            Weights::Matrix => vec![common, Some(&self.matrix), vector],
            Weights::Vectors => vec![common, vector, vector],
        };
        device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &all,
            immediate_size: 0,
        })
    }
}

/// The bytes of a kernel's parameters.
const PARAMS_BYTES: u64 = 4 * super::recording::PARAMS as u64;

fn storage(read_only: bool) -> wgpu::BindingType {
    let ty = wgpu::BufferBindingType::Storage { read_only };
    wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None }
}

fn params() -> wgpu::BindingType {
    let ty = wgpu::BufferBindingType::Uniform;
    wgpu::BindingType::Buffer { ty, has_dynamic_offset: true, min_binding_size: None }
}

fn layout(device: &wgpu::Device, types: &[wgpu::BindingType]) -> wgpu::BindGroupLayout {
    let entry = |(binding, &ty)| wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty,
        count: None,
    };
    let entries: Vec<_> = types.iter().enumerate().map(entry).collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries })
}

fn group(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    resources: &[wgpu::BindingResource<'_>],
) -> wgpu::BindGroup {
    let numbered = resources.iter().cloned().enumerate();
    let entries: Vec<_> =
        numbered.map(|(at, resource)| wgpu::BindGroupEntry { binding: at as u32, resource }).collect();
    device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
}

/// The kernels, compiled.
pub(super) struct Pipelines {
    kernels: Vec<Kernel>,
    compiled: Vec<wgpu::ComputePipeline>,
    /// For all products, if it has been chosen.
    tile: Option<Tile>,
    /// Whether kernels are compiled with tests of their indices.
    checked: bool,
}

impl Pipelines {
    /// The kernels that an engine of these options may run.
    pub(super) fn wanted(options: Options, adapter: &Adapter) -> Vec<Kernel> {
        let mut numbers = vec![Numbers::F32];
        match options.precision {
            // Weights that the file has as f32 stay so.
            Precision::Int8 if adapter.has_int8() => numbers.push(Numbers::Int8),
            Precision::F16 => numbers = vec![Numbers::F16],
            Precision::Int8 | Precision::F32 => (),
        }
        let mut kernels = vec![Kernel::Add, Kernel::AddNorm, Kernel::Columns, Kernel::Rows, Kernel::Trigram];
        kernels.extend(HEADS.map(Kernel::Attention));
        if numbers.contains(&Numbers::Int8) {
            kernels.extend([Kernel::Quantize, Kernel::HeadScales]);
            kernels.extend(HEADS.map(Kernel::AttentionExact));
        }
        for numbers in numbers {
            kernels.extend(TILES.map(|tile| Kernel::Linear(numbers, tile)));
            kernels.push(Kernel::LinearSmall(numbers));
        }
        kernels
    }

    /// Compiles them; what a compiler refuses is told to the error scope.
    pub(super) fn new(device: &wgpu::Device, layouts: &Layouts, kernels: &[Kernel], checked: bool) -> Self {
        let mut pipelines = Self { kernels: Vec::new(), compiled: Vec::new(), tile: None, checked };
        kernels.iter().for_each(|&kernel| pipelines.add(device, layouts, kernel));
        pipelines
    }

    fn add(&mut self, device: &wgpu::Device, layouts: &Layouts, kernel: Kernel) {
        let source = wgpu::ShaderSource::Wgsl(kernel.source().into());
        let label = Some(kernel.name());
        let description = wgpu::ShaderModuleDescriptor { label, source };
        let module = match self.checked {
            true => device.create_shader_module(description),
            // Safety: every loop of every kernel ends, and every index lies in its array: what is not a constant is bounded by a
            // test or a minimum beside it. `tests/webgpu` runs all of them with checks too.
            false => unsafe {
                device.create_shader_module_trusted(description, wgpu::ShaderRuntimeChecks::unchecked())
            },
        };
        self.compiled.push(device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&layouts.pipeline(device, kernel.weights())),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        }));
        self.kernels.push(kernel);
    }

    /// Cuts all products of more than a few rows up like that; without a tile by their shape.
    pub(super) fn use_tile(&mut self, device: &wgpu::Device, layouts: &Layouts, tile: Option<Tile>) {
        self.tile = tile;
        let numbers = self.kernels.iter().filter_map(|kernel| match kernel {
            Kernel::LinearSmall(numbers) => Some(*numbers),
            _ => None,
        });
        for numbers in numbers.collect::<Vec<_>>() {
            let kernel = tile.map(|tile| Kernel::Linear(numbers, tile));
            if let Some(kernel) = kernel.filter(|kernel| !self.kernels.contains(kernel)) {
                self.add(device, layouts, kernel);
            }
        }
    }

    pub(super) fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    /// The number of a kernel.
    pub(super) fn get(&self, kernel: Kernel) -> Result<usize> {
        let missing = || Error::new(ErrorKind::Backend, format!("the kernel {} was not compiled", kernel.name()));
        self.kernels.iter().position(|&known| known == kernel).ok_or_else(missing)
    }

    /// The kernel of that number.
    pub(super) fn compiled(&self, number: usize) -> &wgpu::ComputePipeline {
        &self.compiled[number]
    }

    /// The kernel that makes a product of that shape, and its workgroups.
    pub(super) fn product(&self, numbers: Numbers, rows: usize, columns: usize) -> (Kernel, [usize; 2]) {
        if rows <= FEW_ROWS {
            return (Kernel::LinearSmall(numbers), [columns.div_ceil(64), rows]);
        }
        let groups = |tile: Tile| [columns.div_ceil(tile.columns), rows.div_ceil(tile.rows)];
        let fills = |tile: &Tile| groups(*tile).iter().product::<usize>() >= ENOUGH;
        let [.., smallest] = TILES;
        let tile = self.tile.or(TILES.into_iter().find(fills)).unwrap_or(smallest);
        (Kernel::Linear(numbers, tile), groups(tile))
    }
}

/// The quads for which attention over heads of that width is compiled.
pub(super) fn head_quads(width: usize) -> Option<usize> {
    HEADS.into_iter().find(|quads| 4 * quads >= width)
}
