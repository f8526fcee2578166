//! A recipe of pre-training: everything that decides what a run makes, in one TOML file.
//!
//! ```toml
//! name = "distil-clinical-bert"
//! seed = 1
//!
//! [student]                        # one of: base = "FOLDER", config = { … }, or
//! layers = [1, 3, 5, 7, 9, 11]     # of the teacher, with its embeddings
//!
//! [teacher]                        # only if the loss compares with one
//! base = "Bio_ClinicalBERT"        # a Hugging Face folder with a masked-language-model head
//!
//! [blocks]
//! batch_size = 192                 # blocks of a step
//!
//! [loss]                           # see Objective
//! masked_lm = 2.0
//! divergence = 5.0
//! temperature = 2.0
//!
//! [train]
//! lr = 5e-4
//! epochs = 3
//! warmup_steps = 5000
//! accumulate = 4                   # parts of a step: the same numbers with a quarter of the memory
//! ```

use serde::Deserialize;
use serde_json::Value;

use crate::backend::adamw::Settings;
use crate::error::{Error, ErrorKind, Result};
use crate::train::corpus::masking;
use crate::train::distil::Objective;
use crate::train::recipe::require;
use crate::train::schedule::Schedule;

/// See the module.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What the model will be called.
    pub name: String,
    /// Of everything random.
    pub seed: u64,
    /// What is trained.
    #[serde(default)]
    pub student: Student,
    /// What it learns from beside the words.
    #[serde(default)]
    pub teacher: Teacher,
    /// What a step reads.
    pub blocks: Blocks,
    /// What is asked.
    pub loss: Objective,
    /// How it is learnt.
    pub train: Train,
    /// How it is watched.
    #[serde(default)]
    pub evaluate: Evaluate,
}

/// `[student]`: one of the three, unless the command line names a base.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Student {
    /// A Hugging Face folder that goes on learning, relative to where the command runs.
    pub base: Option<String>,
    /// `config.json` of a student that starts at random, with the teacher's tokenizer.
    pub config: Option<Value>,
    /// Layers of the teacher, counted from 0, that become the student's, under a head that starts at random.
    pub layers: Option<Vec<usize>>,
}

/// `[teacher]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Teacher {
    /// A Hugging Face folder, relative to where the command runs; the command line can name another.
    pub base: Option<String>,
    /// Whether the teacher drops values as its `config.json` says, as if it learnt.
    #[serde(default)]
    pub dropout: bool,
    /// Whether what it says is kept on the disk, and read from there when the same is asked again.
    pub cache: Option<Cache>,
}

/// `cache` of `[teacher]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Words that are kept at each mask.
    pub top: usize,
    /// Where; absent: `teacher` in the folder of blocks.
    pub folder: Option<String>,
}

/// `[blocks]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocks {
    /// Blocks of a step, all parts together.
    pub batch_size: usize,
    /// The share of pieces, or of words, that the student must name.
    #[serde(default = "fifteen")]
    pub mask: f64,
    /// Whether all pieces of a word are masked or none.
    #[serde(default)]
    pub whole_words: bool,
    /// How many masks a block has: each epoch sees the next of them, and after the last the first again. Absent: new ones
    /// in each step.
    pub masks: Option<u64>,
    /// Decides such masks, so that runs of several seeds share them; absent: as `seed`.
    pub mask_seed: Option<u64>,
}

fn fifteen() -> f64 {
    0.15
}

/// `[train]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// The highest learning rate.
    pub lr: f64,
    /// How often all blocks are seen; this or `steps`.
    pub epochs: Option<f64>,
    /// Steps of the run; this or `epochs`.
    pub steps: Option<u64>,
    /// Steps over which the learning rate rises; this or `warmup`.
    pub warmup_steps: Option<u64>,
    /// The share of steps over which it rises.
    pub warmup: Option<f64>,
    /// What follows.
    #[serde(default)]
    pub schedule: Schedule,
    /// Of matrices and tables; norms and biases are spared.
    #[serde(default = "hundredth")]
    pub weight_decay: f64,
    /// Decay of the mean of gradients, and of the mean of their squares.
    #[serde(default = "betas")]
    pub betas: [f64; 2],
    /// Added to the root of the squares.
    #[serde(default = "eps")]
    pub eps: f64,
    /// The most that the norm of all gradients may be.
    #[serde(default = "one")]
    pub clip: f64,
    /// Of the student's hidden states.
    #[serde(default = "tenth")]
    pub dropout: f32,
    /// Of its attention probabilities; absent: as `dropout`.
    pub attention_dropout: Option<f32>,
    /// Parts of a step.
    #[serde(default = "one_part")]
    pub accumulate: usize,
    /// Steps between two lines of the log. Reading the losses waits for the device.
    #[serde(default = "fifty")]
    pub log_every: u64,
}

fn hundredth() -> f64 {
    0.01
}
fn betas() -> [f64; 2] {
    [0.9, 0.999]
}
fn eps() -> f64 {
    1e-8
}
fn one() -> f64 {
    1.0
}
fn tenth() -> f32 {
    0.1
}
fn one_part() -> usize {
    1
}
fn fifty() -> u64 {
    50
}

/// `[evaluate]`: the masked loss of notes that were set apart.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluate {
    /// Steps between two looks; the last is at the end.
    pub every: u64,
    /// The most blocks that are looked at, always the same.
    pub blocks: u64,
    /// Ends the run after this many looks without a lower loss, and keeps the weights of the lowest.
    pub patience: Option<u64>,
}

impl Default for Evaluate {
    fn default() -> Self {
        Self { every: 2500, blocks: 512, patience: None }
    }
}

impl Recipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] that names the key, and for a key that is not known the line.
    pub fn parse(text: &str) -> Result<Self> {
        let recipe: Self = toml::from_str(text)
            .map_err(|e| Error::new(ErrorKind::Input, e.to_string().trim_end().to_owned()).at("recipe"))?;
        recipe.check().map_err(|e| e.at("recipe"))?;
        Ok(recipe)
    }

    /// Steps of a run over so many blocks.
    pub fn steps(&self, blocks: u64) -> u64 {
        let of_epochs = |epochs: f64| (epochs * blocks as f64 / self.blocks.batch_size as f64).ceil() as u64;
        self.train.steps.unwrap_or_else(|| of_epochs(self.train.epochs.unwrap_or(1.0))).max(1)
    }

    /// Steps of them over which the learning rate rises.
    pub fn warmup(&self, steps: u64) -> u64 {
        let of_share = |share: f64| (share * steps as f64).round() as u64;
        self.train.warmup_steps.unwrap_or_else(|| of_share(self.train.warmup.unwrap_or(0.0)))
    }

    /// Blocks of a part of a step.
    pub fn part(&self) -> usize {
        self.blocks.batch_size / self.train.accumulate
    }

    /// The shares of the student's hidden values and of its attention probabilities that are dropped.
    pub fn dropout(&self) -> [f32; 2] {
        [self.train.dropout, self.train.attention_dropout.unwrap_or(self.train.dropout)]
    }

    /// Decides the masks.
    pub fn mask_seed(&self) -> u64 {
        self.blocks.mask_seed.unwrap_or(self.seed)
    }

    /// The temperature at which the teacher is asked for its words.
    pub fn temperature(&self) -> f32 {
        if self.loss.divergence > 0.0 { self.loss.temperature } else { 1.0 }
    }

    /// What the optimizer wants to know.
    pub fn settings(&self) -> Settings {
        let Train { betas: [beta1, beta2], eps, weight_decay, clip, .. } = self.train;
        Settings { beta1, beta2, eps, weight_decay, clip, ema: 0.0 }
    }

    /// How much is masked.
    pub fn masking(&self) -> masking::Options {
        let Blocks { mask: share, whole_words, .. } = self.blocks;
        masking::Options { share, whole_words, ..masking::Options::default() }
    }

    fn check(&self) -> Result<()> {
        let Student { base, config, layers } = &self.student;
        let starts = [base.is_some(), config.is_some(), layers.is_some()].into_iter().filter(|given| *given).count();
        require(starts <= 1, "student", "one of base, config and layers")?;
        let Blocks { batch_size, mask, masks, mask_seed, .. } = self.blocks;
        require(masks.is_none_or(|masks| (1..=9999).contains(&masks)), "blocks.masks", "1 to 9999")?;
        require(masks.is_some() || mask_seed.is_none(), "blocks.mask_seed", "blocks.masks beside it")?;
        self.check_cache()?;
        require(batch_size > 0, "blocks.batch_size", "above 0")?;
        require(mask > 0.0 && mask <= 1.0, "blocks.mask", "a share above 0, at most 1")?;
        require(self.evaluate.every > 0, "evaluate.every", "above 0")?;
        require(self.evaluate.blocks > 0, "evaluate.blocks", "above 0")?;
        require(self.evaluate.patience != Some(0), "evaluate.patience", "above 0")?;
        self.check_train()
    }

    /// A cache keeps what comes again, and only words.
    fn check_cache(&self) -> Result<()> {
        let Some(cache) = &self.teacher.cache else { return Ok(()) };
        let (key, loss) = ("teacher.cache", &self.loss);
        require((1..=1 << 16).contains(&cache.top), "teacher.cache.top", "1 to 65536")?;
        require(self.blocks.masks.is_some(), key, "blocks.masks: new masks in each step are never asked again")?;
        require(loss.needs_logits(), key, "loss.divergence or loss.soft_cross_entropy")?;
        let words = loss.hidden.is_none() && loss.attention.is_none();
        require(words, key, "no loss.hidden and no loss.attention: states and maps of the teacher are not kept")?;
        require(!self.teacher.dropout, key, "teacher.dropout = false: one draw would be kept for all steps")?;
        let one = loss.divergence == 0.0 || loss.soft_cross_entropy == 0.0 || loss.temperature == 1.0;
        require(one, key, "loss.temperature = 1 with both losses: words are kept at one temperature")
    }

    fn check_train(&self) -> Result<()> {
        let Train { lr, epochs, steps, warmup_steps, warmup, weight_decay, betas, eps, clip, .. } = self.train;
        let Train { dropout, accumulate, log_every, .. } = self.train;
        require(lr > 0.0 && lr < 1.0, "train.lr", "between 0 and 1")?;
        require(epochs.is_some() != steps.is_some(), "train", "one of epochs and steps")?;
        require(epochs.is_none_or(|epochs| epochs > 0.0 && epochs <= 1e4), "train.epochs", "above 0, at most 10000")?;
        require(steps.is_none_or(|steps| steps > 0), "train.steps", "above 0")?;
        require(warmup_steps.is_none() || warmup.is_none(), "train", "one of warmup_steps and warmup")?;
        require(warmup.is_none_or(|share| (0.0..1.0).contains(&share)), "train.warmup", "a share below 1")?;
        require((0.0..1.0).contains(&weight_decay), "train.weight_decay", "a share below 1")?;
        require(betas.iter().all(|beta| (0.0..1.0).contains(beta)), "train.betas", "two numbers below 1")?;
        require(eps > 0.0 && eps < 1.0, "train.eps", "between 0 and 1")?;
        require(clip > 0.0, "train.clip", "above 0")?;
        require((0.0..1.0).contains(&dropout), "train.dropout", "a share below 1")?;
        require((0.0..1.0).contains(&self.dropout()[1]), "train.attention_dropout", "a share below 1")?;
        let parts = accumulate > 0 && self.blocks.batch_size.is_multiple_of(accumulate);
        require(parts, "train.accumulate", "a divisor of blocks.batch_size")?;
        require(log_every > 0, "train.log_every", "above 0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        name = "test"
        seed = 1
        [student]
        base = "a"
        [blocks]
        batch_size = 6
        [loss]
        masked_lm = 1.0
        [train]
        lr = 1e-3
        epochs = 3
        warmup = 0.25
        accumulate = 2
    "#;

    #[test]
    fn steps_follow_from_blocks() {
        let recipe = Recipe::parse(GOOD).unwrap();
        assert_eq!([recipe.steps(100), recipe.steps(1), recipe.warmup(50)], [50, 1, 13]);
        let fixed = Recipe::parse(&GOOD.replace("epochs = 3", "steps = 7").replace("warmup =", "#")).unwrap();
        assert_eq!([fixed.steps(100), fixed.warmup(7)], [7, 0]);
    }

    #[test]
    fn probabilities_are_dropped_as_states_are_unless_stated() {
        let of = |line: &str| Recipe::parse(&GOOD.replace("accumulate = 2", line)).unwrap().dropout();
        assert_eq!(of(""), [0.1, 0.1]);
        assert_eq!(of("dropout = 0.2"), [0.2, 0.2]);
        assert_eq!(of("attention_dropout = 0.0"), [0.1, 0.0]);
        assert_eq!(of("dropout = 0.0\nattention_dropout = 0.1"), [0.0, 0.1]);
    }

    #[test]
    fn a_broken_recipe_names_the_key() {
        let cases = [
            ("seed = 1", "seed = \"x\"", "seed"),
            ("lr = 1e-3", "lear = 1e-3", "lear"),
            ("lr = 1e-3", "lr = 0", "train.lr: expected between 0 and 1"),
            ("base = \"a\"", "base = \"a\"\nlayers = [1]", "student: expected one of base, config and layers"),
            ("warmup = 0.25", "attention_dropout = 1.0", "train.attention_dropout: expected a share"),
            ("batch_size = 6", "batch_size = 0", "blocks.batch_size: expected above 0"),
            ("batch_size = 6", "batch_size = 7", "train.accumulate: expected a divisor of blocks.batch_size"),
            ("batch_size = 6", "batch_size = 6\nmask = 1.5", "blocks.mask: expected a share"),
            ("epochs = 3", "epochs = 3\nsteps = 3", "train: expected one of epochs and steps"),
            ("epochs = 3", "", "train: expected one of epochs and steps"),
            ("warmup = 0.25", "warmup = 0.25\nwarmup_steps = 1", "train: expected one of warmup_steps and warmup"),
            ("warmup = 0.25", "betas = [0.9, 1.0]", "train.betas: expected two numbers below 1"),
            ("[loss]", "[evaluate]\nevery = 0\n[loss]", "evaluate.every: expected above 0"),
            ("[loss]", "[evaluate]\npatience = 0\n[loss]", "evaluate.patience: expected above 0"),
            ("batch_size = 6", "batch_size = 6\nmasks = 0", "blocks.masks: expected 1 to 9999"),
            ("batch_size = 6", "batch_size = 6\nmask_seed = 1", "blocks.mask_seed: expected blocks.masks"),
        ];
        for (from, to, expected) in cases {
            let error = Recipe::parse(&GOOD.replace(from, to)).expect_err(to).to_string();
            assert!(error.starts_with("recipe: ") && error.contains(expected), "{to}: {error}");
        }
    }

    #[test]
    fn a_cache_keeps_what_comes_again_and_only_words() {
        let good = GOOD
            .replace("[blocks]", "[teacher]\ncache = { top = 8 }\n[blocks]\nmasks = 2")
            .replace("masked_lm = 1.0", "divergence = 1.0\ntemperature = 2.0");
        assert_eq!(Recipe::parse(&good).unwrap().temperature(), 2.0);
        let layers = "weight = 1.0\nlayers = [[0, 0]]\n[train]";
        let cases = [
            ("top = 8", "top = 0".to_owned(), "teacher.cache.top: expected 1 to 65536"),
            ("top = 8", "best = 8".to_owned(), "best"),
            ("masks = 2", String::new(), "teacher.cache: expected blocks.masks"),
            ("divergence = 1.0", "masked_lm = 1.0".to_owned(), "teacher.cache: expected loss.divergence or"),
            ("cache =", "dropout = true\ncache =".to_owned(), "teacher.cache: expected teacher.dropout = false"),
            ("divergence", "soft_cross_entropy = 1.0\ndivergence".to_owned(), "expected loss.temperature = 1"),
            ("[train]", format!("[loss.hidden]\nmeasure = \"cosine\"\n{layers}"), "states and maps"),
            ("[train]", format!("[loss.attention]\nmeasure = \"squares\"\n{layers}"), "states and maps"),
        ];
        for (from, to, expected) in cases {
            let error = Recipe::parse(&good.replacen(from, &to, 1)).expect_err(&to).to_string();
            assert!(error.contains(expected), "{to}: {error}");
        }
    }
}
