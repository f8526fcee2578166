//! `clinlite eval-assertion`.

mod brat;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use clinlite::clinical::{Certainty, Finding, Knowledge, Mention, Polarity};

use self::brat::Gold;

#[derive(Args)]
#[command(after_help = "\
Examples:
  clinlite eval-assertion maccrobat2020/brat --labels Sign_symptom,Disease_disorder
  clinlite eval-assertion chia/brat --labels Condition --half report --errors errors.tsv

Reads .txt and .ann side by side. Denied are entities with the attribute POLARITY NEG or Negation, or at the head of a
relation Has_negation; only possible are those with POLARITY UNCERTAIN, MAYBE_POS or MAYBE_NEG. The rules see the
entities of the annotators, so that only the rules are scored.

The halves are by document: `develop` has the ids whose FNV-1a hash is even, `report` the others; of an id, what stands
before the first _ counts.")]
pub(crate) struct Arguments {
    /// A folder of brat files
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The labels to score [default: all]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    labels: Vec<String>,
    /// Which documents
    #[arg(long, value_enum, default_value = "all")]
    half: Half,
    /// More rules, in the form of docs/clinical.md
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Write each error: class, kind, document, label, first and last byte, rules
    #[arg(long, value_name = "FILE.tsv")]
    errors: Option<PathBuf>,
    /// Write the text of the sentence behind each error, too
    #[arg(long, requires = "errors")]
    with_text: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Half {
    /// Every document
    All,
    /// What rules are written on
    Develop,
    /// What figures are reported on
    Report,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    both: usize,
    found: usize,
    missed: usize,
}

impl Counts {
    fn figures(self) -> [f64; 3] {
        let share = |part: usize, rest: usize| if part == 0 { 0.0 } else { part as f64 / (part + rest) as f64 };
        let (precision, recall) = (share(self.both, self.found), share(self.both, self.missed));
        let f1 = share(2 * self.both, self.found + self.missed);
        [precision, recall, f1].map(|figure| figure * 100.0)
    }
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    let mut knowledge = Knowledge::default();
    if let Some(path) = &arguments.rules {
        let place = || path.display().to_string();
        let rules = fs::read_to_string(path).with_context(place)?;
        knowledge = knowledge.with_rules(&rules).with_context(place)?;
    }
    let mut score =
        Score { arguments: &arguments, knowledge, counts: BTreeMap::new(), documents: 0, errors: String::new() };
    for path in texts(&arguments.folder)? {
        score.document(&path).with_context(|| path.display().to_string())?;
    }
    if score.documents == 0 {
        bail!("{}: has no .txt with an .ann beside it", arguments.folder.display());
    }
    if let Some(path) = &arguments.errors {
        fs::write(path, &score.errors).with_context(|| path.display().to_string())?;
    }
    score.print(&mut io::stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}

fn texts(folder: &Path) -> Result<Vec<PathBuf>> {
    let context = || folder.display().to_string();
    let entries = fs::read_dir(folder).with_context(context)?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().with_context(context)?;
    paths.retain(|path| path.extension().is_some_and(|e| e == "txt") && path.with_extension("ann").is_file());
    paths.sort();
    Ok(paths)
}

/// FNV-1a, 64 bits: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn hash(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

struct Score<'a> {
    arguments: &'a Arguments,
    knowledge: Knowledge,
    /// By class and label.
    counts: BTreeMap<(&'static str, String), Counts>,
    documents: usize,
    errors: String,
}

impl Score<'_> {
    fn document(&mut self, path: &Path) -> Result<()> {
        let id = path.file_stem().unwrap_or_default().to_string_lossy();
        let develop = hash(id.split('_').next().unwrap_or_default()).is_multiple_of(2);
        if self.arguments.half != Half::All && (self.arguments.half == Half::Develop) != develop {
            return Ok(());
        }
        let (text, lines) = (fs::read_to_string(path)?, fs::read_to_string(path.with_extension("ann"))?);
        let labels = &self.arguments.labels;
        let mut gold = brat::read(&text, &lines)?;
        gold.retain(|gold| labels.is_empty() || labels.contains(&gold.label));
        let mentions: Vec<_> =
            gold.iter().map(|gold| Mention { range: gold.range.clone(), label: &gold.label }).collect();
        let reading = self.knowledge.read(&text);
        let findings = self.knowledge.judge(&text, &reading, &mentions);
        self.documents += 1;
        for (gold, finding) in gold.iter().zip(&findings) {
            let sentence = finding.sentence.map_or("", |sentence| &text[reading.sentences[sentence].clone()]);
            let negated = finding.assertion.polarity == Polarity::Negated;
            self.count("negated", gold.negated, negated, &id, gold, finding, sentence);
            let possible = finding.assertion.certainty == Certainty::Possible;
            self.count("possible", gold.possible, possible, &id, gold, finding, sentence);
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "one row of a table")]
    fn count(
        &mut self,
        class: &'static str,
        expected: bool,
        found: bool,
        id: &str,
        gold: &Gold,
        finding: &Finding,
        sentence: &str,
    ) {
        for label in ["", &gold.label] {
            let counts = self.counts.entry((class, label.to_owned())).or_default();
            match (expected, found) {
                (true, true) => counts.both += 1,
                (false, true) => counts.found += 1,
                (true, false) => counts.missed += 1,
                (false, false) => {}
            }
        }
        if expected != found {
            let rules: Vec<_> = finding.assertion.cues.iter().map(|cue| cue.rule.as_str()).collect();
            let kind = if found { "found" } else { "missed" };
            let place = format!("{}\t{}\t{}", gold.label, gold.range.start, gold.range.end);
            let text = if self.arguments.with_text { sentence.replace(['\n', '\r', '\t'], " ") } else { String::new() };
            self.errors += &format!("{class}\t{kind}\t{id}\t{place}\t{}\t{text}\n", rules.join(" "));
        }
    }

    fn print(&self, out: &mut impl Write) -> Result<()> {
        writeln!(out, "{} documents\n", self.documents)?;
        writeln!(
            out,
            "{:8}  {:24}  {:>5}  {:>5}  {:>6}    P      R      F1",
            "class", "label", "right", "wrong", "missed"
        )?;
        for ((class, label), counts) in &self.counts {
            let Counts { both, found, missed } = *counts;
            if both + found + missed == 0 {
                continue;
            }
            let label = if label.is_empty() { "all" } else { label };
            let [precision, recall, f1] = counts.figures();
            writeln!(
                out,
                "{class:8}  {label:24}  {both:5}  {found:5}  {missed:6}  {precision:5.1}  {recall:5.1}  {f1:5.1}"
            )?;
        }
        Ok(())
    }
}
