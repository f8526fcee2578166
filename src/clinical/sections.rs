//! Sections: from each heading of a note to the next, with a category that does not depend on how it was worded.
//!
//! A heading is a known title at the start of a line, or after the end of a sentence, with a colon behind; a known title
//! alone on its line; or words in capitals at the start of a line with a colon behind that nobody knows, which begin a
//! section `other`. Categories and, where LOINC has one for the section, codes: `sections.rules`.

mod headings;

use std::ops::Range;

use self::headings::{Heading, Headings};
use super::assertion::CueKind;
use super::phrases::{Phrases, keep_latest, normal};
use super::rows::{self, refuse};
use crate::error::Result;

const SHIPPED: &str = include_str!("sections.rules");
/// A part of a note under one heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// From the title to the next heading, without white space at the edges.
    pub range: Range<usize>,
    /// The title, without its colon.
    pub title: Range<usize>,
    /// `history_of_present_illness`; `other` for a title that no rule knows.
    pub category: String,
    /// The LOINC code of such a section, where it has one.
    pub loinc: Option<String>,
    /// The id of the rule that knew the title, if one did.
    pub rule: Option<String>,
    /// What the section says of everything in it.
    pub says: Option<CueKind>,
}

/// Titles and what they mean.
pub(super) struct SectionRules {
    rows: Vec<Row>,
    /// Titles in their normal form with an index into `rows`, sorted.
    titles: Vec<(String, u32)>,
    phrases: Phrases,
}

struct Row {
    id: String,
    /// None for a heading inside a section.
    category: Option<String>,
    loinc: Option<String>,
    says: Option<CueKind>,
}

impl Default for SectionRules {
    fn default() -> Self {
        let none = Self { rows: Vec::new(), titles: Vec::new(), phrases: Phrases::default() };
        none.with(SHIPPED).expect("the rules that ship are read by a test")
    }
}

impl SectionRules {
    /// With the rows of a text, whose titles come before those of the same words.
    pub(super) fn with(mut self, text: &str) -> Result<Self> {
        rows::each(text, ["id", "category", "LOINC code or -", "what it says or -", "titles"], |fields| {
            let [id, category, loinc, says, titles] = fields;
            let given = |field: &str| (field != "-").then(|| field.to_owned());
            let says = match says {
                "-" => None,
                name => Some(CueKind::of(name).ok_or_else(|| {
                    refuse(format!("{name:?} is nothing a section says: expected -, {}", CueKind::names()))
                })?),
            };
            let row = self.rows.len() as u32;
            self.rows.push(Row { id: id.to_owned(), category: given(category), loinc: given(loinc), says });
            let titles = titles.split('|').map(normal);
            self.titles.extend(titles.filter(|title| !title.is_empty()).map(|title| (title, row)));
            Ok(())
        })?;
        keep_latest(&mut self.titles);
        self.phrases = Phrases::new(&self.titles);
        Ok(self)
    }

    /// The sections of a note, and the places at which headings end sentences, in order.
    pub(super) fn find(&self, note: &str, placeholders: &[Range<usize>]) -> (Vec<Section>, Vec<usize>) {
        let headings = Headings { note, placeholders, phrases: &self.phrases };
        let (mut sections, mut borders) = (Vec::<Section>::new(), Vec::new());
        for Heading { title, end, row } in headings.all() {
            borders.push(title.start);
            borders.extend(row.map(|_| end));
            let (id, category, loinc, says) = match row.map(|row| &self.rows[row as usize]) {
                Some(Row { category: None, .. }) => continue,
                Some(Row { id, category: Some(category), loinc, says }) => (Some(id), category.as_str(), loinc, *says),
                None => (None, "other", &None, None),
            };
            let (category, loinc, rule) = (category.to_owned(), loinc.clone(), id.cloned());
            sections.push(Section { range: title.start..note.len(), title, category, loinc, rule, says });
        }
        let mut end = note.len();
        for section in sections.iter_mut().rev() {
            section.range.end = section.range.start + note[section.range.start..end].trim_end().len();
            end = section.range.start;
        }
        (sections, borders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn outline(note: &str) -> String {
        let (sections, _) = SectionRules::default().find(note, &[]);
        let shown = |s: &Section| format!("{}={}", &note[s.title.clone()], s.category);
        sections.iter().map(shown).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn headings_by_hand() {
        let cases = [
            ("", ""),
            ("HPI: cough\nPMH: DM2", "HPI=history_of_present_illness; PMH=past_medical_history"),
            ("Past Medical History:\nCHF", "Past Medical History=past_medical_history"),
            ("ALLERGIES\nNone\n\nMedications\nLasix", "ALLERGIES=allergies; Medications=medications"),
            ("## Assessment and Plan\n**Plan:** rest", "Assessment and Plan=assessment_and_plan; Plan=plan"),
            ("IMPRESSION - no change", ""),
            ("SOCIAL HISTORY - smoker", "SOCIAL HISTORY=social_history"),
            ("2. Family history: MI", "Family history=family_history"),
            (
                "HPI: ok. PMH: CHF. Meds: none",
                "HPI=history_of_present_illness; PMH=past_medical_history; Meds=medications",
            ),
            ("the plan: rest, as her allergies: pollen", ""),
            ("Plan for today\nexam was normal", ""),
            ("BP: 120/80\nTemp: 37\nFever: none", ""),
            ("PREOPERATIVE DIAGNOSIS (ES):\nhernia", "PREOPERATIVE DIAGNOSIS=preoperative_diagnosis"),
            ("PHYSICAL EXAM:\nHEENT: clear\nLUNGS: clear\nPLAN: go", "PHYSICAL EXAM=physical_examination; PLAN=plan"),
            ("SPECIAL CIRCUMSTANCES OF CARE:\nnone at all here", "SPECIAL CIRCUMSTANCES OF CARE=other"),
            ("CHEST PAIN: NONE\nCOUGH: NONE", ""),
            ("HPI:\r\ncough\r\nROS:\r\nnegative", "HPI=history_of_present_illness; ROS=review_of_systems"),
        ];
        let mut failed = Vec::new();
        for (note, expected) in cases {
            let found = outline(note);
            if found != expected {
                failed.push(format!("{note:?}: {found}"));
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }

    /// The section names of MTS-Dialog (Ben Abacha et al. 2023) are all known.
    #[test]
    fn titles_of_a_collection_are_known() {
        let names = "FAM/SOCHX GENHX PASTMEDICALHX CC PASTSURGICAL ALLERGY ROS MEDICATIONS ASSESSMENT EXAM DIAGNOSIS \
                     DISPOSITION PLAN EDCOURSE IMMUNIZATIONS IMAGING GYNHX PROCEDURES OTHER_HISTORY LABS";
        let rules = SectionRules::default();
        for name in names.split_whitespace() {
            let (found, _) = rules.find(&format!("{name}: text"), &[]);
            assert!(found.len() == 1 && found[0].category != "other", "{name}");
        }
    }

    #[test]
    fn places_and_codes() {
        let note = "Seen today.\n\nFamily History:  father MI\n\nAllergies: none  ";
        let (sections, borders) = SectionRules::default().find(note, &[]);
        assert_eq!(&note[sections[0].range.clone()], "Family History:  father MI");
        assert_eq!(&note[sections[1].range.clone()], "Allergies: none");
        assert_eq!(sections[0].loinc.as_deref(), Some("10157-6"));
        assert_eq!((sections[0].says, sections[0].rule.as_deref()), (Some(CueKind::Family), Some("SEC-007")));
        assert_eq!(borders, [13, 28, 41, 51]);
    }

    #[test]
    fn what_is_no_rule_is_refused_with_its_line() {
        let cases = [
            ("X plan - -", "line 1: has no titles"),
            ("\n# x\nX plan - maybe plan", "line 3: \"maybe\" is nothing a section says"),
        ];
        for (text, expected) in cases {
            let error = SectionRules::default().with(text).err().unwrap();
            assert!(error.kind() == ErrorKind::Input && error.to_string().starts_with(expected), "{error}");
        }
        let rules = SectionRules::default().with("X my_own 1-8 other weird heading | plan").unwrap();
        let (found, _) = rules.find("Weird heading: a\nPlan: b", &[]);
        assert!(found.iter().all(|section| section.category == "my_own" && section.loinc.as_deref() == Some("1-8")));
        assert_eq!(found.len(), 2);
        // The same words are the same title.
        let rules = rules.with("Y other_own - - Assessment/plan").unwrap();
        let (found, _) = rules.find("Assessment / Plan: a", &[]);
        assert_eq!(found[0].category, "other_own");
    }
}
