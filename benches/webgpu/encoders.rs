//! Whole encoders: where the time goes, and notes a second.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;

use clinlite::backend::simd::SimdBackend;
use clinlite::backend::webgpu::{Precision, WebGpuBackend};
use clinlite::backend::{Activation, Backend, Linear};
use clinlite::models::{Batch, Encoder};

use super::cuda::Cards;
use super::random::{self, Size};
use super::{Asked, Attainable};

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

/// Windows of a batch, and batches side by side.
const BATCHES: [(usize, usize); 5] = [(1, 1), (16, 1), (WINDOWS, 1), (16, 2), (WINDOWS, 2)];

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

/// A tagger with random weights.
pub(crate) struct Tagger<B: Backend> {
    encoder: Encoder<B>,
    head: Linear<B>,
}

impl<B: Backend> Tagger<B> {
    pub(crate) fn new(backend: &B, size: Size, int8: bool) -> clinlite::Result<Self> {
        let encoder = random::sized_encoder(backend, size, int8)?;
        Ok(Self { encoder, head: random::linear(backend, size.hidden, LABELS, false)? })
    }

    /// Logits of some windows, on the host.
    fn judge(&self, backend: &B, windows: usize) -> clinlite::Result<usize> {
        let batch: Batch = random::batch(windows * WINDOW);
        let states = self.encoder.forward(backend, &batch)?;
        let logits = backend.linear(&states, &self.head, Activation::None)?;
        Ok(pollster::block_on(backend.to_host(&logits))?.len())
    }

    /// After a pause, a compiler's say, a card runs at half its clock.
    fn warm_up(&self, backend: &B, windows: usize, seconds: f64) -> clinlite::Result<()> {
        let begun = Instant::now();
        self.judge(backend, windows)?;
        while begun.elapsed().as_secs_f64() < seconds {
            self.judge(backend, windows)?;
        }
        Ok(())
    }

    /// One note after the other, in batches of `windows`; notes a second.
    #[cfg(feature = "cuda")]
    pub(crate) fn alone(&self, backend: &B, windows: usize, seconds: f64) -> clinlite::Result<f64> {
        self.warm_up(backend, windows, seconds / 4.0)?;
        let (begun, mut done) = (Instant::now(), 0);
        while begun.elapsed().as_secs_f64() < seconds {
            self.judge(backend, windows)?;
            done += windows;
        }
        Ok(done as f64 / WINDOWS as f64 / begun.elapsed().as_secs_f64())
    }

    /// One note after the other, `side_by_side` batches of `windows` at a time; notes a second.
    fn rate(&self, backend: &B, windows: usize, side_by_side: usize, seconds: f64) -> clinlite::Result<f64>
    where
        B: Sync,
        B::Table: Sync,
        B::Matrix: Sync,
        B::Vector: Sync,
    {
        self.warm_up(backend, windows, seconds / 4.0)?;
        let (begun, done) = (Instant::now(), std::sync::atomic::AtomicUsize::new(0));
        let work = || -> clinlite::Result<()> {
            while begun.elapsed().as_secs_f64() < seconds {
                self.judge(backend, windows)?;
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
    let seconds = if asked.software { 0.1 } else { 0.4 };
    let cards = Cards::open();
    for size in SIZES {
        for (precision, int8) in PRECISIONS {
            if asked.is_late() {
                println!("no time left");
                return Ok(());
            }
            on_webgpu(asked, precision, size, int8, seconds)?;
        }
        if let Err(error) = cards.notes(size, seconds, &[1, 16, WINDOWS]) {
            println!("cuda: {error}");
        }
        let (simd, cores) = (SimdBackend::new(), std::thread::available_parallelism().map_or(1, usize::from));
        for (form, int8) in [("f32", false), ("int8", true)] {
            let tagger = Tagger::new(&simd, size, int8)?;
            let (one, all) = (tagger.rate(&simd, 1, 1, seconds)?, tagger.rate(&simd, 1, cores, seconds)?);
            println!("{} {} {form}: {one:.3} with one thread, {all:.3} with {cores}", name(size), simd.target());
        }
    }
    Ok(())
}

fn on_webgpu(asked: &Asked, precision: Precision, size: Size, int8: bool, seconds: f64) -> Result<(), Box<dyn Error>> {
    let Ok(backend) = pollster::block_on(WebGpuBackend::open(asked.options(precision))) else { return Ok(()) };
    let tagger = Tagger::new(&backend, size, int8)?;
    print!("{} webgpu {precision:?}:", name(size));
    for (windows, side_by_side) in BATCHES.into_iter().take(if asked.software { 1 } else { BATCHES.len() }) {
        let rate = tagger.rate(&backend, windows, side_by_side, seconds)?;
        print!(" {rate:.2} ({side_by_side} x {windows})");
    }
    println!();
    Ok(())
}
