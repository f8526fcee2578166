//! Products of the encoders, tile by tile.

use std::error::Error;
use std::time::Instant;

use clinlite::backend::webgpu::kernels::{Kernel, Tile};
use clinlite::backend::webgpu::{Precision, WebGpuBackend};
use clinlite::backend::{Activation, Backend, Linear};

use super::cuda::{Cards, Peer};
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

const TILES: [Tile; 8] = [
    tile(32, 32, 16, 4, 1),
    tile(32, 64, 16, 4, 1),
    tile(64, 32, 16, 8, 1),
    tile(64, 64, 16, 8, 1),
    tile(64, 64, 16, 8, 2),
    tile(128, 64, 16, 8, 2),
    tile(64, 128, 16, 8, 2),
    tile(128, 128, 16, 8, 2),
];

/// Times that a product is done in one go.
const ROUNDS: usize = 20;

/// What is multiplied, whether weights are int8, and what would be attainable.
type Form = (Precision, bool, Option<f64>);

pub(crate) fn measure(asked: &Asked, attainable: Attainable) -> Result<(), Box<dyn Error>> {
    println!(
        "\nproducts of {} rows: Tera operations/s, the share of what is attainable, and of what cuBLAS f32 does",
        asked.rows
    );
    let forms = [
        (Precision::F32, false, attainable.f32),
        (Precision::Int8, true, attainable.int8),
        (Precision::F16, false, attainable.f32),
    ];
    let mut peers: Vec<_> = Cards::open().peers(asked.rows, &SHAPES)?.into_iter().map(Row::new).collect();
    for form in forms {
        let mut tiles = Vec::new();
        let measured = tile_by_tile(asked, form, &mut tiles, &mut peers);
        print(asked, form, &tiles, &peers);
        if !measured? {
            println!("no time left");
            break;
        }
    }
    Ok(())
}

/// The fastest seconds of somebody for each shape.
struct Row<T> {
    who: T,
    seconds: [f64; SHAPES.len()],
}

impl<T> Row<T> {
    fn new(who: T) -> Self {
        Self { who, seconds: [f64::INFINITY; SHAPES.len()] }
    }

    fn note(&mut self, shape: usize, seconds: f64) {
        self.seconds[shape] = self.seconds[shape].min(seconds);
    }
}

/// Every tile in turn with every peer, shape by shape; false when the time is over.
fn tile_by_tile(
    asked: &Asked,
    (precision, int8, _): Form,
    tiles: &mut Vec<Row<String>>,
    peers: &mut Vec<Row<Peer>>,
) -> Result<bool, Box<dyn Error>> {
    let mut backend = match pollster::block_on(WebGpuBackend::open(asked.options(precision))) {
        Ok(backend) => backend,
        Err(error) => {
            println!("{precision:?}: {error}");
            return Ok(true);
        }
    };
    let linears = SHAPES.map(|[inputs, outputs]| random::linear(&backend, inputs, outputs, int8));
    for tile in TILES.map(Some).into_iter().chain([None]) {
        pollster::block_on(backend.use_tile(tile))?;
        warm_up(&backend, asked, &linears)?;
        tiles.push(Row::new(tile.map_or("the engine's choice".into(), name)));
        let Some(row) = tiles.last_mut() else { continue };
        for (shape, ([inputs, _], linear)) in SHAPES.iter().zip(&linears).enumerate() {
            if asked.is_late() {
                return Ok(false);
            }
            peers.retain_mut(|peer| match peer.who.seconds(shape) {
                Ok(seconds) => {
                    peer.note(shape, seconds);
                    true
                }
                Err(error) => {
                    println!("cuBLAS {}: {error}", peer.who.name());
                    false
                }
            });
            let linear = linear.as_ref().map_err(ToString::to_string)?;
            row.note(shape, seconds(&backend, asked.rows, *inputs, linear)?);
        }
    }
    Ok(true)
}

fn name(tile: Tile) -> String {
    let Tile { rows, columns, depth, thread_rows, thread_quads } = tile;
    format!("{rows}x{columns}x{depth} {thread_rows}x{}", 4 * thread_quads)
}

fn print(asked: &Asked, (precision, _, most): Form, tiles: &[Row<String>], peers: &[Row<Peer>]) {
    let operations = SHAPES.map(|[inputs, outputs]| 2.0 * (asked.rows * inputs * outputs) as f64);
    let library = peers.iter().find(|peer| peer.who.name() == "f32");
    let width = if library.is_some() { 20 } else { 14 };
    println!("{precision:?}\n{:24}{}", "tile", SHAPES.map(|[k, n]| format!("{:>width$}", format!("{k}x{n}"))).concat());
    let line = |name: &str, seconds: &[f64; SHAPES.len()]| {
        let cell = |shape: usize| match seconds[shape].is_finite() {
            true => {
                let peer = library.map(|library| operations[shape] / library.seconds[shape]);
                format!("{:>width$}", rate(operations[shape], seconds[shape], &[most, peer]))
            }
            false => format!("{:>width$}", "-"),
        };
        println!("{name:24}{}", (0..SHAPES.len()).map(cell).collect::<String>());
    };
    tiles.iter().for_each(|row| line(&row.who, &row.seconds));
    peers.iter().for_each(|row| line(&format!("cuBLAS {}", row.who.name()), &row.seconds));
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
