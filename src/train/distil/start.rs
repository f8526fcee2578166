//! Weights that a student has nobody to take from.

use crate::backend::candle::kernels::random::Stream;
use crate::error::Result;
use crate::models::{Config, MaskedLm};
use crate::weights::Weights;

/// Draws every weight of a masked language model that is missing, as Hugging Face does: matrices and tables from
/// `N(0, 0.02)`, scales of norms one, all biases zero. Returns their names.
///
/// # Errors
/// As [`MaskedLm::load`], for all but its weights.
pub fn draw_missing(weights: &mut Weights<'_>, config: &Config, tied: bool, seed: u64) -> Result<Vec<String>> {
    const DEVIATION: f32 = 0.02;
    const SITE: u64 = 0x6472_6177;
    let wanted = weights.survey(|backend, root| MaskedLm::load(backend, root, config, tied).map(drop))?;
    let mut drawn = Vec::new();
    for (number, weight) in wanted.iter().enumerate() {
        if weights.shape(&weight.name).is_some() {
            continue;
        }
        let len: usize = weight.shape.iter().product();
        let stream = Stream::new(seed, number as u64, SITE);
        let values = match &weight.shape[..] {
            [_, _] => (0..len as u32).map(|i| DEVIATION * stream.normal(i)).collect(),
            _ if weight.name.ends_with(".weight") => vec![1.0; len],
            _ => vec![0.0; len],
        };
        weights.supply(&weight.name, &weight.shape, values)?;
        drawn.push(weight.name.clone());
    }
    Ok(drawn)
}
