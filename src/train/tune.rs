//! Which weights of a model learn, as `[tune]` of a recipe says, and how low-rank matrices begin.

use sha2::{Digest, Sha256};

use super::recipe::{Lora, Tune};
use crate::backend::candle::kernels::random::Stream;
use crate::backend::training::{Kind, Layout, Training};
use crate::backend::tuning::{LowRank, Tuning};
use crate::backend::{Stored, Values};
use crate::error::{Error, ErrorKind, Result};
use crate::models::{Config, Head};

/// What peft calls the two matrices of a layer, after the layer's name.
const NAMES: [&str; 2] = ["lora_A.weight", "lora_B.weight"];

/// What an engine is told before it loads a model. The seed draws the low-rank matrices.
///
/// # Errors
/// [`ErrorKind::Input`] for adapters of a model that has none.
pub fn tuning(tune: &Tune, seed: u64, model: &Config, head: Head) -> Result<Tuning> {
    let heads = heads(model);
    let in_head = move |name: &str| heads.iter().any(|head| is_below(name, head));
    match tune {
        Tune::Full {} => Ok(Tuning::default()),
        Tune::Adapters {} => {
            if !matches!(model, Config::MiniAlbert(config) if config.use_adapter) {
                let class = head.class_of(model);
                let message =
                    format!("recipe: tune.method: expected a MiniALBERT with adapters to tune, found {class}");
                return Err(Error::new(ErrorKind::Input, message));
            }
            let learns = move |name: &str| in_head(name) || ADAPTERS.iter().any(|place| is_below(name, place));
            Ok(Tuning { learns: Box::new(learns), ..Tuning::default() })
        }
        Tune::Lora(lora) => {
            let (lora, targets) = (lora.clone(), targets(lora, model));
            let heads = self::heads(model);
            let beside = move |part: &Stored| {
                let module = module(&part.name)?;
                let here = !heads.contains(&module) && targets.iter().any(|target| is_called(module, target));
                here.then(|| draw(&lora, seed, module, part))
            };
            let learns = move |name: &str| in_head(name) || NAMES.iter().any(|leaf| is_called(name, leaf));
            Ok(Tuning { learns: Box::new(learns), beside: Box::new(beside) })
        }
    }
}

const ADAPTERS: [&str; 2] = ["albert.att_adapters", "albert.mlp_adapters"];

/// Refuses names of target modules that no dense layer of the encoder, as the engine loaded it, has.
///
/// # Errors
/// [`ErrorKind::Input`] with the names that there are.
pub fn check(tune: &Tune, model: &Config, engine: &impl Training) -> Result<()> {
    let Tune::Lora(lora) = tune else { return Ok(()) };
    let (layouts, heads) = (engine.layouts(), heads(model));
    let frozen = layouts.iter().filter(|layout| layout.kind == Kind::Matrix && !layout.learns);
    let modules: Vec<&str> = frozen
        .flat_map(|layout| layout.parts.iter().filter_map(|part| module(&part.name)))
        .filter(|module| !heads.contains(module))
        .collect();
    let lacks = |target: &&String| !modules.iter().any(|module| is_called(module, target));
    let Some(missing) = targets(lora, model).iter().find(lacks).cloned() else { return Ok(()) };
    let mut names: Vec<&str> = modules.iter().map(|module| last(module)).collect();
    names.sort_unstable();
    names.dedup();
    let names = names.join(", ");
    let message =
        format!("recipe: tune.target_modules: no dense layer of the encoder is called {missing:?}, only {names}");
    Err(Error::new(ErrorKind::Input, message))
}

/// How many numbers learn, of how many.
pub fn share(engine: &impl Training) -> (usize, usize) {
    let layouts = engine.layouts();
    let count = |learning: bool| layouts.iter().filter(|layout| layout.learns || !learning).map(Layout::len).sum();
    (count(true), count(false))
}

/// The dense layers that are the head's: what is made for the task rather than taken from the base.
pub(super) fn heads(model: &Config) -> Vec<&'static str> {
    std::iter::once("classifier").chain(model.pooler()).collect()
}

/// The ends of the names of the layers beside which matrices stand.
pub(super) fn targets(lora: &Lora, model: &Config) -> Vec<String> {
    let usual = if matches!(model, Config::DistilBert(_)) { ["q_lin", "v_lin"] } else { ["query", "value"] };
    lora.target_modules.clone().unwrap_or_else(|| usual.map(str::to_owned).to_vec())
}

/// peft's rule: the whole name, or its end after a dot.
pub(super) fn is_called(module: &str, target: &str) -> bool {
    module.strip_suffix(target).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

fn is_below(name: &str, place: &str) -> bool {
    name.strip_prefix(place).is_some_and(|rest| rest.starts_with('.'))
}

/// The layer of a weight.
fn module(weight: &str) -> Option<&str> {
    weight.strip_suffix(".weight")
}

/// The end of a name that says something: a number alone does not.
fn last(module: &str) -> &str {
    let mut from = module.len();
    loop {
        let dot = module[..from].rfind('.');
        let end = dot.map_or(module, |dot| &module[dot + 1..]);
        match dot {
            Some(dot) if end.starts_with(|c: char| c.is_ascii_digit()) => from = dot,
            _ => return end,
        }
    }
}

/// `A` as PyTorch draws a dense layer (He et al. 2015 with a = √5: uniform within `1 / √K`), `B` zero.
fn draw(lora: &Lora, seed: u64, module: &str, part: &Stored) -> LowRank {
    let [a, b] = NAMES.map(|leaf| format!("{module}.{leaf}"));
    let hash = Sha256::digest(&a);
    let site = hash.iter().take(8).fold(0, |site, byte| site << 8 | u64::from(*byte));
    let (stream, bound) = (Stream::new(seed, 0, site), 1.0 / (part.columns as f32).sqrt());
    let drawn = (0..(lora.r * part.columns) as u32).map(|i| bound * (2.0 * stream.uniform(i) - 1.0)).collect();
    let stored =
        |name, rows, columns, values| Stored { name, rows, columns, values: Values::F32(values), transposed: false };
    LowRank {
        a: stored(a, lora.r, part.columns, drawn),
        b: stored(b, part.rows, lora.r, vec![0.0; part.rows * lora.r]),
        scale: lora.scale(),
        dropout: lora.dropout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_ends_of_names_after_a_dot() {
        let module = "bert.encoder.layer.0.attention.self.query";
        for (target, expected) in
            [("query", true), ("self.query", true), (module, true), ("uery", false), ("key", false)]
        {
            assert_eq!(is_called(module, target), expected, "{target}");
        }
    }

    #[test]
    fn names_end_with_a_word() {
        for (module, expected) in
            [("a.query", "query"), ("albert.att_adapters.3.block.0", "block.0"), ("x", "x"), ("0", "0")]
        {
            assert_eq!(last(module), expected);
        }
    }

    #[test]
    fn the_first_matrix_is_drawn_as_pytorch_does_and_by_its_name() {
        let lora = Lora { r: 64, alpha: 16.0, ..Lora::default() };
        let part = Stored {
            name: "q.weight".into(),
            rows: 5,
            columns: 100,
            values: Values::F32(Vec::new()),
            transposed: false,
        };
        let pair = |seed, module| draw(&lora, seed, module, &part);
        let LowRank { a, b, scale, .. } = pair(1, "q");
        assert_eq!((&*a.name, &*b.name, scale), ("q.lora_A.weight", "q.lora_B.weight", 0.25));
        assert_eq!(([a.rows, a.columns], [b.rows, b.columns]), ([64, 100], [5, 64]));
        assert!(b.to_f32().iter().all(|b| *b == 0.0));
        let a = a.to_f32();
        let (mean, squares) = a.iter().fold((0.0, 0.0), |(m, s), x| (m + x / 6400.0, s + x * x / 6400.0));
        // Uniform within 0.1: a variance of 0.01 / 3.
        assert!(
            a.iter().all(|x| x.abs() <= 0.1) && mean.abs() < 0.003 && (squares - 0.01 / 3.0).abs() < 2e-4,
            "{squares}"
        );
        assert!(a == pair(1, "q").a.to_f32() && a != pair(2, "q").a.to_f32() && a != pair(1, "v").a.to_f32());
    }
}
