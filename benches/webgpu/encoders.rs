//! Whole encoders: where the time goes, and notes a second.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;

use clinlite::backend::simd::SimdBackend;
use clinlite::backend::webgpu::{Precision, WebGpuBackend};
use clinlite::backend::{Activation, Backend, Linear};
use clinlite::models::{Batch, Encoder};

use super::random::{self, Size};
use super::{Asked, Attainable, cuda};

/// The encoders that are measured.
const SIZES: [Size; 3] = [
    Size { layers: 4, hidden: 312, inner: 1200 },
    Size { layers: 6, hidden: 384, inner: 1536 },
    Size { layers: 6, hidden: 768, inner: 3072 },
];

/// A note of 5,000 words: about 6,500 pieces, in windows of 128 of which each shares 64 with the next.
const WINDOWS: usize = 101;
const WINDOW: usize = 128;
const LABELS: usize = 13;

const PRECISIONS: [(Precision, bool); 3] = [(Precision::F32, false), (Precision::F16, false), (Precision::Int8, true)];

fn name(size: Size) -> String {
    format!("{}x{}", size.layers, size.hidden)
}

/// Multiplications and additions of a pass over windows of 128.
fn operations(size: Size, rows: usize) -> f64 {
    let Size { layers, hidden, inner } = size;
    let row = 2 * (4 * hidden * hidden + 2 * hidden * inner) + 4 * WINDOW * hidden;
    (layers * rows * row) as f64
}

/// Seconds of each kind of kernel in one pass, by the device's clock.
pub(crate) fn layers(asked: &Asked, attainable: Attainable) -> Result<(), Box<dyn Error>> {
    println!("\nencoders of {} rows in windows of {WINDOW}: microseconds on the device", asked.rows);
    for (precision, int8) in PRECISIONS {
        let Ok(backend) = pollster::block_on(WebGpuBackend::open(asked.options(precision))) else { continue };
        for size in SIZES {
            if asked.is_late() || !backend.adapter().has_timestamps() {
                println!("no time left, or no clock");
                return Ok(());
            }
            let encoder = random::sized_encoder(&backend, size, int8)?;
            let batch = random::batch(asked.rows);
            let mut best: Option<(f64, BTreeMap<&str, f64>)> = None;
            for _ in 0..5 {
                let y = encoder.forward(&backend, &batch)?;
                let mut kinds = BTreeMap::new();
                for (kernel, seconds) in pollster::block_on(backend.timed(&y))? {
                    *kinds.entry(kernel.name()).or_insert(0.0) += seconds;
                }
                let sum = kinds.values().sum();
                if best.as_ref().is_none_or(|(least, _)| sum < *least) {
                    best = Some((sum, kinds));
                }
            }
            let (sum, kinds) = best.unwrap_or_default();
            let kinds: Vec<String> = kinds.iter().map(|(kind, s)| format!("{kind} {:.0}", s * 1e6)).collect();
            let most = if int8 { attainable.int8 } else { attainable.f32 };
            let rate = super::rate(operations(size, asked.rows), sum, &[most]);
            println!("{} {precision:?}: {:.0} = {}; {rate}", name(size), sum * 1e6, kinds.join(" + "));
        }
    }
    Ok(())
}

pub(crate) struct Notes<'a, B: Backend> {
    backend: &'a B,
    encoder: Encoder<B>,
    head: Linear<B>,
}

impl<'a, B: Backend> Notes<'a, B> {
    pub(crate) fn new(backend: &'a B, size: Size, int8: bool) -> clinlite::Result<Self> {
        let encoder = random::sized_encoder(backend, size, int8)?;
        Ok(Self { backend, encoder, head: random::linear(backend, size.hidden, LABELS, false)? })
    }

    /// Logits of some windows, on the host.
    fn judge(&self, windows: usize) -> clinlite::Result<usize> {
        let batch: Batch = random::batch(windows * WINDOW);
        let states = self.encoder.forward(self.backend, &batch)?;
        let logits = self.backend.linear(&states, &self.head, Activation::None)?;
        Ok(pollster::block_on(self.backend.to_host(&logits))?.len())
    }

    /// One note after the other, in batches of `windows`; notes a second.
    #[cfg(feature = "cuda")]
    pub(crate) fn alone(&self, windows: usize, seconds: f64) -> clinlite::Result<f64> {
        self.judge(windows)?;
        let (begun, mut done) = (Instant::now(), 0);
        while begun.elapsed().as_secs_f64() < seconds {
            self.judge(windows)?;
            done += windows;
        }
        Ok(done as f64 / WINDOWS as f64 / begun.elapsed().as_secs_f64())
    }

    /// One note after the other, `side_by_side` batches of `windows` at a time; notes a second.
    fn rate(&self, windows: usize, side_by_side: usize, seconds: f64) -> clinlite::Result<f64>
    where
        B: Sync,
        B::Table: Sync,
        B::Matrix: Sync,
        B::Vector: Sync,
    {
        self.judge(windows)?;
        let (begun, done) = (Instant::now(), std::sync::atomic::AtomicUsize::new(0));
        let work = || -> clinlite::Result<()> {
            while begun.elapsed().as_secs_f64() < seconds {
                self.judge(windows)?;
                done.fetch_add(windows, std::sync::atomic::Ordering::Relaxed);
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..side_by_side).map(|_| scope.spawn(work)).collect();
            let mine = work();
            others.into_iter().fold(mine, |sum, other| sum.and(other.join().expect("no panic")))
        })?;
        let windows = done.into_inner() as f64;
        Ok(windows / WINDOWS as f64 / begun.elapsed().as_secs_f64())
    }
}

/// Notes a second, on the GPU in batches and on the CPU.
pub(crate) fn notes(asked: &Asked) -> Result<(), Box<dyn Error>> {
    println!("\nnotes of 5,000 words a second: {WINDOWS} windows of {WINDOW}, logits on the host");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let seconds = if asked.software { 0.1 } else { 0.7 };
    for size in SIZES {
        for (precision, int8) in PRECISIONS {
            if asked.is_late() {
                println!("no time left");
                return Ok(());
            }
            let Ok(backend) = pollster::block_on(WebGpuBackend::open(asked.options(precision))) else { continue };
            let notes = Notes::new(&backend, size, int8)?;
            print!("{} webgpu {precision:?}:", name(size));
            let all = [(1, 1), (16, 1), (16, 2), (WINDOWS, 1), (WINDOWS, 2), (WINDOWS, 3)];
            for (windows, side_by_side) in all.into_iter().take(if asked.software { 1 } else { all.len() }) {
                let rate = notes.rate(windows, side_by_side, seconds)?;
                print!(" {rate:.2} ({side_by_side} x {windows})");
            }
            println!();
        }
        cuda::notes(&name(size), size, seconds, &[1, 16, WINDOWS])?;
        let simd = SimdBackend::new();
        for (form, int8) in [("f32", false), ("int8", true)] {
            let notes = Notes::new(&simd, size, int8)?;
            let (one, all) = (notes.rate(1, 1, seconds)?, notes.rate(1, cores, seconds)?);
            println!("{} {} {form}: {one:.3} with one thread, {all:.3} with {cores}", name(size), simd.target());
        }
    }
    Ok(())
}
