//! Whether every weight that is to learn does: a gradient that is missing or not finite is a mistake somewhere.

use crate::backend::training::{Quantity, Training};
use crate::error::{Error, ErrorKind, Result};

/// Refuses an engine of which some weight that learns got no gradient, after the first backward pass.
///
/// # Errors
/// [`ErrorKind::Backend`] with the names of these weights.
pub fn check(engine: &impl Training) -> Result<()> {
    let mut idle = named(engine, |gradient| gradient.iter().all(|g| *g == 0.0))?;
    let layouts = engine.layouts();
    for pair in layouts.iter().flat_map(|layout| &layout.beside) {
        // The gradient of A is a product with B, which begins with zeros and has a gradient of its own.
        if idle.contains(&pair.a) && engine.read(&pair.b, Quantity::Value)?.iter().all(|b| *b == 0.0) {
            idle.retain(|name| *name != pair.a);
        }
    }
    if idle.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Backend, format!("no gradient reaches {}", idle.join(", "))))
}

/// The weights whose gradient is not finite.
///
/// # Errors
/// A failure of the engine.
pub fn broken(engine: &impl Training) -> Result<Vec<String>> {
    named(engine, |gradient| gradient.iter().any(|g| !g.is_finite()))
}

/// What of the step that was just walked back is not finite, for a message.
///
/// # Errors
/// A failure of the engine.
pub(super) fn cause(engine: &impl Training) -> Result<String> {
    let losses = engine.report()?.losses;
    let losses: Vec<&str> = losses.iter().filter(|(_, loss)| !loss.is_finite()).map(|(name, _)| *name).collect();
    let weights = broken(engine)?;
    Ok(match (losses.is_empty(), weights.is_empty()) {
        (false, _) => format!("the loss of {}", losses.join(", ")),
        (true, false) => format!("the gradient of {}", first_few(&weights)),
        (true, true) => "the norm of all gradients together".to_owned(),
    })
}

/// Names for a message.
pub(super) fn first_few(names: &[String]) -> String {
    let more = if names.len() > 5 { format!(" and {} more", names.len() - 5) } else { String::new() };
    format!("{}{more}", names[..names.len().min(5)].join(", "))
}

fn named(engine: &impl Training, holds: impl Fn(&[f32]) -> bool) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for layout in engine.layouts().into_iter().filter(|layout| layout.learns) {
        if holds(&engine.read(layout.name(), Quantity::Gradient)?) {
            names.push(layout.name().to_owned());
        }
    }
    Ok(names)
}
