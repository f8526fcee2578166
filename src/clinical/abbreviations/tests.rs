use super::*;

fn pairs(note: &str) -> Vec<(String, String)> {
    let text = |range: Range<usize>| note[range].to_owned();
    definitions(note).into_iter().map(|found| (text(found.short), text(found.long))).collect()
}

#[test]
fn definitions_by_hand() {
    for (note, short, long) in [
        ("congestive heart failure (CHF) today", "CHF", "congestive heart failure"),
        ("CHF (congestive heart failure) today", "CHF", "congestive heart failure"),
        ("with congestive\nheart failure (CHF)", "CHF", "congestive\nheart failure"),
        ("No fever. Heart rate (HR) 80", "HR", "Heart rate"),
        ("a left ventricular ejection fraction (“LVEF”)", "LVEF", "left ventricular ejection fraction"),
        ("beta-blocker (BB; since May)", "BB", "beta-blocker"),
        ("chronic obstructive pulmonary disease (COPD, severe)", "COPD", "chronic obstructive pulmonary disease"),
        ("the 5-hydroxytryptamine (5-HT) level", "5-HT", "5-hydroxytryptamine"),
        ("im Übergang zur Geriatrie (ÜG)", "ÜG", "Übergang zur Geriatrie"),
    ] {
        assert_eq!(pairs(note), [(short.to_owned(), long.to_owned())], "{note}");
    }
}

#[test]
fn what_is_no_definition() {
    for note in [
        "fever (high)",
        "seen by cardiology (2020)",
        "potassium (K)",
        "congestive heart failure\n\n(CHF)",
        "He has failed. Chest (CHF)",
        "CHF exacerbation (CHF)",
        "heart failure (CHF",
        "pain (see above for a long list of things)",
        "(",
        ")",
        "()",
        "a (",
        "( (( )",
        "(a)(b)",
    ] {
        assert_eq!(pairs(note), [], "{note}");
    }
}

fn resolved(note: &str, list: &str) -> Vec<(String, String, bool)> {
    let list = List::from_tsv(list.as_bytes().to_vec()).unwrap();
    let found = find(note, &list);
    found.into_iter().map(|short| (note[short.range].to_owned(), short.long, short.defined.is_some())).collect()
}

#[test]
fn short_forms_are_resolved() {
    let (heart, list) =
        ("congestive heart failure", "CHF\tchronic hepatic failure\nPE\tpulmonary embolism\nc/o\tcomplains of\n");
    for (note, expected) in [
        ("congestive heart failure (CHF). CHF again, CHFs, chf, CHFX", &[("CHF", heart, true); 3][..]),
        (
            "CHF; congestive heart failure (CHF), CHF",
            &[("CHF", "chronic hepatic failure", false), ("CHF", heart, true), ("CHF", heart, true)],
        ),
        (
            "c/o PE, xPE, PE3, PE-like",
            &[("c/o", "complains of", false), ("PE", "pulmonary embolism", false), ("PE", "pulmonary embolism", false)],
        ),
        (
            "mitral stenosis (MS), MS; multiple sclerosis (MS), MS",
            &[
                ("MS", "mitral stenosis", true),
                ("MS", "mitral stenosis", true),
                ("MS", "multiple sclerosis", true),
                ("MS", "multiple sclerosis", true),
            ],
        ),
        ("", &[]),
    ] {
        let found = resolved(note, list);
        let found: Vec<_> =
            found.iter().map(|(short, long, defined)| (short.as_str(), long.as_str(), *defined)).collect();
        assert_eq!(found, expected, "{note}");
    }
}

#[test]
fn lists_are_checked_by_line() {
    for (list, part) in [
        ("CHF", "line 1: no tab"),
        ("short\tlong\nA\tb\n\nB", "line 4: no tab"),
        ("A\t\n", "line 1: expected two columns"),
        ("A\tb\tc\n", "line 1: expected two columns"),
        ("-\tminus\n", "line 1: the short form does not start"),
        ("A\tb\nC\td\nA\te\n", "line 3: the short form of line 1 again"),
    ] {
        let error = List::from_tsv(list.as_bytes().to_vec()).unwrap_err();
        assert!(error.to_string().starts_with(part), "{list:?}: {error}");
        assert_eq!(error.kind(), crate::ErrorKind::Data);
    }
    let error = List::from_tsv(b"A\tb\nC\t\xff".to_vec()).unwrap_err();
    assert!(error.to_string().starts_with("line 2: not UTF-8"), "{error}");
    let long = format!("{}\tx", "A".repeat(41));
    assert!(List::from_tsv(long.into_bytes()).unwrap_err().to_string().contains("40"));
    assert_eq!(List::from_tsv("\u{feff}Short\tLong\r\nA\tb\r\n".as_bytes().to_vec()).unwrap().len(), 1);
    assert!(List::from_tsv(Vec::new()).unwrap().is_empty());
}

/// What the paper's authors' algorithm finds in another implementation of it. Where that one differs on purpose is said
/// in the script.
#[test]
fn as_another_implementation() {
    #[derive(serde::Deserialize)]
    struct Case {
        text: String,
        pairs: Vec<(String, String)>,
    }
    let fixture = include_bytes!("../../../tests/fixtures/clinical/abbreviations.json");
    let cases: Vec<Case> = serde_json::from_slice(fixture).unwrap();
    assert!(cases.len() > 30);
    let mut wrong = Vec::new();
    for case in &cases {
        let found = pairs(&case.text);
        if found != case.pairs {
            wrong.push(format!("{:?}\n  expected {:?}\n  found    {found:?}", case.text, case.pairs));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
