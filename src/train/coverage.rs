//! Whether every weight learns: a gradient that is missing or not finite is a mistake somewhere.

use crate::backend::training::{Quantity, Training};
use crate::error::{Error, ErrorKind, Result};

/// Refuses an engine of which some weight got no gradient, after the first backward pass.
///
/// # Errors
/// [`ErrorKind::Backend`] with the names of these weights.
pub fn check(engine: &impl Training) -> Result<()> {
    let idle = named(engine, |gradient| gradient.iter().all(|g| *g == 0.0))?;
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
    for layout in engine.layouts() {
        if holds(&engine.read(layout.name(), Quantity::Gradient)?) {
            names.push(layout.name().to_owned());
        }
    }
    Ok(names)
}
