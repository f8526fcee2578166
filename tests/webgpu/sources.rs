//! Every kernel in every form is WGSL that naga accepts: needs no GPU.

use clinlite::backend::webgpu::kernels::{Kernel, Numbers, Tile};
use wgpu::naga::front::wgsl;
use wgpu::naga::valid::{Capabilities, ValidationFlags, Validator};

/// Tiles of all kinds, those of the engine among them.
pub(crate) const TILES: [Tile; 7] = [
    Tile { rows: 32, columns: 32, depth: 16, thread_rows: 4, thread_quads: 1 },
    Tile { rows: 32, columns: 64, depth: 16, thread_rows: 4, thread_quads: 1 },
    Tile { rows: 64, columns: 64, depth: 16, thread_rows: 8, thread_quads: 1 },
    Tile { rows: 64, columns: 32, depth: 16, thread_rows: 8, thread_quads: 1 },
    Tile { rows: 64, columns: 64, depth: 16, thread_rows: 8, thread_quads: 2 },
    Tile { rows: 128, columns: 64, depth: 16, thread_rows: 8, thread_quads: 2 },
    Tile { rows: 128, columns: 128, depth: 8, thread_rows: 8, thread_quads: 2 },
];

const NUMBERS: [Numbers; 3] = [Numbers::F32, Numbers::F16, Numbers::Int8];

fn kernels() -> Vec<Kernel> {
    let mut all = vec![Kernel::Add, Kernel::AddNorm, Kernel::Columns, Kernel::Quantize, Kernel::Rows, Kernel::Trigram];
    all.push(Kernel::HeadScales);
    all.extend([1, 4, 7, 8, 16, 32].map(Kernel::Attention));
    all.extend([4, 8, 16, 32].map(Kernel::AttentionExact));
    for numbers in NUMBERS {
        all.push(Kernel::LinearSmall(numbers));
        all.extend(TILES.map(|tile| Kernel::Linear(numbers, tile)));
    }
    all
}

/// Workgroup memory that every WebGPU has.
const WORKGROUP_MEMORY: u32 = 16_384;

#[test]
fn naga_accepts_every_kernel_within_the_limits_of_every_webgpu() {
    let mut failed = Vec::new();
    for kernel in kernels() {
        let source = kernel.source();
        let module = match wgsl::parse_str(&source) {
            Ok(module) => module,
            Err(error) => {
                failed.push(format!("{kernel:?}: {}", error.emit_to_string(&source)));
                continue;
            }
        };
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::SHADER_FLOAT16);
        if let Err(error) = validator.validate(&module) {
            failed.push(format!("{kernel:?}: {}", error.emit_to_string(&source)));
            continue;
        }
        let threads: u32 = module.entry_points[0].workgroup_size.iter().product();
        let mut layouter = wgpu::naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).expect("sizes");
        let shared = module.global_variables.iter().filter(|(_, v)| v.space == wgpu::naga::AddressSpace::WorkGroup);
        let memory: u32 = shared.map(|(_, variable)| layouter[variable.ty].size).sum();
        if threads > 256 || memory > WORKGROUP_MEMORY || source.contains("subgroup") {
            failed.push(format!("{kernel:?}: {threads} threads, {memory} bytes of workgroup memory"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
