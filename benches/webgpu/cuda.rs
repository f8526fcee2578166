//! The engine `cuda` on the same card: what its matrix library attains, and notes a second.

use std::sync::Arc;

use clinlite::backend::cuda::{CudaBackend, Device, Precision, Tensor};
use clinlite::backend::{Activation, Backend, Linear};

use super::encoders::Notes;
use super::random::{self, Size};

/// Products in one go; the card is given others before, so that it never waits for the host.
const ROUNDS: usize = 20;
const AHEAD: usize = 40;

/// The engine in one precision, and the products that are measured.
pub(crate) struct Peer {
    name: &'static str,
    device: Arc<Device>,
    backend: CudaBackend,
    products: Vec<(Tensor, Linear<CudaBackend>)>,
}

/// Both precisions, where there is a card; `shapes` are inputs and outputs, the largest last.
pub(crate) fn peers(rows: usize, shapes: &[[usize; 2]]) -> Vec<Peer> {
    let open = |(name, precision)| match Peer::open(name, precision, rows, shapes) {
        Ok(peer) => Some(peer),
        Err(error) => {
            println!("{name}: {error}");
            None
        }
    };
    // Products in f32 do without TF32: the math mode of the library stays its default.
    [("cuBLAS f32", Precision::F32), ("cuBLAS bf16", Precision::Bf16)].into_iter().filter_map(open).collect()
}

impl Peer {
    fn open(name: &'static str, precision: Precision, rows: usize, shapes: &[[usize; 2]]) -> clinlite::Result<Self> {
        let device = Device::open(0, precision)?;
        let backend = CudaBackend::inference(&device)?;
        let product = |&[inputs, outputs]: &[usize; 2]| {
            let weight = backend.matrix(&[random::weight(outputs, inputs, false)])?;
            Ok((random::tensor(&backend, rows, inputs)?, Linear { weight, bias: None }))
        };
        let products = shapes.iter().map(product).collect::<clinlite::Result<_>>()?;
        Ok(Self { name, device, backend, products })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Seconds of a product by the card's clock, without bias: the mean of some that follow each other.
    pub(crate) fn seconds(&self, shape: usize) -> clinlite::Result<f64> {
        let repeat = |shape: usize, times: usize| -> clinlite::Result<()> {
            let (x, linear) = &self.products[shape];
            (0..times).try_for_each(|_| self.backend.linear(x, linear, Activation::None).map(drop))
        };
        repeat(shape, 1)?;
        repeat(self.products.len() - 1, AHEAD)?;
        Ok(self.device.timed(|| repeat(shape, ROUNDS))? / ROUNDS as f64)
    }
}

/// Notes a second, one batch after the other.
pub(crate) fn notes(name: &str, size: Size, seconds: f64, batches: &[usize]) -> clinlite::Result<()> {
    for precision in [Precision::F32, Precision::Bf16] {
        let backend = match Device::open(0, precision).and_then(|device| CudaBackend::inference(&device)) {
            Ok(backend) => backend,
            Err(error) => {
                println!("{name} {precision:?}: {error}");
                return Ok(());
            }
        };
        let notes = Notes::new(&backend, size, false)?;
        print!("{name} cuda {precision:?}:");
        for &windows in batches {
            print!(" {:.2} (1 x {windows})", notes.alone(windows, seconds)?);
        }
        println!();
    }
    Ok(())
}
