//! The classic sentences. A mention stands between `<` and `>` with its expected properties behind it:
//! `n` negated, `p` possible, `y` hypothetical, `c` conditional, `h` historical, `f` family, `o` other; none for what is
//! affirmed, certain, current and of the patient.

mod denials;

use super::*;
use crate::clinical::{Finding, Knowledge, Mention};

/// The note without its marks, the mentions and what is expected of each.
fn unmark(marked: &str) -> (String, Vec<(Range<usize>, String)>) {
    let mut note = String::new();
    let mut mentions = Vec::new();
    for part in marked.split('<') {
        let Some((mention, rest)) = part.split_once('>') else {
            note += part;
            continue;
        };
        let start = note.len();
        note += mention;
        let flags = rest.len() - rest.trim_start_matches(|c: char| "npychfo".contains(c)).len();
        // Flags are directly followed by something that is no letter.
        mentions.push((start..note.len(), rest[..flags].to_owned()));
        note += &rest[flags..];
    }
    (note, mentions)
}

fn flags(assertion: &Assertion) -> String {
    let mut flags = String::new();
    let all = [
        (assertion.polarity == Polarity::Negated, 'n'),
        (assertion.certainty == Certainty::Possible, 'p'),
        (assertion.temporality == Temporality::Hypothetical, 'y'),
        (assertion.conditional, 'c'),
        (assertion.temporality == Temporality::Historical, 'h'),
        (assertion.experiencer == Experiencer::Family, 'f'),
        (assertion.experiencer == Experiencer::Other, 'o'),
    ];
    flags.extend(all.iter().filter(|(is, _)| *is).map(|(_, flag)| flag));
    flags
}

fn judged(knowledge: &Knowledge, note: &str, mentions: &[(Range<usize>, String)]) -> Vec<Finding> {
    let mentions: Vec<_> = mentions.iter().map(|(range, _)| Mention { range: range.clone(), label: "" }).collect();
    knowledge.judge(note, &knowledge.read(note), &mentions)
}

fn check(cases: &[&str]) {
    let knowledge = Knowledge::default();
    let mut failed = Vec::new();
    for marked in cases {
        let (note, mentions) = unmark(marked);
        for ((range, expected), finding) in mentions.iter().zip(judged(&knowledge, &note, &mentions)) {
            let found = flags(&finding.assertion);
            if *expected != found {
                let cues: Vec<_> =
                    finding.assertion.cues.iter().map(|cue| (&note[cue.range.clone()], &cue.rule)).collect();
                failed.push(format!("{marked:?}: {:?} is {found:?} by {cues:?}", &note[range.clone()]));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn negated() {
    check(&[
        "Denies <chest pain>n but has <fever>.",
        "The patient denies any <fever>n, <chills>n, <night sweats>n, <cough>n, or <weight loss>n.",
        "no <fever>n, <chills>n or <cough>n but has <rash>",
        "No <fever>n/<chills>n/<nausea>n.",
        "negative for <stroke>n/<cva>n",
        "MRI is negative for <stroke>n/<cva>n.",
        "No evidence of <pneumonia>n.",
        "without evidence of <metastasis>n",
        "There is no radiographic evidence of <fracture>n or <dislocation>n.",
        "<fever>n: none",
        "Fever: none. <Cough>n: no. <Rash>: yes.",
        "<PE>n was ruled out.",
        "CT ruled out <PE>n.",
        "No <mass>n is seen. <Effusion> persists.",
        "<Masses>n were not identified.",
        "neither <edema>n nor <cyanosis>n",
        "He no longer has <angina>n.",
        "w/o <headache>n",
        "She didn’t have <diarrhea>n.",
        "NO <RASH>n. <EDEMA> PRESENT.",
        "No <fever>n\nHas <cough>",
        "No <fever>n\n\n<cough>",
        "<MI>, no <edema>n",
        "Possible <pneumonia>p, no <effusion>n.",
        "History of <CHF>h, no <edema>n.",
        "Patient is free of <pain>n.",
        "The <rash>n has resolved.",
        "<Troponin elevation>n was absent.",
        "Lungs: clear, no <wheezes>n. Abdomen: <tender>",
        "no <fever>n [**2101-3-4**] or <chills>n",
        "No ___ or <fever>n",
        "She remained <seizure>n free.",
        "revealed no reported <variants>n",
        "<Calcification>n and an <expanded duct>n were not observed.",
        "There were no <symptoms of gout>n.",
        "<Foramen ovale>n (<PFO>n), <atrial septal defect>n (<ASD>n) and <anomalous veins>n were ruled out.",
        "no <perforation>n, extravasation of mucin into tissue, or <peritonitis>n",
        "<Biopsy>n was not performed.",
        "She stopped <aspirin>n. <Warfarin>n was discontinued.",
    ]);
}

#[test]
fn not_negated() {
    check(&[
        "No change in the <mass>.",
        "No significant interval change in the <pneumothorax>.",
        "<gram negative rods>",
        "Cultures grew gram negative rods, <sepsis>.",
        "ALLERGIES: No known\n<pneumonia>",
        "Allergies: none\nAssessment: <pneumonia>",
        "REVIEW OF SYSTEMS: No\nHISTORY OF PRESENT ILLNESS: <cough>",
        "not only <fever>",
        "The <pain> did not resolve.",
        "Allergies: <NKDA>",
        "He is <afebrile>, with <cough>.",
        "<Afebrile>. No <cough>n.",
        "no doubt that this is <pneumonia>",
        "<Fever> without <cough>n.",
        "[x] <fever> [ ] cough",
        "XX karyotype, <short stature>",
        "No fever was noted; CT showed <pneumonia>.",
        "No imaging was done, and the chest film showed <pneumonia>.",
        "<Pain>, no relief with aspirin. <Nausea>.",
        "He had no <ascites>n, the <mass> was resected.",
        "pain with or without <fever>",
        "including but not limited to <diabetes>",
        "no risk factors for <CAD>",
        "no <vasculitis>n confirming the diagnosis of <SS>",
        "",
    ]);
}

#[test]
fn uncertain() {
    check(&[
        "r/o <PE>p",
        "<MI>p not ruled out",
        "<MI>p has not been ruled out",
        "cannot exclude <pneumonia>p",
        "<Pneumonia>p cannot be excluded.",
        "possible <appendicitis>p",
        "?<DVT>p",
        "likely <viral syndrome>p",
        "<Pneumonia>p vs. <atelectasis>p",
        "concerning for <sepsis>p",
        "may represent <edema>p",
        "Findings are consistent with <CHF>.",
        "<Lymphoma>p is suspected.",
        "No <fever>n, possible <UTI>p.",
    ]);
}

#[test]
fn not_now() {
    check(&[
        "if <dyspnea>y, call",
        "return if <fever>y",
        "Return to the ED for <fever>y or <vomiting>y.",
        "Call if you have <chest pain>y.",
        "at risk for <falls>y",
        "acetaminophen prn <pain>y",
        "h/o <CABG>h",
        "history of <diabetes>h and <hypertension>h",
        "History of <CHF>h, now presents with <dyspnea>.",
        "s/p <appendectomy>h",
        "<Stroke>h in 1998.",
        "<MI>h ten years ago",
        "3 day history of <cough>",
        "<chest pain>c on exertion",
        "PMH: <DM2>h",
        "Past Medical History:\n1. <CHF>h\n2. <COPD>h\nMedications:\n<Lasix>",
        "PAST SURGICAL HISTORY: <Appendectomy>h.\nALLERGIES: <Penicillin>",
    ]);
}

#[test]
fn of_somebody_else() {
    check(&[
        "father had <MI>f",
        "mother with <breast cancer>f; patient has <HTN>",
        "Her mother died of <lung cancer>f. She has <asthma>.",
        "family history of <diabetes>f",
        "Family History: <CAD>f in brother. <Stroke>f.\nSocial History: <smoker>",
        "FH: no <cancer>nf\nROS: <cough>",
        "<Breast cancer>f in her maternal aunt",
        "Mother reports <fever>.",
        "Per mother, <vomiting> since yesterday.",
        "Mother denies <fever>n.",
        "Her husband has <influenza>o.",
        "Lives with his mother, has <cough>.",
    ]);
}

/// A test that was negative was done; one that was not done was not.
#[test]
fn labels_may_be_spared() {
    let knowledge = Knowledge::default();
    let cases = [
        ("cultures were negative", "Diagnostic procedure", ""),
        ("cultures were negative", "PROBLEM", "n"),
        ("cultures were not performed", "TEST", "n"),
        ("cultures were not performed", "Disease_disorder", ""),
        ("no cultures", "Disease_disorder", "n"),
        ("no mass in cultures", "ANATOMY", ""),
        ("family history of cultures", "LAB-VALUE", "f"),
    ];
    for (note, label, expected) in cases {
        let start = note.find("cultures").unwrap();
        let mention = Mention { range: start..start + "cultures".len(), label };
        let finding = knowledge.judge(note, &knowledge.read(note), &[mention]);
        assert_eq!(flags(&finding[0].assertion), expected, "{note:?} {label}");
    }
}

#[test]
fn the_cue_is_cited() {
    let note = "FAMILY HISTORY: Denies  any\nhistory of [**Name**] cancer. No change.";
    let start = note.find("cancer").unwrap();
    let findings = judged(&Knowledge::default(), note, &[(start..start + 6, String::new())]);
    let cues: Vec<_> =
        findings[0].assertion.cues.iter().map(|cue| (&note[cue.range.clone()], cue.rule.as_str())).collect();
    assert_eq!(cues, [("FAMILY HISTORY", "SEC-007"), ("Denies  any\nhistory of", "NEG-006")]);
    assert_eq!((findings[0].section, findings[0].sentence), (Some(0), Some(1)));
}

#[test]
fn a_caller_adds_rules_and_replaces_them() {
    let note = "nada de fever. no rash. bogus cough";
    let mention = |word: &str| {
        let start = note.find(word).unwrap();
        (start..start + word.len(), String::new())
    };
    let mentions = ["fever", "rash", "cough"].map(mention);
    let rules = "MY-1 negated forward:2 nada [de|]\nMY-2 pseudo - no\nMY-3 other forward bogus";
    let knowledge = Knowledge::default().with_rules(rules).unwrap();
    let found: Vec<_> = judged(&knowledge, note, &mentions).iter().map(|f| flags(&f.assertion)).collect();
    assert_eq!(found, ["n", "", "o"]);
    let knowledge = knowledge.with_rules("MY-1 possible forward nada").unwrap();
    assert_eq!(flags(&judged(&knowledge, note, &mentions)[0].assertion), "p");
    let knowledge = knowledge.with_sections("MY-9 allergies - historical nada de fever").unwrap();
    assert!(knowledge.with_sections("MY-9 allergies - sometimes nada").is_err());
}

/// A generator of Lehmer, so that a failure can be had again.
fn random(state: &mut u64) -> usize {
    *state = *state * 48_271 % 2_147_483_647;
    *state as usize
}

/// Ranges of whatever text are on borders of characters, in order and apart; nothing panics.
#[test]
fn any_text_can_be_read() {
    let parts: Vec<&str> =
        "no |fever|[**|**]|___|***|\n|\r\n| |.|:|PMH:|FAMILY HISTORY|\u{301}|é|😀|\0|\u{200B}|中|ﷺ|1.|- |Dr. |\
                            617-555-0143|@|{{|}}|XXXX|<NAME>|?|İ|ß|’|(|)|denies|if |\u{FEFF}|#|ΑΣ"
            .split('|')
            .collect();
    let knowledge = Knowledge::default();
    let mut state = 7;
    for _ in 0..3000 {
        let length = random(&mut state) % 30;
        let note: String = (0..length).map(|_| parts[random(&mut state) % parts.len()]).collect();
        let reading = knowledge.read(&note);
        let apart = |ranges: Vec<Range<usize>>| {
            let mut end = 0;
            for range in ranges {
                assert!(range.start >= end && note.get(range.clone()).is_some_and(|text| !text.is_empty()), "{note:?}");
                end = range.end;
            }
        };
        apart(reading.placeholders.clone());
        apart(reading.sentences.clone());
        apart(reading.sections.iter().map(|section| section.range.clone()).collect());
        apart(reading.sections.iter().map(|section| section.title.clone()).collect());
        apart(reading.warnings.iter().map(|warning| warning.range.clone()).collect());
        let kept: String = reading.sentences.iter().map(|range| &note[range.clone()]).collect();
        let solid = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(solid(&kept), solid(&note), "sentences hold everything");
        // Mentions of a caller may be anything.
        let mentions = [0..0, 0..note.len(), Range { start: 3, end: 1 }, note.len()..note.len() + 9, 2..5];
        let mentions = mentions.map(|range| Mention { range, label: "" });
        for finding in knowledge.judge(&note, &reading, &mentions) {
            apart(finding.assertion.cues.iter().map(|cue| cue.range.clone()).collect());
        }
    }
}

/// A megabyte of one repeated text, with a mention at each: seconds even without optimisation.
#[test]
fn time_is_linear_in_the_note() {
    let knowledge = Knowledge::default();
    for unit in ["no ", "no fever, ", "PMH: ", "if x\n", "denies any history ", "A B:\n", "cannot be ", "[**x**] no "] {
        let count = 1_000_000 / unit.len();
        let note = unit.repeat(count);
        let start = std::time::Instant::now();
        let mentions: Vec<_> =
            (0..count).map(|at| Mention { range: at * unit.len()..at * unit.len() + 2, label: "" }).collect();
        knowledge.judge(&note, &knowledge.read(&note), &mentions);
        assert!(start.elapsed().as_secs() < 20, "{unit:?} took {:?}", start.elapsed());
    }
}
