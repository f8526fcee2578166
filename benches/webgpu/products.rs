//! Products of the encoders, tile by tile.

use std::error::Error;
use std::time::Instant;

use clinlite::backend::webgpu::kernels::{Kernel, Tile};
use clinlite::backend::webgpu::{Precision, WebGpuBackend};
use clinlite::backend::{Activation, Backend, Linear};

use super::{Asked, Attainable, random, rate};

/// Inputs and outputs of every product of encoders of 312, 384 and 768.
const SHAPES: [[usize; 2]; 12] = [
    [312, 936],
    [312, 312],
    [312, 1200],
    [1200, 312],
    [384, 1152],
    [384, 384],
    [384, 1536],
    [1536, 384],
    [768, 2304],
    [768, 768],
    [768, 3072],
    [3072, 768],
];

const fn tile(rows: usize, columns: usize, depth: usize, thread_rows: usize, thread_quads: usize) -> Tile {
    Tile { rows, columns, depth, thread_rows, thread_quads }
}

const TILES: [Tile; 10] = [
    tile(32, 32, 16, 4, 1),
    tile(32, 64, 16, 4, 1),
    tile(32, 64, 16, 8, 1),
    tile(64, 32, 16, 8, 1),
    tile(64, 64, 16, 4, 2),
    tile(64, 64, 16, 8, 1),
    tile(64, 64, 16, 8, 2),
    tile(128, 64, 16, 8, 2),
    tile(64, 128, 16, 8, 2),
    tile(128, 128, 16, 8, 2),
];

/// Times that a product is done in one go.
const ROUNDS: usize = 20;

pub(crate) fn measure(asked: &Asked, attainable: Attainable) -> Result<(), Box<dyn Error>> {
    println!("\nproducts of {} rows, Tera operations/s and share of what is attainable", asked.rows);
    for (precision, int8, most) in [
        (Precision::F32, false, attainable.f32),
        (Precision::F16, false, attainable.f32),
        (Precision::Int8, true, attainable.int8),
    ] {
        let mut backend = match pollster::block_on(WebGpuBackend::open(asked.options(precision))) {
            Ok(backend) => backend,
            Err(error) => {
                println!("{precision:?}: {error}");
                continue;
            }
        };
        let linears = SHAPES.map(|[inputs, outputs]| random::linear(&backend, inputs, outputs, int8));
        println!("{precision:?}\n{:24}{}", "tile", SHAPES.map(|[k, n]| format!("{:>13}", format!("{k}x{n}"))).concat());
        for tile in TILES.map(Some).into_iter().chain([None]) {
            let name = tile.map_or("the engine's choice".into(), |t| {
                format!("{}x{}x{} {}x{}", t.rows, t.columns, t.depth, t.thread_rows, 4 * t.thread_quads)
            });
            pollster::block_on(backend.use_tile(tile))?;
            print!("{name:24}");
            warm_up(&backend, asked, &linears)?;
            for ([inputs, outputs], linear) in SHAPES.iter().zip(&linears) {
                if asked.is_late() {
                    println!("no time left");
                    return Ok(());
                }
                let linear = linear.as_ref().map_err(ToString::to_string)?;
                let seconds = seconds(&backend, asked.rows, *inputs, linear)?;
                let operations = 2.0 * (asked.rows * inputs * outputs) as f64;
                print!(" {}", rate(operations, seconds, most));
            }
            println!();
        }
    }
    Ok(())
}

/// Keeps the card busy for a moment: after a pause, a compiler's say, it runs at half its clock.
fn warm_up(
    backend: &WebGpuBackend,
    asked: &Asked,
    linears: &[clinlite::Result<Linear<WebGpuBackend>>],
) -> Result<(), Box<dyn Error>> {
    let (Some(Ok(linear)), Some([inputs, _])) = (linears.last(), SHAPES.last()) else { return Ok(()) };
    let begun = Instant::now();
    while begun.elapsed().as_secs_f64() < 0.3 {
        let x = random::tensor(backend, asked.rows, *inputs)?;
        let mut y = backend.linear(&x, linear, Activation::None)?;
        for _ in 1..if asked.software { 1 } else { 100 } {
            y = backend.linear(&x, linear, Activation::None)?;
        }
        pollster::block_on(backend.to_host(&y))?;
    }
    Ok(())
}

/// The fastest of some products, by the device's clock; without one their mean by the host's.
fn seconds(
    backend: &WebGpuBackend,
    rows: usize,
    inputs: usize,
    linear: &Linear<WebGpuBackend>,
) -> clinlite::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..2 {
        let x = random::tensor(backend, rows, inputs)?;
        let mut y = backend.linear(&x, linear, Activation::None)?;
        for _ in 1..ROUNDS {
            y = backend.linear(&x, linear, Activation::None)?;
        }
        if backend.adapter().has_timestamps() {
            let times = pollster::block_on(backend.timed(&y))?;
            let products = times.iter().filter(|(kernel, _)| matches!(kernel, Kernel::Linear(..)));
            best = products.map(|(_, seconds)| *seconds).fold(best, f64::min);
        } else {
            let begun = Instant::now();
            pollster::block_on(backend.to_host(&y))?;
            best = best.min(begun.elapsed().as_secs_f64() / ROUNDS as f64);
        }
    }
    Ok(best)
}
