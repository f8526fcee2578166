//! How well the attributes of drugs and tests are found in maccrobat2020: `cargo run --release --no-default-features
//! --example attributes -- maccrobat2020/brat [--errors]`.
//!
//! Mentions are those of the data (Medication, Diagnostic_procedure), and so are the attributes: what a MODIFY relation
//! ties to them. An attribute is found when one of ours, of the same mention and a fitting name, overlaps it, and exact when
//! ours together cover the same text. One of ours is right when it overlaps an attribute of the same mention.

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::{env, fs};

use clinlite::clinical::attributes::{Attribute, Reader, is_short_form, share};
use clinlite::clinical::{laboratory, medication};

/// A type of the data, the names of ours that may stand for it, and the mentions that it modifies.
const TYPES: [(&str, &[&str], &str); 5] = [
    ("Dosage", &["dose", "frequency"], "Medication"),
    ("Frequency", &["frequency"], "Medication"),
    ("Administration", &["route", "form"], "Medication"),
    ("Duration", &["duration"], "Medication"),
    ("Lab_value", &["value", "unit"], "Diagnostic_procedure"),
];

#[derive(Default)]
struct Count {
    gold: usize,
    found: usize,
    exact: usize,
}

/// Found of the gold attributes, by type; right of ours, by name.
#[derive(Default)]
struct Figures {
    gold: BTreeMap<String, Count>,
    ours: BTreeMap<&'static str, [usize; 2]>,
}

struct Document {
    text: String,
    /// By id: type and bytes.
    spans: BTreeMap<String, (String, Range<usize>)>,
    /// Attribute and mention.
    modifies: Vec<(String, String)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let folder = arguments.first().ok_or("name the folder of .txt and .ann files")?;
    let errors = arguments.iter().any(|argument| argument == "--errors");
    let mut paths: Vec<_> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ann"));
    paths.sort();
    let mut figures = Figures::default();
    for path in &paths {
        let document = read(path)?;
        score(&document, "Medication", medication::attributes, &mut figures, errors);
        score(&document, "Diagnostic_procedure", laboratory::attributes, &mut figures, errors);
    }
    println!("{} documents\n{:22} {:>5} {:>7} {:>7}", paths.len(), "in the data", "count", "found", "exact");
    let percent = |part: usize, of: usize| 100.0 * part as f64 / of.max(1) as f64;
    for (name, count) in &figures.gold {
        let (found, exact) = (percent(count.found, count.gold), percent(count.exact, count.gold));
        println!("{name:22} {:5} {found:6.1}% {exact:6.1}%", count.gold);
    }
    println!("{:22} {:>5} {:>7}", "ours", "count", "right");
    for (name, [all, right]) in &figures.ours {
        println!("{name:22} {all:5} {:6.1}%", percent(*right, *all));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Document, Box<dyn Error>> {
    let text = fs::read_to_string(path.with_extension("txt"))?;
    let mut bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    bytes.push(text.len());
    let (mut spans, mut triggers, mut modifies) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for line in fs::read_to_string(path)?.lines() {
        let mut fields = line.split('\t');
        let (id, mark) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let words: Vec<&str> = mark.split([' ', ';', ':']).collect();
        match (id.chars().next(), words.as_slice()) {
            // The first fragment of those that have several.
            (Some('T'), [label, start, end, ..]) => {
                let range = bytes[start.parse::<usize>()?]..bytes[end.parse::<usize>()?];
                spans.insert(id.to_owned(), ((*label).to_owned(), range));
            }
            (Some('E'), [_, trigger, ..]) => drop(triggers.insert(id.to_owned(), (*trigger).to_owned())),
            (Some('R'), ["MODIFY", _, from, _, to]) => modifies.push(((*from).to_owned(), (*to).to_owned())),
            _ => (),
        }
    }
    let resolve = |id: String| triggers.get(&id).cloned().unwrap_or(id);
    let modifies = modifies.into_iter().map(|(from, to)| (resolve(from), resolve(to))).collect();
    Ok(Document { text, spans, modifies })
}

fn score(document: &Document, kind: &str, reader: Reader, figures: &mut Figures, errors: bool) {
    let Document { text, spans, modifies } = document;
    let mut mentions: Vec<(&str, Range<usize>)> = Vec::new();
    mentions.extend(
        spans.iter().filter(|(_, (label, _))| label == kind).map(|(id, (_, range))| (id.as_str(), range.clone())),
    );
    mentions.sort_by_key(|(_, range)| (range.start, range.end));
    mentions.dedup_by(|next, last| next.1.start < last.1.end);
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let limit = start..start + line.trim_end().len();
        start += line.len();
        let here: Vec<_> =
            mentions.iter().filter(|(_, range)| limit.start <= range.start && range.end <= limit.end).collect();
        let ranges: Vec<_> = here.iter().map(|(_, range)| range.clone()).collect();
        // A short form in parentheses and the name before it are one mention: the data ties attributes to either.
        let alias = |i: usize| i > 0 && i < ranges.len() && is_short_form(text, &ranges[i - 1], &ranges[i]);
        for (i, found) in
            share(text, &ranges, limit.clone(), reader).into_iter().enumerate().filter(|(i, _)| !alias(*i))
        {
            let names: Vec<&str> = here[i..=if alias(i + 1) { i + 1 } else { i }].iter().map(|(id, _)| *id).collect();
            let own = modifies.iter().filter(|(_, to)| names.contains(&to.as_str()));
            let gold: Vec<_> = own.filter_map(|(from, _)| spans.get(from)).collect();
            figures.add(text, &gold, &found, &text[ranges[i].start..limit.end], errors);
        }
    }
}

impl Figures {
    fn add(&mut self, text: &str, gold: &[&(String, Range<usize>)], found: &[Attribute], shown: &str, errors: bool) {
        let overlap = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
        for (label, range) in gold {
            let Some((_, names, _)) = TYPES.iter().find(|(name, ..)| name == label) else { continue };
            let digits = text[range.clone()].contains(|c: char| c.is_ascii_digit());
            let name = format!("{label} {}", if digits { "with digits" } else { "in words" });
            let count = self.gold.entry(name).or_default();
            let ours: Vec<_> =
                found.iter().filter(|one| names.contains(&one.name) && overlap(&one.range, range)).collect();
            count.gold += 1;
            count.found += usize::from(!ours.is_empty());
            let hull = ours.first().map(|first| first.range.start..ours[ours.len() - 1].range.end);
            count.exact += usize::from(hull.as_ref() == Some(range));
            if errors && hull.as_ref() != Some(range) {
                let ours = hull.map(|hull| &text[hull]);
                println!("{label}\t{:?}\tours {ours:?}\t{}", &text[range.clone()], shown.get(..120).unwrap_or(shown));
            }
        }
        for one in found.iter().filter(|one| TYPES.iter().any(|(_, names, _)| names.contains(&one.name))) {
            let right = gold
                .iter()
                .any(|(label, range)| overlap(&one.range, range) && TYPES.iter().any(|(name, ..)| name == label));
            let [all, count] = self.ours.entry(one.name).or_default();
            (*all, *count) = (*all + 1, *count + usize::from(right));
            if errors && !right {
                println!(
                    "spurious {}\t{:?}\t{}",
                    one.name,
                    &text[one.range.clone()],
                    shown.get(..120).unwrap_or(shown)
                );
            }
        }
    }
}
