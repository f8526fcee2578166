//! brat standoff: the `.ann` file beside the note as `.txt`, byte for byte; places in code points.
//!
//! `T` lines are the entities. Where a line of the note ends inside one, or a tab stands there, it is written in
//! fragments, because a line of the file cannot hold either. What the note says of an entity is its attributes: `Negated`,
//! `Certainty`, `Temporality`, `Experiencer`, `Conditional`. Links are `N` lines. What is no letter, digit or `-` in a label
//! becomes `_`.
//! Scores, cues, sections and what belongs to an entity are not written. <https://brat.nlplab.org/standoff.html>

use std::ops::Range;

use super::annotation::{Annotation, Marked, placed};
use super::assertion::{Assertion, Named};
use super::check::{Checked, Placed};
use super::input;
use crate::error::Result;

/// The `.ann` file.
pub(super) fn write(checked: &Checked<'_>) -> String {
    let mut out = String::new();
    let (mut attributes, mut links) = (0, 0);
    for (i, placed) in checked.entities.iter().enumerate() {
        let id = format!("T{}", i + 1);
        out += &[&*id, "\t", &label(&placed.entity.label), &text_bound(checked.note, placed)].concat();
        for (name, value) in said(placed.entity.assertion.as_ref()) {
            attributes += 1;
            let value = value.map(|value| [" ", value].concat()).unwrap_or_default();
            out += &format!("A{attributes}\t{name} {id}{value}\n");
        }
        for link in &placed.entity.links {
            links += 1;
            let (system, code, term) = (system(&link.system), escaped(&link.code), line(&link.term));
            out += &format!("N{links}\tReference {id} {system}:{code}\t{term}\n");
        }
    }
    out
}

/// What breaks a line for any reader of lines, and the tab that divides its fields.
fn breaks(c: char) -> bool {
    matches!(c, '\t'..='\r' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// ` 0 5;8 12<TAB>text` of an entity; one that is nothing but line breaks is not divided.
fn text_bound(note: &str, placed: &Placed<'_>) -> String {
    let text = &note[placed.bytes.clone()];
    let mut fragments = Vec::new();
    let (mut at, mut words) = (placed.points.start, Vec::new());
    for part in text.split(breaks) {
        let end = at + part.chars().count();
        if at < end {
            fragments.push(format!("{at} {end}"));
            words.push(part);
        }
        at = end + 1;
    }
    if fragments.is_empty() {
        fragments.push(format!("{} {}", placed.points.start, placed.points.end));
    }
    format!(" {}\t{}\n", fragments.join(";"), words.join(" "))
}

/// A name as brat allows one in its configuration.
fn label(label: &str) -> String {
    label.replace(|c: char| !c.is_alphanumeric() && c != '-', "_")
}

fn line(text: &str) -> String {
    text.replace(breaks, " ")
}

/// The short names that configurations of brat have for code systems.
const SYSTEMS: [(&str, &str); 5] = [
    ("http://snomed.info/sct", "SNOMEDCT"),
    ("http://www.nlm.nih.gov/research/umls/rxnorm", "RXNORM"),
    ("http://loinc.org", "LOINC"),
    ("http://hl7.org/fhir/sid/icd-10-cm", "ICD10CM"),
    ("http://human-phenotype-ontology.org", "HPO"),
];

fn system(uri: &str) -> String {
    let short = SYSTEMS.iter().find(|(known, _)| *known == uri);
    // The first colon ends the system.
    short.map_or_else(|| escaped(uri).replace(':', "%3A"), |(_, short)| (*short).into())
}

/// Without what would end a word; `%` and the number of the character stand in its place.
fn escaped(text: &str) -> String {
    let special = |c: char| c.is_whitespace() || c.is_control() || c == '%';
    text.chars().map(|c| if special(c) { format!("%{:02X}", u32::from(c)) } else { c.into() }).collect()
}

/// Attributes by name and value; of what is said of every entity of which nothing is said, none.
fn said(assertion: Option<&Assertion>) -> Vec<(&'static str, Option<&'static str>)> {
    let Some(of) = assertion else { return Vec::new() };
    let plain = Assertion::default();
    let all = [
        (of.is_negated(), "Negated", None),
        (of.certainty != plain.certainty, "Certainty", Some(of.certainty.name())),
        (of.temporality != plain.temporality, "Temporality", Some(of.temporality.name())),
        (of.experiencer != plain.experiencer, "Experiencer", Some(of.experiencer.name())),
        (of.conditional, "Conditional", None),
    ];
    all.into_iter().filter(|(holds, ..)| *holds).map(|(_, name, value)| (name, value)).collect()
}

/// What an `.ann` file marks in its text. Fragments of one entity become one place, from the first to the last; other
/// lines than `T` and the attributes above say nothing here.
///
/// # Errors
/// [`crate::ErrorKind::Input`] for a line of another form, by its number, and for a place that does not lie in the text.
pub fn read(ann: &str, text: &str) -> Result<Vec<Annotation>> {
    let mut marks: Vec<(&str, Marked)> = Vec::new();
    for (line, number) in ann.split('\n').zip(1..) {
        let at = format!("line {number}");
        let (id, rest) = line.trim_end_matches('\r').split_once('\t').unwrap_or((line, ""));
        match id.chars().next() {
            Some('T') => marks.push((id, text_bound_of(rest, at)?)),
            Some('A' | 'M') => attribute(rest, &at, &mut marks)?,
            _ => (),
        }
    }
    placed(text, marks.into_iter().map(|(_, mark)| mark).collect())
}

fn text_bound_of(rest: &str, at: String) -> Result<Marked> {
    let wrong = || input(format!("{at}: expected T, a number, a tab, a label, places, a tab and a text"));
    let (label, places) = rest.split('\t').next().and_then(|mark| mark.split_once(' ')).ok_or_else(wrong)?;
    let fragment = |pair: &str| -> Option<Range<usize>> {
        let (start, end) = pair.split_once(' ')?;
        Some(start.parse().ok()?..end.parse().ok()?)
    };
    let fragments: Vec<_> = places.split(';').map(fragment).collect::<Option<_>>().ok_or_else(wrong)?;
    let start = fragments.iter().map(|range| range.start).min().ok_or_else(wrong)?;
    let end = fragments.iter().map(|range| range.end).max().ok_or_else(wrong)?;
    Ok(Marked { at, points: start..end, label: label.into(), assertion: None })
}

/// `Negated T1` or `Certainty T1 possible`, of an entity that stands above; attributes of other names say nothing.
fn attribute(rest: &str, at: &str, marks: &mut [(&str, Marked)]) -> Result<()> {
    let mut words = rest.split_whitespace();
    let (Some(name), Some(id), value) = (words.next(), words.next(), words.next()) else {
        return Err(input(format!("{at}: expected an attribute and what it is of")));
    };
    let Some((_, mark)) = marks.iter_mut().find(|(other, _)| *other == id) else { return Ok(()) };
    let mut of = mark.assertion.take().unwrap_or_default();
    let value = value.unwrap_or_default();
    match name {
        "Negated" => of.polarity = super::assertion::Polarity::Negated,
        "Certainty" => of.certainty = Named::of(value).unwrap_or(of.certainty),
        "Temporality" => of.temporality = Named::of(value).unwrap_or(of.temporality),
        "Experiencer" => of.experiencer = Named::of(value).unwrap_or(of.experiencer),
        "Conditional" => of.conditional = true,
        _ => (),
    }
    mark.assertion = Some(of);
    Ok(())
}
