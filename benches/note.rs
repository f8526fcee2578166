//! A note of any length for the benches of the rules: the same few paragraphs over and over, with mentions.

use std::ops::Range;

const PARAGRAPHS: &str = "\
CHIEF COMPLAINT: Chest pain.
HISTORY OF PRESENT ILLNESS: The patient is a ___-year-old man with a history of hypertension and diabetes who presented on
[**2101-3-4**] with two days of chest pain on exertion. He denies fever, chills, cough or leg swelling, but has dyspnea when he
climbs stairs. There is no evidence of heart failure. He was seen by Dr. [**Last Name**] at another hospital, where pulmonary
embolism was ruled out. Troponin was negative. Possible unstable angina.
PAST MEDICAL HISTORY:
1. Hypertension.
2. Diabetes mellitus, on metformin 500 mg p.o. b.i.d.
FAMILY HISTORY: Father had a myocardial infarction; mother with breast cancer.
PHYSICAL EXAM: BP 120/80, pulse 72. Lungs: clear, without wheezes or crackles. Abdomen: soft, no tenderness. No edema.
ASSESSMENT AND PLAN: Chest pain, likely angina, cannot exclude embolism. Return if fever or dyspnea. Stop ibuprofen.
";

const MENTIONS: [&str; 14] = [
    "chest pain",
    "hypertension",
    "diabetes",
    "fever",
    "chills",
    "cough",
    "dyspnea",
    "heart failure",
    "embolism",
    "angina",
    "wheezes",
    "tenderness",
    "edema",
    "cancer",
];

/// At least so many words, and where its mentions stand.
pub(super) fn note(words: usize) -> (String, Vec<Range<usize>>) {
    let note = PARAGRAPHS.repeat(words.div_ceil(PARAGRAPHS.split_whitespace().count()));
    let lower = note.to_ascii_lowercase();
    let mut mentions: Vec<_> = MENTIONS
        .iter()
        .flat_map(|mention| lower.match_indices(mention).map(|(at, text)| at..at + text.len()))
        .collect();
    mentions.sort_by_key(|range| range.start);
    (note, mentions)
}
