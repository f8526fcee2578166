//! The scores of several runs over their steps, in one picture.

use std::collections::BTreeMap;

use super::{Ran, mean_and_sd};
use crate::error::Result;
use crate::train::curve::{Panel, Scale, Series, picture};
use crate::train::journal::{axis, scores_in};

/// Each run as a line; of several `seeds` also their mean, amid an area of one standard deviation on either side.
///
/// # Errors
/// When the log of a run cannot be read.
pub(super) fn draw(title: &str, ran: &[Ran], seeds: bool) -> Result<String> {
    let mut series = Vec::new();
    for Ran { name, folder, step, .. } in ran {
        let points = scores_in(folder)?;
        series.push(Series { name: name.clone(), points, marked: true, best: Some(*step), ..Series::default() });
    }
    if seeds && ran.len() > 1 {
        series.insert(0, mean(&series));
    }
    let label = ran.first().map_or(String::new(), |ran| axis(&ran.metric));
    Ok(picture(title, &[Panel { label, scale: Scale::Linear, series }]))
}

/// The mean of lines at the steps that all of them have.
fn mean(runs: &[Series]) -> Series {
    let mut at: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    runs.iter().flat_map(|run| &run.points).for_each(|(step, value)| at.entry(*step).or_default().push(*value));
    at.retain(|_, values| values.len() == runs.len());
    let mut mean = Series { name: "mean".into(), ..Series::default() };
    for (step, values) in at {
        let (value, sd) = mean_and_sd(&values);
        let sd = sd.unwrap_or(0.0);
        mean.points.push((step, value));
        mean.band.push((step, value - sd, value + sd));
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_of_steps_that_all_runs_have() {
        let run = |points: &[(u64, f64)]| Series { points: points.to_vec(), ..Series::default() };
        let mean = mean(&[run(&[(5, 60.0), (10, 70.0), (15, 80.0)]), run(&[(5, 64.0), (10, 74.0)])]);
        assert_eq!(mean.points, [(5, 62.0), (10, 72.0)], "the second run ended early");
        let sd = 8f64.sqrt();
        assert_eq!(mean.band, [(5, 62.0 - sd, 62.0 + sd), (10, 72.0 - sd, 72.0 + sd)]);
    }
}
