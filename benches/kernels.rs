//! The simd kernels beside their scalar form and, with the feature `candle`, beside candle: `cargo bench`.
//!
//! Every line compares within one process, rounds interleaved, one thread. A time is the minimum, in brackets the
//! median: on a busy machine only the first repeats. See `docs/performance.md` for what was expected and found.

mod random;

use std::time::Instant;

use clinlite::Result;
use clinlite::backend::simd::SimdBackend;
use clinlite::backend::{Activation, Backend, Lengths, Qkv};

/// Something to time, and its name.
type Peer<'a> = (&'a str, Box<dyn FnMut() -> Result<()> + 'a>);

fn main() -> Result<()> {
    // Safety: no other thread runs yet.
    unsafe { std::env::set_var("RAYON_NUM_THREADS", "1") };
    let (simd, scalar) = (SimdBackend::new(), SimdBackend::scalar());
    println!("simd is {}; minimum (median); the ratio is to the first of each line, in minima", simd.target());
    products(&simd, &scalar)?;
    operations(&simd, &scalar)?;
    encoders(&simd)
}

fn products(simd: &SimdBackend, scalar: &SimdBackend) -> Result<()> {
    for rows in [1, 4, 16, 128] {
        for [inputs, outputs] in random::SHAPES {
            let mut peers = Vec::new();
            for (name, backend, int8) in [
                ("simd f32", simd, false),
                ("simd int8", simd, true),
                ("scalar f32", scalar, false),
                ("scalar int8", scalar, true),
            ] {
                let x = random::tensor(backend, rows, inputs)?;
                let linear = random::linear(backend, inputs, outputs, int8)?;
                let run = move || backend.linear(&x, &linear, Activation::None).map(drop);
                peers.push((name, Box::new(run) as Box<dyn FnMut() -> Result<()>>));
            }
            #[cfg(feature = "candle")]
            peers.push(("candle f32", candle::product(rows, inputs, outputs)));
            let operations = 2.0 * (rows * inputs * outputs) as f64;
            compare(&format!("product {rows} x {inputs} x {outputs}"), Some(operations), 80, &mut peers)?;
        }
    }
    Ok(())
}

fn operations(simd: &SimdBackend, scalar: &SimdBackend) -> Result<()> {
    for rows in [32, 128, 256] {
        let (mut attention, mut norm): (Vec<Peer<'_>>, Vec<Peer<'_>>) = Default::default();
        for (name, backend) in [("simd", simd), ("scalar", scalar)] {
            let (qkv, lengths) = (random::tensor(backend, rows, 3 * 384)?, Lengths::new(vec![rows]));
            attention.push((name, Box::new(move || backend.attention(Qkv::Joined(&qkv), 12, &lengths).map(drop))));
            let (x, layer) = (random::tensor(backend, rows, 384)?, random::norm(backend, 384)?);
            norm.push((name, Box::new(move || backend.add_norm(&x, Some(&x), &layer).map(drop))));
        }
        compare(&format!("attention {rows}"), Some(4.0 * (rows * rows * 384) as f64), 80, &mut attention)?;
        compare(&format!("add_norm {rows}"), None, 200, &mut norm)?;
    }
    let mut gelu: Vec<Peer<'_>> = Vec::new();
    for (name, act) in [("int8 128 x 384 x 1536", Activation::None), ("with GELU", Activation::Gelu)] {
        let (x, linear) = (random::tensor(simd, 128, 384)?, random::linear(simd, 384, 1536, true)?);
        gelu.push((name, Box::new(move || simd.linear(&x, &linear, act).map(drop))));
    }
    compare("gelu", None, 200, &mut gelu)
}

fn encoders(simd: &SimdBackend) -> Result<()> {
    for rows in [128, 256] {
        let mut peers: Vec<Peer<'_>> = Vec::new();
        for (name, int8) in [("simd f32", false), ("simd int8", true)] {
            let (encoder, batch) = (random::encoder(simd, int8)?, random::batch(rows));
            peers.push((name, Box::new(move || encoder.forward(simd, &batch).map(drop))));
        }
        #[cfg(feature = "candle")]
        peers.push(("candle f32", candle::encoder(rows)?));
        compare(&format!("encoder {rows} rows"), None, 30, &mut peers)?;
    }
    Ok(())
}

/// Times all peers in turn, `rounds` times, and prints one line.
fn compare(what: &str, operations: Option<f64>, rounds: usize, peers: &mut [Peer<'_>]) -> Result<()> {
    let mut times = vec![Vec::with_capacity(rounds); peers.len()];
    for round in 0..rounds + 3 {
        for ((_, run), times) in peers.iter_mut().zip(&mut times) {
            let start = Instant::now();
            run()?;
            if round >= 3 {
                times.push(start.elapsed().as_secs_f64());
            }
        }
    }
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    print!("{what}:");
    for ((name, _), sorted) in peers.iter().zip(&times) {
        let (best, median, ratio) = (sorted[0], sorted[rounds / 2], sorted[0] / times[0][0]);
        print!(" | {name} {:.1} us ({:.1})", best * 1e6, median * 1e6);
        if let Some(operations) = operations {
            print!(" {:.1} Gop/s", operations / best / 1e9);
        }
        print!(" x{ratio:.2}");
    }
    println!();
    Ok(())
}

#[cfg(feature = "candle")]
mod candle {
    use candle_core::{Device, Tensor};
    use clinlite::Result;
    use clinlite::backend::candle::CandleBackend;

    use super::random;

    /// candle's own `matmul`, without bias.
    pub(super) fn product(rows: usize, inputs: usize, outputs: usize) -> Box<dyn FnMut() -> Result<()>> {
        let tensor = |rows, columns| {
            Tensor::from_vec(random::noise(rows * columns, 1), (rows, columns), &Device::Cpu).expect("a whole tensor")
        };
        let (x, weight) = (tensor(rows, inputs), tensor(outputs, inputs));
        Box::new(move || {
            let product = weight.t().and_then(|weight| x.matmul(&weight)).expect("shapes that fit");
            drop(product);
            Ok(())
        })
    }

    /// The same encoder on the backend of training.
    pub(super) fn encoder(rows: usize) -> Result<Box<dyn FnMut() -> Result<()>>> {
        let backend = CandleBackend::inference(Device::Cpu);
        let (encoder, batch) = (random::encoder(&backend, false)?, random::batch(rows));
        Ok(Box::new(move || encoder.forward(&backend, &batch).map(drop)))
    }
}
