//! The engine `cuda` on the same card: what its matrix library attains, and notes a second.

use std::sync::Arc;

use clinlite::backend::cuda::{CudaBackend, Device, Precision, Tensor};
use clinlite::backend::{Activation, Backend, Linear};

use super::encoders::Tagger;
use super::random::{self, Size};

/// Products in one go; the card is given others before, so that it never waits for the host.
const ROUNDS: usize = 20;
const AHEAD: usize = 40;

/// The card, opened in both precisions; products in `f32` do without TF32, which the library does not use unless it is told.
pub(crate) struct Cards(Vec<(&'static str, Arc<Device>)>);

/// The engine in one precision, and the products that are measured.
pub(crate) struct Peer {
    name: &'static str,
    device: Arc<Device>,
    backend: CudaBackend,
    products: Vec<(Tensor, Linear<CudaBackend>)>,
}

impl Cards {
    /// None where there is no card, or not what it needs.
    pub(crate) fn open() -> Self {
        let open = |(name, precision)| match Device::open(0, precision) {
            Ok(device) => Some((name, device)),
            Err(error) => {
                println!("cuda {name}: {error}");
                None
            }
        };
        Self([("f32", Precision::F32), ("bf16", Precision::Bf16)].into_iter().filter_map(open).collect())
    }

    /// `shapes` are inputs and outputs, the largest last.
    pub(crate) fn peers(&self, rows: usize, shapes: &[[usize; 2]]) -> clinlite::Result<Vec<Peer>> {
        self.0.iter().map(|(name, device)| Peer::new(name, device, rows, shapes)).collect()
    }

    /// Notes a second, one batch after the other.
    pub(crate) fn notes(&self, size: Size, seconds: f64, batches: &[usize]) -> clinlite::Result<()> {
        for (name, device) in &self.0 {
            let backend = CudaBackend::inference(device)?;
            let tagger = Tagger::new(&backend, size, false)?;
            print!("{}x{} cuda {name}:", size.layers, size.hidden);
            for &windows in batches {
                print!(" {:.2} (1 x {windows})", tagger.alone(&backend, windows, seconds)?);
            }
            println!();
        }
        Ok(())
    }
}

impl Peer {
    fn new(name: &'static str, device: &Arc<Device>, rows: usize, shapes: &[[usize; 2]]) -> clinlite::Result<Self> {
        let backend = CudaBackend::inference(device)?;
        let product = |&[inputs, outputs]: &[usize; 2]| {
            let weight = backend.matrix(&[random::weight(outputs, inputs, false)])?;
            Ok((random::tensor(&backend, rows, inputs)?, Linear { weight, bias: None }))
        };
        let products = shapes.iter().map(product).collect::<clinlite::Result<_>>()?;
        Ok(Self { name, device: Arc::clone(device), backend, products })
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
