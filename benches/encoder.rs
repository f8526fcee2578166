//! The encoder and head of a model folder, timed window by window: what `benches/beside_onnxruntime.py` runs beside the peers.
//!
//! `encoder FOLDER simd|candle THREADS LENGTHS REPEATS` prints a line of JSON a length: milliseconds a window. The `simd` backend
//! has one thread a window, so that with two threads two windows run side by side; candle's threads share one window.
//! Without arguments, as `cargo bench` starts it, it does nothing.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use clinlite::backend::Backend;
use clinlite::backend::candle::CandleBackend;
use clinlite::backend::simd::SimdBackend;
use clinlite::models::{Batch, Model};
use clinlite::weights::folder::Folder;

const WARM_UP: usize = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [folder, engine, threads, lengths, repeats] = arguments.as_slice() else {
        println!("encoder: run by benches/beside_onnxruntime.py");
        return Ok(());
    };
    let (folder, threads, repeats) = (read(Path::new(folder))?, threads.parse()?, repeats.parse()?);
    let lengths = lengths.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
    match engine.as_str() {
        "simd" => time(&SimdBackend::new(), &folder, &lengths, threads, repeats),
        "candle" => {
            // Safety: no other thread runs yet.
            unsafe { std::env::set_var("RAYON_NUM_THREADS", threads.to_string()) };
            time(&CandleBackend::inference(candle_core::Device::Cpu), &folder, &lengths, 1, repeats)
        }
        other => Err(format!("engine: expected simd or candle, found {other}").into()),
    }
}

fn read(place: &Path) -> Result<Folder, Box<dyn Error>> {
    let mut files = BTreeMap::new();
    for name in ["config.json", "manifest.json", "model.safetensors", "tokenizer.json"] {
        files.insert(name.to_owned(), std::fs::read(place.join(name)).map_err(|error| format!("{name}: {error}"))?);
    }
    Ok(Folder::from_files(files)?)
}

/// Times `repeats` passes of every length; of `windows` that run side by side each takes its share of the time.
fn time<B: Backend + Sync>(
    backend: &B,
    folder: &Folder,
    lengths: &[usize],
    windows: usize,
    repeats: usize,
) -> Result<(), Box<dyn Error>>
where
    Model<B>: Sync,
{
    let model = Model::of(backend, folder)?;
    for &length in lengths {
        let ids: Vec<u32> = (0..length).map(|i| 5 + (i as u32 * 7919) % 1000).collect();
        let batch = Batch::new([ids.as_slice()]);
        let pass = || model.forward(backend, &batch).map(drop);
        let mut milliseconds = Vec::with_capacity(repeats);
        for repeat in 0..WARM_UP + repeats {
            let start = Instant::now();
            side_by_side(windows, &pass)?;
            if repeat >= WARM_UP {
                milliseconds.push(start.elapsed().as_secs_f64() * 1e3 / windows as f64);
            }
        }
        println!("{}", serde_json::json!({ "length": length, "ms": milliseconds }));
    }
    Ok(())
}

fn side_by_side(windows: usize, pass: &(impl Fn() -> clinlite::Result<()> + Sync)) -> clinlite::Result<()> {
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..windows).map(|_| scope.spawn(pass)).collect();
        let mine = pass();
        others.into_iter().fold(mine, |sum, other| sum.and(other.join().expect("a pass that does not panic")))
    })
}
