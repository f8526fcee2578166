//! The forms in which data sets come.

use std::fmt;

use serde::Deserialize;

/// How a data set is written. `docs/data-formats.md` says which files each expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A folder of `ID.txt` with `ID.ann`, brat standoff, offsets in code points.
    Brat,
    /// `token<TAB>tag` lines with a blank line between sentences; a document is a sentence.
    Conll,
    /// An array of records with `text` and `entities` of `start`, `end`, `text`, `type`, in code points.
    BioJson,
    /// `id|t|title`, `id|a|abstract`, mention rows and relation rows of concepts, in code points; a document is title,
    /// space, abstract.
    Pubtator,
    /// PHEE: a JSON object a line with `context` and events; a document is a sentence.
    Phee,
    /// NLI4CT: an object of statements, the trials in `ct_json` beside it; the premise is the evidence.
    Nli4ct,
    /// The same with the whole section of the trial as the premise.
    Nli4ctSection,
    /// PubMedQA: an object of questions with their abstracts.
    Pubmedqa,
    /// MTS-Dialog: a CSV file of note sections and their headers.
    MtsDialog,
    /// ISARIC ICN: a sheet of free-text terms and controlled terms.
    IsaricIcn,
    /// MedNLI: an object a line with `sentence1`, `sentence2` and `gold_label`.
    Mednli,
    /// i2b2 2010: `ID.txt`, `ID.con` and, for relations, `ID.rel`; a document of relations is a line.
    #[serde(rename = "i2b2-2010")]
    I2b2Relations2010,
    /// i2b2 2010: `ID.txt` and `ID.ast`; a text is the line of a concept, which is marked in it.
    #[serde(rename = "i2b2-2010-assertion")]
    I2b2Assertions2010,
    /// i2b2 2012: XML with events, times and the temporal relations among them.
    #[serde(rename = "i2b2-2012")]
    I2b2Temporal2012,
    /// i2b2 2014: XML with what must be removed from a note.
    #[serde(rename = "i2b2-2014")]
    I2b2Deidentification2014,
    /// n2c2 2018, track 2: brat files of drugs and what is said of them.
    #[serde(rename = "n2c2-2018")]
    N2c2Drugs2018,
    /// An object a line with `text` (or `premise` and `hypothesis`) and `label` or `labels`.
    Jsonl,
    /// Comma-separated values with columns `text`, perhaps `text_pair`, and `label`.
    Csv,
    /// The same columns between tabs, nothing quoted.
    Tsv,
}

/// What can be read out of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Texts with entities, for [`super::DataSet::read`].
    Spans,
    /// Texts with entities and relations, for [`super::DataSet::read_relations`].
    Relations,
    /// Texts or pairs of texts with labels, for [`super::DataSet::read_sequences`].
    Sequences,
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spans => "entities",
            Self::Relations => "relations",
            Self::Sequences => "labelled texts",
        })
    }
}

use Holds::{Relations, Sequences, Spans};

/// Name and contents of each format.
const TABLE: &[(Format, &str, &[Holds])] = &[
    (Format::Brat, "brat", &[Spans, Relations]),
    (Format::Conll, "conll", &[Spans]),
    (Format::BioJson, "bio-json", &[Spans]),
    (Format::Pubtator, "pubtator", &[Spans, Relations]),
    (Format::Phee, "phee", &[Spans, Relations]),
    (Format::Nli4ct, "nli4ct", &[Sequences]),
    (Format::Nli4ctSection, "nli4ct-section", &[Sequences]),
    (Format::Pubmedqa, "pubmedqa", &[Sequences]),
    (Format::MtsDialog, "mts-dialog", &[Sequences]),
    (Format::IsaricIcn, "isaric-icn", &[Sequences]),
    (Format::Mednli, "mednli", &[Sequences]),
    (Format::I2b2Relations2010, "i2b2-2010", &[Spans, Relations]),
    (Format::I2b2Assertions2010, "i2b2-2010-assertion", &[Sequences]),
    (Format::I2b2Temporal2012, "i2b2-2012", &[Spans, Relations]),
    (Format::I2b2Deidentification2014, "i2b2-2014", &[Spans]),
    (Format::N2c2Drugs2018, "n2c2-2018", &[Spans, Relations]),
    (Format::Jsonl, "jsonl", &[Sequences]),
    (Format::Csv, "csv", &[Sequences]),
    (Format::Tsv, "tsv", &[Sequences]),
];

impl Format {
    /// All formats.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|&(format, _, _)| format)
    }

    /// As recipes and the command line write it.
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// What can be read out of it.
    pub fn holds(self, what: Holds) -> bool {
        TABLE.iter().any(|row| row.0 == self && row.2.contains(&what))
    }

    /// The names of the formats that hold something, with commas between.
    pub fn holding(what: Holds) -> String {
        let names: Vec<_> = Self::all().filter(|format| format.holds(what)).map(Self::name).collect();
        names.join(", ")
    }

    /// Whether a set is a folder of documents, not a file.
    pub(super) fn is_folder(self) -> bool {
        matches!(
            self,
            Self::Brat
                | Self::I2b2Relations2010
                | Self::I2b2Assertions2010
                | Self::I2b2Temporal2012
                | Self::I2b2Deidentification2014
                | Self::N2c2Drugs2018
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_recipes() {
        for format in Format::all() {
            let name = format.name();
            let read: Format = serde_json::from_value(name.into()).expect("a format");
            assert_eq!(read, format, "{name}");
        }
    }
}
