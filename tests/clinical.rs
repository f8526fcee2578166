//! Rules beside a model: placeholders in a tagged note, and `clinlite eval-assertion`.

use std::path::Path;
use std::process::{Command, Output};

use clinlite::backend::simd::SimdBackend;
use clinlite::clinical::{Knowledge, Polarity};
use clinlite::tasks::ner::{TagOptions, Tagger, Tagging};
use clinlite::text::{Aggregation, Decoding};
use pollster::block_on;

use crate::support::{Scratch, fixture};

fn tag(note: &str, window: (usize, usize), options: TagOptions) -> Tagging {
    let tagger = Tagger::load(SimdBackend::new(), &fixture("bert-bio")).expect("loads");
    block_on(tagger.with_window(window.0, window.1).tag(note, options)).expect("tags")
}

/// Whatever a random model says of them, in whatever windows.
#[test]
fn placeholders_are_never_tagged() {
    let note = "Denies [**Name**] fever ___ and <DATE> rash\u{301}, XXXX cough {{x}} 😀 [**2101-3-4**]___ no fever. "
        .repeat(6);
    let mut through = 0;
    for window in [(64, 16), (16, 4), (5, 1)] {
        for aggregation in Aggregation::ALL {
            for decoding in [Decoding::Argmax, Decoding::Viterbi] {
                let tagging = tag(&note, window, TagOptions { aggregation, decoding });
                let placeholders = &tagging.reading.placeholders;
                assert_eq!((tagging.coverage.placeholders, placeholders.len()), (42, 42));
                assert_eq!(tagging.coverage.tokens, tagging.coverage.judged);
                assert_eq!(tagging.findings.len(), tagging.entities.len());
                assert!(!tagging.entities.is_empty());
                for entity in &tagging.entities {
                    assert!(note.is_char_boundary(entity.start) && note.is_char_boundary(entity.end));
                    for place in placeholders.iter().filter(|p| p.start < entity.end && entity.start < p.end) {
                        assert!(entity.start < place.start && place.end < entity.end, "{entity:?} {place:?}");
                        through += 1;
                    }
                }
            }
        }
    }
    assert!(through > 0, "some entity goes on behind a placeholder");
}

#[test]
fn a_placeholder_is_one_piece_whatever_it_holds() {
    let options = TagOptions::default();
    let (short, long) = ("fever ___ rash ___", "fever [**Known lastname 12345**] rash [**2101-3-4**]");
    let (short, long) = (tag(short, (64, 8), options), tag(long, (64, 8), options));
    assert_eq!(short.coverage, long.coverage);
    let scores = |tagging: &Tagging| tagging.entities.iter().map(|e| (e.label, e.score.to_bits())).collect::<Vec<_>>();
    assert_eq!(scores(&short), scores(&long));
}

#[test]
fn findings_come_with_their_entities() {
    let tagger = Tagger::load(SimdBackend::new(), &fixture("bert-bio")).expect("loads");
    // Of whatever label, problems too, which acts do not touch otherwise.
    let rules = "MY-1 undone forward zzz\nMY-2 spare other problem";
    let knowledge = Knowledge::default().with_rules(rules).expect("two rules");
    let tagging = block_on(tagger.with_knowledge(knowledge).tag("zzz fever rash cough", TagOptions::default()));
    let tagging = tagging.expect("tags");
    assert!(!tagging.entities.is_empty());
    for (entity, finding) in tagging.entities.iter().zip(&tagging.findings) {
        let expected = if entity.start == 0 { Polarity::Affirmed } else { Polarity::Negated };
        assert_eq!((finding.assertion.polarity, finding.sentence), (expected, Some(0)), "{entity:?}");
    }
}

const NOTE: &str = "No fever or cough. Possible flu é. Rash was absent, no pain. Exam other than liver.";
const ANNOTATIONS: &str = "\
R1\tHas_negation Arg1:T1 Arg2:T9
*\tOR T1 T2
T1\tSign 3 8\tfever
T2\tSign 12 17\tcough
T3\tSign 28 31\tflu
A1\tPOLARITY T3 UNCERTAIN
T4\tSign 35 39\tRash
E1\tSign:T4
A2\tPOLARITY E1 NEG
T5\tSign 55 59\tpain
T6\tOrgan 77 82\tliver
R2\tHas_negation Arg1:T6 Arg2:T8
T8\tNegation 66 76\tother than
T9\tNegation 0 2\tNo
";

fn evaluate(text: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinlite"));
    let folder = text.parent().expect("a folder");
    command.arg("eval-assertion").arg(folder).args(arguments).output().expect("the program starts")
}

#[test]
fn rules_are_scored_on_brat() {
    let scratch = Scratch::new();
    let text = scratch.file("set/a.txt", NOTE);
    scratch.file("set/a.ann", ANNOTATIONS);
    let errors = scratch.file("errors.tsv", "");
    let output = evaluate(&text, &["--labels", "Sign,Organ", "--errors", errors.to_str().expect("readable")]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    let row = |class: &str, label: &str| -> Vec<String> {
        let cells = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
        let found = table.lines().map(cells).find(|cells| cells.len() > 2 && cells[0] == class && cells[1] == label);
        found.unwrap_or_else(|| panic!("no {class} {label} in {table}"))[2..].to_vec()
    };
    // Fever, cough and rash are denied by both, pain only by the rules; the liver is an exception.
    assert_eq!(row("negated", "Sign"), ["3", "1", "0", "75.0", "100.0", "85.7"]);
    assert_eq!(row("negated", "all"), row("negated", "Sign"));
    assert_eq!(row("possible", "all"), ["1", "0", "0", "100.0", "100.0", "100.0"]);
    let errors = std::fs::read_to_string(errors).expect("written");
    assert_eq!(errors, "negated\tfound\ta\tSign\t56\t60\tNEG-001\t\n");
}

#[test]
fn what_cannot_be_scored_is_named() {
    let scratch = Scratch::new();
    let text = scratch.file("set/a.txt", NOTE);
    let error = || String::from_utf8(evaluate(&text, &[]).stderr).expect("UTF-8");
    assert!(error().contains("has no .txt with an .ann beside it"));
    for (annotations, expected) in [
        ("T1\tSign", "line 1: no offsets"),
        ("T1\tSign 0 x\tNo", "line 1: an offset is not a number"),
        ("\nR1\tHas_negation Arg1:T1", "line 2: expected two arguments"),
        ("T1\tSign 0 9999\tNo", "9999"),
    ] {
        scratch.file("set/a.ann", annotations);
        let error = error();
        assert!(error.contains(expected) && error.contains("a.txt") && !error.contains("fever"), "{error}");
    }
}
