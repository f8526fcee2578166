//! From what a tagger found to its [`Document`]: the border at which bytes become the reader's unit.

use std::ops::Range;

use super::assertion::{Assertion, Cue};
use super::json::{Abbreviation, Attribute, Coverage, Document, Entity, Link, Model, Place, SCHEMA, Section, Warning};
use super::{Engine, Length, rounded, sha256};
use crate::clinical::{self, Finding, Reading};
use crate::error::Result;
use crate::sort;
use crate::tasks::ner::Tagging;
use crate::text::decode::Span;
use crate::text::offsets::{self, OffsetUnit};

/// The document of one tagged note.
///
/// # Errors
/// [`crate::ErrorKind::Input`] when the note is not the one that was tagged.
pub fn document(tagging: &Tagging, note: &str, unit: OffsetUnit) -> Result<Document> {
    let places = Places::new(tagging, note, unit)?;
    let Reading { placeholders, sentences, sections, abbreviations, warnings } = &tagging.reading;
    let found = tagging.entities.iter().zip(&tagging.findings).enumerate();
    Ok(Document {
        schema: SCHEMA.into(),
        text_sha256: sha256(note),
        offset_unit: unit,
        length: Length::of(note),
        engine: Engine::new(&tagging.engine),
        model: Model::new(&tagging.model),
        coverage: coverage(tagging),
        sections: sections.iter().map(|section| places.section(section)).collect(),
        sentences: sentences.iter().map(|range| places.place(range)).collect(),
        placeholders: placeholders.iter().map(|range| places.place(range)).collect(),
        abbreviations: abbreviations.iter().map(|short| places.abbreviation(short)).collect(),
        entities: found.map(|(i, (span, finding))| places.entity(tagging, i, span, finding)).collect(),
        warnings: warnings.iter().map(|warning| places.warning(warning)).collect(),
    })
}

fn coverage(tagging: &Tagging) -> Coverage {
    let crate::tasks::ner::Coverage { tokens, judged, windows, max_length, stride, placeholders } = tagging.coverage;
    Coverage { tokens, windows, max_length, stride, truncated: judged < tokens, placeholders: Some(placeholders) }
}

/// Places of a note in bytes and in the unit of the document.
struct Places<'a> {
    note: &'a str,
    bytes: Vec<usize>,
    units: Vec<usize>,
}

impl<'a> Places<'a> {
    /// All places of a tagging.
    fn new(tagging: &Tagging, note: &'a str, unit: OffsetUnit) -> Result<Self> {
        let mut bytes = borders(tagging);
        sort::by(&mut bytes, usize::cmp);
        bytes.dedup();
        let units = offsets::from_bytes(note, &bytes, unit)?;
        Ok(Self { note, bytes, units })
    }

    fn unit(&self, byte: usize) -> usize {
        self.units[self.bytes.partition_point(|&known| known < byte)]
    }

    fn place(&self, range: &Range<usize>) -> Place {
        Place { start: self.unit(range.start), end: self.unit(range.end) }
    }

    fn text(&self, range: &Range<usize>) -> String {
        self.note[range.clone()].into()
    }

    fn section(&self, clinical::Section { range, title, category, loinc, .. }: &clinical::Section) -> Section {
        let Place { start, end } = self.place(range);
        Section { start, end, title: self.text(title), category: category.clone(), loinc: loinc.clone() }
    }

    fn abbreviation(&self, abbreviation: &clinical::Abbreviation) -> Abbreviation {
        let clinical::Abbreviation { range, long, defined } = abbreviation;
        let (Place { start, end }, defined) = (self.place(range), defined.as_ref().map(|range| self.place(range)));
        Abbreviation { start, end, short: self.text(range), long: long.clone(), defined }
    }

    fn warning(&self, clinical::Warning { code, kind, range }: &clinical::Warning) -> Warning {
        let Place { start, end } = self.place(range);
        Warning { code: (*code).into(), kind: kind.name().into(), start, end }
    }

    fn entity(&self, tagging: &Tagging, i: usize, span: &Span, finding: &Finding) -> Entity {
        let range = span.start..span.end;
        let Place { start, end } = self.place(&range);
        let section = finding.section.and_then(|section| tagging.reading.sections.get(section));
        Entity {
            id: format!("T{}", i + 1),
            start,
            end,
            text: self.text(&range),
            label: tagging.model.labels.types()[span.label].clone(),
            score: Some(rounded(span.score)),
            score_method: Some(tagging.options.aggregation.name().into()),
            assertion: Some(self.assertion(&finding.assertion)),
            section: section.map(|section| section.category.clone()),
            links: finding.links.iter().map(link).collect(),
            attributes: finding.attributes.iter().map(|attribute| self.attribute(attribute)).collect(),
        }
    }

    fn assertion(&self, assertion: &clinical::Assertion) -> Assertion {
        let clinical::Assertion { polarity, certainty, temporality, experiencer, conditional, cues } = assertion;
        let cue = |clinical::Cue { range, rule, .. }: &clinical::Cue| {
            let Place { start, end } = self.place(range);
            Cue { start, end, text: self.text(range), rule: rule.clone() }
        };
        Assertion {
            polarity: *polarity,
            certainty: *certainty,
            temporality: *temporality,
            experiencer: *experiencer,
            conditional: *conditional,
            cues: cues.iter().map(cue).collect(),
        }
    }

    fn attribute(&self, clinical::Attribute { name, range, value }: &clinical::Attribute) -> Attribute {
        let Place { start, end } = self.place(range);
        Attribute { name: (*name).into(), start, end, text: self.text(range), value: value.map(String::from) }
    }
}

fn link(clinical::Link { system, code, term, matched }: &clinical::Link) -> Link {
    let system = system.clone().unwrap_or_default();
    Link { system, code: code.clone(), term: term.clone(), matched: matched.name().into() }
}

/// Every place that a document states, in bytes.
fn borders(tagging: &Tagging) -> Vec<usize> {
    let Reading { placeholders, sentences, sections, abbreviations, warnings } = &tagging.reading;
    let mut ranges: Vec<&Range<usize>> = placeholders.iter().chain(sentences).collect();
    ranges.extend(sections.iter().map(|section| &section.range));
    for short in abbreviations {
        ranges.extend(&short.defined);
        ranges.push(&short.range);
    }
    ranges.extend(warnings.iter().map(|warning| &warning.range));
    for finding in &tagging.findings {
        ranges.extend(finding.assertion.cues.iter().map(|cue| &cue.range));
        ranges.extend(finding.attributes.iter().map(|attribute| &attribute.range));
    }
    let entities = tagging.entities.iter().flat_map(|span| [span.start, span.end]);
    ranges.into_iter().flat_map(|range| [range.start, range.end]).chain(entities).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clinical::{Knowledge, Mention, Terms};
    use crate::tasks::Computed;
    use crate::tasks::ner::{self, ModelInfo, TagOptions};
    use crate::text::Labels;

    const NOTE: &str = "PMH: 😀 congestive heart failure (CHF).\nMEDICATIONS: metoprolol 25 mg PO BID for CHF\n\
        LABS: potassium 5.9 (3.5-5.0)\nNo evidence of pneumonia at [**Hospital1 18**], call 555-123-4567.";
    const MENTIONS: [(&str, usize); 5] =
        [("congestive heart failure", 0), ("metoprolol", 1), ("CHF\n", 0), ("potassium", 2), ("pneumonia", 0)];

    /// What a tagger would find if it found all of them.
    fn tagging() -> Tagging {
        let names = ["O", "B-PROBLEM", "I-PROBLEM", "B-DRUG", "I-DRUG", "B-TEST", "I-TEST"].map(String::from);
        let labels = Labels::new(names.to_vec()).expect("a scheme");
        let terms = Terms::from_tsv(b"heart failure congestive\t42343007\n".to_vec(), Some("http://snomed.info/sct"));
        let knowledge = Knowledge::default().with_terms(terms.expect("a table"));
        let span = |&(text, label): &(&str, usize)| {
            let start = NOTE.find(text).expect("in the note");
            Span { start, end: start + text.trim_end().len(), label, tag: 2 * label + 1, score: 0.5 }
        };
        let entities: Vec<Span> = MENTIONS.iter().map(span).collect();
        let types = labels.types();
        let mention = |span: &Span| Mention { range: span.start..span.end, label: &types[span.label] };
        let reading = knowledge.read(NOTE);
        let findings = knowledge.judge(NOTE, &reading, &entities.iter().map(mention).collect::<Vec<_>>());
        let placeholders = reading.placeholders.len();
        let coverage = ner::Coverage { tokens: 1, judged: 1, windows: 1, max_length: 128, stride: 32, placeholders };
        let engine = Computed { backend: "simd", reason: None };
        let model = ModelInfo { id: "by hand".into(), version: String::new(), sha256: "0".repeat(64), labels };
        Tagging { entities, findings, reading, coverage, engine, model, options: TagOptions::default() }
    }

    #[test]
    fn what_the_rules_read_stands_in_the_document_in_every_unit() {
        for unit in [OffsetUnit::Utf8, OffsetUnit::Utf16, OffsetUnit::CodePoint] {
            let document = document(&tagging(), NOTE, unit).expect("of this note");
            document.check(NOTE).expect("every place holds what is said of it");
            let [failure, drug, short, test, pneumonia] = &document.entities[..] else { panic!("five entities") };
            let said = |entity: &Entity| entity.assertion.clone().expect("an assertion");
            assert_eq!(said(failure).temporality, clinical::Temporality::Historical);
            assert_eq!(failure.section.as_deref(), Some("past_medical_history"));
            let attributes = |entity: &Entity| -> Vec<[String; 2]> {
                entity.attributes.iter().map(|other| [other.name.clone(), other.text.clone()]).collect()
            };
            let expected =
                [["dose", "25 mg"], ["route", "PO"], ["frequency", "BID"]].map(|pair| pair.map(String::from));
            assert_eq!(attributes(drug), expected);
            assert_eq!(test.attributes.iter().find_map(|other| other.value.as_deref()), Some("high"));
            for entity in [failure, short] {
                assert_eq!(entity.links[0].code, "42343007", "{}", entity.text);
            }
            let Assertion { polarity, cues, .. } = said(pneumonia);
            assert_eq!((polarity, &*cues[0].text), (clinical::Polarity::Negated, "No evidence of"));
            assert_eq!((document.coverage.placeholders, document.placeholders.len()), (Some(1), 1));
            assert_eq!((&*document.abbreviations[0].short, &*document.warnings[0].kind), ("CHF", "phone"));
        }
    }
}
