use super::*;
use crate::clinical::abbreviations::{List, find};

const TABLE: &str = "Pneumonia\t233604007\tSNOMED CT\tPneumonia (disorder)
pneumonia\tJ18.9\tICD-10-CM
Heart failure, congestive\t42343007\tSNOMED CT\r
Pneumonias\tX1\thouse list

aspirin\t1191\tRxNorm\taspirin
cold\tA\ncold\tB\ncold\tA
";

fn terms(table: &str) -> Terms {
    Terms::from_tsv(table.as_bytes().to_vec(), None).unwrap()
}

fn codes(links: &[Link]) -> Vec<(&str, &str)> {
    links.iter().map(|link| (link.code.as_str(), link.matched.name())).collect()
}

#[test]
fn links_by_hand() {
    let terms = terms(TABLE);
    assert_eq!(terms.len(), 8);
    for (text, expected) in [
        ("pneumonia", &[("J18.9", "exact"), ("233604007", "normalised"), ("X1", "normalised")][..]),
        ("Pneumonia", &[("233604007", "exact"), ("J18.9", "normalised"), ("X1", "normalised")]),
        (" PNEUMONIA\n", &[("233604007", "normalised"), ("J18.9", "normalised"), ("X1", "normalised")]),
        ("congestive heart failure", &[("42343007", "normalised")]),
        ("Aspirins", &[("1191", "normalised")]),
        ("cold", &[("A", "exact"), ("B", "exact"), ("A", "exact")]),
        ("heart", &[]),
        ("", &[]),
        ("...", &[]),
    ] {
        assert_eq!(codes(&terms.find(text)), expected, "{text:?}");
    }
    let link = &terms.find("Pneumonia")[0];
    assert_eq!(link.system.as_deref(), Some("http://snomed.info/sct"));
    assert_eq!(link.term, "Pneumonia (disorder)");
    let third = &terms.find("Pneumonia")[2];
    assert_eq!((third.system.as_deref(), third.term.as_str()), (Some("house list"), "Pneumonias"));
    assert_eq!(terms.find("cold")[0].system, None);
}

#[test]
fn a_heading_says_the_order() {
    let terms = Terms::from_tsv(
        "\u{feff}Code\tsource\tTERM\tSystem\tpreferred\tmore\r\nC1\tx\tMI\t\tmyocardial infarction\ty\r\n"
            .as_bytes()
            .to_vec(),
        Some("hpo"),
    )
    .unwrap();
    let link = Link {
        system: Some("http://human-phenotype-ontology.org".into()),
        code: "C1".into(),
        term: "myocardial infarction".into(),
        matched: Match::Exact,
    };
    assert_eq!(terms.find("MI"), [link]);
    assert!(terms.find("myocardial infarction").is_empty());
}

#[test]
fn abbreviations_are_written_out() {
    let terms = terms("acute congestive heart failure\tA\nCHF\tB\ncongestive heart failure\tC\n");
    let note = "congestive heart failure (CHF): acute CHF, CHF, ACHF";
    let short = find(note, &List::default());
    let link = |text: &str| {
        let start = note.rfind(text).unwrap();
        codes(&terms.find_mention(note, start..start + text.len(), &short))
            .iter()
            .map(|(code, how)| format!("{code} {how}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(link("acute CHF"), ["A normalised"]);
    // As it stands comes first.
    let first = note.find("CHF").unwrap();
    assert_eq!(codes(&terms.find_mention(note, first..first + 3, &short)), [("B", "exact")]);
    assert_eq!(link("ACHF"), [""; 0]);
    assert!(terms.find_mention(note, 0..1000, &short).is_empty());
}

#[test]
fn tables_are_checked_by_line() {
    for (table, part) in [
        ("pneumonia", "line 1: expected a term, a tab and a code"),
        ("a\tb\n\nc\t\n", "line 3: expected a term, a tab and a code"),
        ("\tb\n", "line 1: expected a term"),
        ("a\tb\tc\td\te\n", "line 1: 5 columns; name them"),
        ("term\tid\n", "line 1: a heading names term and code"),
        ("a\tb\n++\tc\n", "line 2: the term has no letter"),
    ] {
        let error = Terms::from_tsv(table.as_bytes().to_vec(), None).unwrap_err();
        assert!(error.to_string().starts_with(part), "{table:?}: {error}");
        assert_eq!(error.kind(), ErrorKind::Data);
    }
    let error = Terms::from_tsv(b"a\tb\nc\t\xff\n".to_vec(), None).unwrap_err();
    assert!(error.to_string().starts_with("line 2: not UTF-8"), "{error}");
    assert!(Terms::from_tsv(Vec::new(), None).unwrap().is_empty());
    assert_eq!(terms("term\tcode\n").len(), 0);
}

/// The index beside a walk over all lines.
#[test]
fn the_index_finds_what_a_walk_finds() {
    let words = ["heart", "Failure", "acute", "failures", "chronic", "HEART", "lung", "of", "left-sided"];
    let mut table = String::new();
    for i in 0..2000usize {
        let word = |by: usize| words[i / by % words.len()];
        table.push_str(&format!("{} {} {}\tC{i}\n", word(1), word(9), word(81)));
    }
    let terms = terms(&table);
    for line in table.lines().step_by(7) {
        let text = line.split('\t').next().unwrap().to_uppercase();
        let same = |term: &str| key(term) == key(&text);
        let rows = table.lines().map(|line| line.split_once('\t').unwrap()).filter(|(term, _)| same(term));
        let (exact, others): (Vec<_>, Vec<_>) = rows.partition(|(term, _)| *term == text);
        let walked: Vec<&str> = exact.into_iter().chain(others).map(|(_, code)| code).collect();
        let found = terms.find(&text);
        assert_eq!(found.iter().map(|link| link.code.as_str()).collect::<Vec<_>>(), walked, "{text}");
        assert!(!walked.is_empty());
    }
}

/// Keys whose hashes agree by accident are told apart.
#[test]
fn equal_hashes_are_not_equal_terms() {
    let mut seen = std::collections::BTreeMap::new();
    let pair = (0u32..).find_map(|i| {
        let term = format!("t{i}");
        let other = seen.insert(hash(&key(&term)), i)?;
        Some((format!("t{other}"), term))
    });
    let (one, other) = pair.unwrap();
    let terms = terms(&format!("{one}\tA\n{other}\tB\n"));
    assert_eq!(codes(&terms.find(&one)), [("A", "exact")]);
    assert_eq!(codes(&terms.find(&other)), [("B", "exact")]);
}
