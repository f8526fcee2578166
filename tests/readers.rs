//! Data sets of every format, written for these tests, and what is wrong with broken ones.

mod hostile;

use std::fs;
use std::path::{Path, PathBuf};

use clinlite::ErrorKind;
use clinlite::train::readers::{DataSet, Document, Format, RelationDocument, Sequence, read_texts};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/readers")
}

fn set(toml: &str) -> DataSet {
    toml::from_str(toml).expect("a data table")
}

fn read(toml: &str) -> Vec<Document> {
    set(toml).read(&fixtures()).expect("a good data set")
}

fn marked(document: &Document) -> Vec<(&str, String)> {
    document.spans.iter().map(|gold| (&document.text[gold.range.clone()], gold.labels.join("|"))).collect()
}

fn expected<'a>(pairs: &[(&'a str, &str)]) -> Vec<(&'a str, String)> {
    pairs.iter().map(|&(text, label)| (text, label.to_owned())).collect()
}

const PHEE: &str = "format = \"phee\"\npath = \"phee\"\nsplit = \"train\"";

const BRAT: &str = r#"
format = "brat"
path = "brat-set"
annotates = ["PROBLEM", "TEST"]
[map]
Sign_symptom = "PROBLEM"
Disease_disorder = "PROBLEM"
Diagnostic_procedure = ["TEST", "TREATMENT"]
Lab_value = "LAB_VALUE"
Biological_structure = "ANATOMY"
"#;

#[test]
fn brat_becomes_flat_spans_in_bytes() {
    let documents = read(BRAT);
    assert_eq!(documents.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["a1", "b2"]);
    let spans = expected(&[
        ("Temp", "TEST|TREATMENT"),
        ("38.5 °C", "LAB_VALUE"),
        ("acute renal\r\nfailure", "PROBLEM"), // longer than "renal failure", and over two lines
        ("lower arm", "ANATOMY"),              // "Left … lower arm": the gap is too wide
        ("Hepatic or renal pain", "PROBLEM"),  // "Hepatic … pain": the gap is short
    ]);
    assert_eq!(marked(&documents[0]), spans);
    assert_eq!(marked(&documents[1]), expected(&[("5 µg", "LAB_VALUE")]));
    assert!(set(BRAT).marks("TEST") && !set(BRAT).marks("LAB_VALUE"));
}

#[test]
fn splits_are_disjoint_and_named() {
    let with = |split: &str| format!("split = \"{split}\"\n{BRAT}");
    let ids = |split: &str| -> Vec<String> { read(&with(split)).into_iter().map(|d| d.id).collect() };
    assert_eq!((ids("train"), ids("dev")), (vec!["a1".to_owned()], vec!["b2".to_owned()]));
    let error = set(&with("test")).read(&fixtures()).expect_err("no such split").to_string();
    assert!(error.ends_with("split.tsv: has no split \"test\""), "{error}");
    let error = set(&with("hash:all")).read(&fixtures()).expect_err("no such split").to_string();
    assert!(error.contains("expected hash:train, hash:dev or hash:test"), "{error}");
    let plain = with("train").replace("brat-set", "brat-set/brat");
    let error = set(&plain).read(&fixtures()).expect_err("no split.tsv").to_string();
    assert!(error.ends_with("without a split.tsv, expected hash:train"), "{error}");
}

#[test]
fn conll_sentences() {
    let documents = read("format = \"conll\"\npath = \".\"\nsplit = \"sentences\"");
    assert_eq!(documents.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["sentences:1", "sentences:2"]);
    assert_eq!(documents[0].text, "Acute renal failure was lithium µ-induced");
    let first = [("Acute renal failure", "Disease"), ("lithium", "Chemical"), ("µ-induced", "Disease")];
    assert_eq!(marked(&documents[0]), expected(&first));
    assert_eq!(marked(&documents[1]), expected(&[("fever", "Disease"), ("cough", "Disease")]));
}

#[test]
fn json_records() {
    let documents = read("format = \"bio-json\"\npath = \"records.json\"\nmap = { CONDITION = \"PROBLEM\" }");
    assert_eq!(documents.len(), 2);
    assert_eq!(marked(&documents[0]), expected(&[("Mild fever", "PROBLEM")]));
    assert!(documents[1].spans.is_empty());
}

#[test]
fn pubtator_abstracts() {
    let documents = read("format = \"pubtator\"\npath = \".\"\nsplit = \"abstracts.PubTator.txt\"");
    assert_eq!(documents.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["11", "11#2"]);
    assert_eq!(documents[0].text, "Zyx 5 µg induced fever. Fever | rash followed zyx.");
    assert_eq!(marked(&documents[0]), expected(&[("Zyx", "Chemical"), ("fever", "Disease"), ("rash", "Disease")]));
    assert_eq!(documents[1].text, "Empty. ");
}

#[test]
fn texts_without_labels() {
    let read = |name: &str| -> Vec<(String, String)> {
        let documents = read_texts(&fixtures().join(name)).expect("texts");
        assert!(documents.iter().all(|document| document.spans.is_empty()));
        documents.into_iter().map(|document| (document.id, document.text)).collect()
    };
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|&(id, text)| (id.to_owned(), text.to_owned())).collect()
    };
    assert_eq!(read("texts"), pairs(&[("one", "First note.\r\n"), ("two", "Second note.\n")]));
    assert_eq!(read("notes.jsonl"), pairs(&[("7", "Note seven."), ("x", "Note\nx.")]));
    assert_eq!(read("notes.csv"), pairs(&[("E1", "Line one,\nline two"), ("E2", "plain")]));
    assert_eq!(read("records.json")[1], ("N2".to_owned(), "Nothing.".to_owned()));
    let error = read_texts(&fixtures().join("sentences.tsv")).expect_err("no text form").to_string();
    assert!(error.ends_with("expected a folder or a .txt, .jsonl, .json or .csv file"), "{error}");
}

#[test]
fn debug_shows_no_text() {
    let document = Document { id: "patient 7".into(), text: "secret".into(), spans: Vec::new() };
    assert_eq!(format!("{document:?}"), "Document(6 bytes, 0 spans)");
    let (sequence, relations) = (&sequences("format = \"tsv\"\npath = \"labelled.tsv\"")[0], &relations(PHEE)[0]);
    assert_eq!(format!("{sequence:?}"), "Sequence(6 bytes, 0 bytes, 1 labels)");
    assert_eq!(format!("{relations:?}"), "RelationDocument(75 bytes, 4 entities, 3 relations)");
    assert_eq!(format!("{:?}", relations.entities[0]), "Entity(6 bytes, \"Drug\")");
}

#[test]
fn sets_on_the_command_line() {
    let set: DataSet = "brat:some/folder:hash:dev".parse().expect("a set");
    assert_eq!(
        (set.format, set.path.as_path(), set.split.as_deref()),
        (Format::Brat, Path::new("some/folder"), Some("hash:dev"))
    );
    assert_eq!(set.with_split("test").split.as_deref(), Some("hash:test"));
    let set: DataSet = "bio-json:x.json".parse().expect("a set");
    assert_eq!((set.format, set.split.as_deref()), (Format::BioJson, None));
    assert_eq!(set.with_split("test").split.as_deref(), Some("test"));
    for wrong in ["brat", "brat:", "xml:x", ""] {
        let error = wrong.parse::<DataSet>().expect_err("no set").to_string();
        assert!(error.starts_with("expected FORMAT:PATH[:SPLIT] with a format of brat, conll, bio-json, "), "{error}");
    }
}

#[test]
fn recipes_are_read_strictly() {
    for wrong in
        ["format = \"brat\"", "format = \"xml\"\npath = \"x\"", "format = \"brat\"\npath = \"x\"\nspilt = \"dev\""]
    {
        assert!(toml::from_str::<DataSet>(wrong).is_err(), "{wrong}");
    }
    let misspelt = "format = \"conll\"\npath = \"sentences.tsv\"\nmap = { Disaese = \"PROBLEM\" }";
    let error = set(misspelt).read(&fixtures()).expect_err("no such label").to_string();
    assert!(error.ends_with("map names the label \"Disaese\", which does not occur there"), "{error}");
}

fn sequences(toml: &str) -> Vec<Sequence> {
    set(toml).read_sequences(&fixtures()).expect("a good data set")
}

/// Text, pair and labels.
fn said(sequence: &Sequence) -> (&str, &str, String) {
    (&sequence.text, sequence.pair.as_deref().unwrap_or("-"), sequence.labels.join("|"))
}

fn relations(toml: &str) -> Vec<RelationDocument> {
    set(toml).read_relations(&fixtures()).expect("a good data set")
}

/// `head label tail`, by the texts and labels of the entities.
fn related(document: &RelationDocument) -> Vec<String> {
    let entity = |at: usize| {
        let entity = &document.entities[at];
        format!("{}/{}", &document.text[entity.range.clone()], entity.label)
    };
    let relations = document.relations.iter();
    relations
        .map(|relation| format!("{} {} {}", entity(relation.head), relation.label, entity(relation.tail)))
        .collect()
}

#[test]
fn brat_relations() {
    let map = "map = { Diagnostic_procedure = \"TEST\", Lab_value = \"VALUE\", Sign_symptom = \"PROBLEM\" }";
    let documents = relations(&format!("format = \"brat\"\npath = \"brat-set\"\n{map}"));
    assert_eq!(related(&documents[0]), ["Temp/TEST MODIFY 38.5 °C/VALUE", "renal\r\nfailure/PROBLEM CAUSE Temp/TEST"]);
    assert_eq!(documents[0].entities.iter().map(|e| e.id.as_str()).collect::<Vec<_>>(), ["T1", "T2", "T3", "T6"]);
    assert!(documents[1].relations.is_empty());
    let fewer = map.replace("Lab_value = \"VALUE\", ", "");
    let renamed = "relations = { MODIFY = \"modifies\", \"*\" = \"other\" }";
    let documents = relations(&format!("format = \"brat\"\npath = \"brat-set\"\n{fewer}\n{renamed}"));
    assert_eq!(related(&documents[0]), ["renal\r\nfailure/PROBLEM other Temp/TEST"]);
}

#[test]
fn concepts_relate_all_their_mentions() {
    let documents = relations("format = \"pubtator\"\npath = \".\"\nsplit = \"cid.PubTator.txt\"");
    let expected = [
        "Abx/Chemical CID rash/Disease",
        "Abx/Chemical CID rash/Disease",
        "cdx/Chemical CID fever/Disease",
        "Abx/cdx/Chemical CID rash/Disease",
        "Abx/cdx/Chemical CID rash/Disease",
        "Abx/cdx/Chemical CID fever/Disease",
    ];
    assert_eq!(related(&documents[0]), expected);
    let entities = &documents[0].entities;
    assert_eq!(entities[3].concepts().collect::<Vec<_>>(), ["D1", "D2"]);
    assert_eq!(entities[5].concept, None);
    let stated: Vec<_> = documents[0].relations.iter().filter_map(|r| r.concepts.clone()).collect();
    assert_eq!(stated[5], ("D2".to_owned(), "D8".to_owned()));
    assert!(documents[1].entities.is_empty());
}

#[test]
fn drugs_and_their_effects() {
    let documents = relations(PHEE);
    let expected = [
        "drug A/Drug Adverse_event rash/Effect",
        "drug B/Drug Adverse_event rash/Effect",
        "drug B/Drug Potential_therapeutic_event pale and cold hands/Effect",
    ];
    assert_eq!(related(&documents[0]), expected);
    assert_eq!((documents[1].id.as_str(), documents[1].entities.len()), ("s2", 0));
    let flat = [("drug A", "Drug"), ("drug B", "Drug"), ("rash", "Effect"), ("pale and cold hands", "Effect")];
    assert_eq!(marked(&read(PHEE)[0]), self::expected(&flat));
}

#[test]
fn statements_about_trials() {
    let toml =
        "format = \"nli4ct\"\npath = \"nli4ct\"\nsplit = \"dev\"\nmap = { Entailment = \"yes\", \"*\" = \"no\" }";
    let found = sequences(toml);
    let compared = "Primary trial: INTERVENTION 1: Zyx 5 mg Secondary trial: Placebo";
    assert_eq!(said(&found[0]), (compared, "Both give zyx.", "no".to_owned()));
    assert_eq!(said(&found[1]), ("10 of 20", "Half improved.", "yes".to_owned()));
    let found = sequences(&toml.replace("nli4ct\"\npath", "nli4ct-section\"\npath"));
    assert_eq!(said(&found[1]), ("Outcome: 10 of 20", "Half improved.", "yes".to_owned()));
    assert_eq!(found.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["u2", "u1"]);
}

#[test]
fn questions_with_their_abstracts() {
    let found = sequences("format = \"pubmedqa\"\npath = \"pubmedqa/ori_pqal.json\"");
    assert_eq!(found[0].id, "901");
    assert_eq!(said(&found[0]), ("We asked. We found.", "Does zyx help?", "maybe".to_owned()));
    assert_eq!(said(&found[1]), ("Nobody fell.", "Is it safe?", "yes".to_owned()));
    let sure = sequences("format = \"pubmedqa\"\npath = \"pubmedqa/ori_pqal.json\"\nmap = { yes = \"yes\" }");
    assert_eq!((sure.len(), sure[0].id.as_str()), (1, "17"));
}

#[test]
fn rows_of_tables() {
    let found = sequences("format = \"mts-dialog\"\npath = \"mts\"\nsplit = \"ValidationSet\"");
    assert_eq!(said(&found[0]), ("None,\nas far as \"known\".", "-", "ALLERGY".to_owned()));
    assert_eq!((found[1].id.as_str(), said(&found[1])), ("1", ("Cough", "-", "CC".to_owned())));
    let found = sequences("format = \"csv\"\npath = \"labelled.csv\"");
    assert_eq!(said(&found[0]), ("One", "Two", "a".to_owned()));
    assert_eq!((found[1].id.as_str(), said(&found[1])), ("2", ("Three, four", "", "b".to_owned())));
    let found = sequences("format = \"tsv\"\npath = \"labelled.tsv\"");
    assert_eq!((found[0].id.as_str(), said(&found[0])), ("x", ("5\" cut", "-", "wound".to_owned())));
}

#[test]
fn records_of_one_or_many_labels() {
    let found = sequences("format = \"jsonl\"\npath = \"labelled.jsonl\"");
    assert_eq!((found[0].id.as_str(), said(&found[0])), ("7", ("Cough.", "-", "resp|new".to_owned())));
    assert_eq!(
        (found[1].id.as_str(), said(&found[1])),
        ("2", ("He coughs.", "He is well.", "contradiction".to_owned()))
    );
    assert_eq!(said(&found[2]), ("Nothing.", "-", String::new()));
    let resp = sequences("format = \"jsonl\"\npath = \"labelled.jsonl\"\nmap = { resp = \"R\" }");
    let labels: Vec<_> = resp.iter().map(|s| s.labels.join("|")).collect();
    assert_eq!(labels, ["R", ""], "all labels of the second are left out; the third has none to leave out");
}

#[test]
fn terms_of_a_sheet() {
    let toml = "format = \"isaric-icn\"\npath = \"terms.xlsx\"\n\
                map = { \"malignant neoplasm\" = \"malignant\", \"*\" = \"other\" }";
    let found = sequences(toml);
    let expected = [("2", "lung ca"), ("3", "Lung  CA"), ("4", "? mass & cyst"), ("6", "uti")];
    assert_eq!(found.iter().map(|s| (s.id.as_str(), s.text.as_str())).collect::<Vec<_>>(), expected);
    assert_eq!(
        found.iter().map(|s| s.labels[0].as_str()).collect::<Vec<_>>(),
        ["malignant", "malignant", "other", "other"]
    );
    let part =
        |name: &str| set(&format!("split = \"hash:{name}\"\n{toml}")).read_sequences(&fixtures()).unwrap_or_default();
    let parts: Vec<_> = ["train", "dev", "test"].map(part).into_iter().collect();
    assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 4);
    let twins = |part: &&Vec<Sequence>| part.iter().filter(|s| s.text.to_lowercase().starts_with("lung")).count() == 2;
    assert_eq!(parts.iter().filter(twins).count(), 1, "a term and its twin are on one side");
}

#[test]
fn i2b2_2010_concepts() {
    let documents = read("format = \"i2b2-2010\"\npath = \"i2b2-2010\"");
    assert_eq!(documents.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["record-1", "record-2"]);
    let first = [
        ("Zyx", "treatment"),
        ("Chest pain", "problem"),
        ("fever", "problem"),
        ("CT of the head", "test"),
        ("\"mass\"", "problem"),
    ];
    assert_eq!(marked(&documents[0]), expected(&first));
    // tokens are counted by single spaces there, and the concept over two lines is the longer
    assert_eq!(marked(&documents[1]), expected(&[("leg\r\nand arm", "problem")]));
}

#[test]
fn i2b2_2010_relations() {
    let documents = relations("format = \"i2b2-2010\"\npath = \"i2b2-2010\"");
    assert_eq!(documents.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["record-1:1", "record-1:2", "record-2:1"]);
    assert_eq!(related(&documents[0]), ["Zyx/treatment TrAP Chest pain/problem"]);
    assert_eq!(related(&documents[1]), ["CT of the head/test TeRP \"mass\"/problem"]);
    assert_eq!(documents[1].entities.len(), 3, "fever is a candidate, too");
    assert_eq!((documents[2].text.as_str(), documents[2].entities.len()), ("Pain  in leg", 1));
}

#[test]
fn i2b2_2010_assertions() {
    let found = sequences("format = \"i2b2-2010-assertion\"\npath = \"i2b2-2010\"");
    let texts = [
        ("Zyx 5 mg was  given for <PROBLEM> Chest pain </PROBLEM> .", "present"),
        ("No <PROBLEM> fever </PROBLEM> ; CT of the head shows \"mass\" .", "absent"),
        ("No fever ; CT of the head shows <PROBLEM> \"mass\" </PROBLEM> .", "possible"),
        ("Pain  in <PROBLEM> leg\r\nand arm </PROBLEM> .", "hypothetical"),
    ];
    assert_eq!(found.iter().map(|s| (s.text.as_str(), s.labels[0].as_str())).collect::<Vec<_>>(), texts);
    assert_eq!(found[3].id, "record-2:1");
}

#[test]
fn i2b2_2012_events_and_times() {
    let toml = "format = \"i2b2-2012\"\npath = \"i2b2-2012\"";
    let documents = read(toml);
    let spans = [
        ("Admission", "OCCURRENCE"),
        ("03/04/2005", "DATE"),
        ("a µ-CT & D&C", "TEST"),
        ("Fever", "PROBLEM"),
        ("two days later", "DATE"),
    ];
    assert_eq!(marked(&documents[0]), expected(&spans));
    assert_eq!(marked(&documents[1])[3], ("Fever", "EVENT".to_owned()), "1-based, CRLF, an event of no type");
    let classes = read(&format!("{toml}\nmap = {{ TEST = \"T\", TIMEX3 = \"WHEN\" }}"));
    assert_eq!(
        marked(&classes[0]),
        expected(&[("03/04/2005", "WHEN"), ("a µ-CT & D&C", "T"), ("two days later", "WHEN")])
    );
    let documents = relations(toml);
    let links = ["Admission/OCCURRENCE OVERLAP 03/04/2005/DATE", "Fever/PROBLEM AFTER 03/04/2005/SECTIME"];
    assert_eq!(related(&documents[0]), links);
    assert_eq!(documents[0].entities.len(), 6);
}

/// The label is the TYPE; what the map does not name goes by the name of the element.
#[test]
fn i2b2_2014_identifiers() {
    let toml = "format = \"i2b2-2014\"\npath = \"i2b2-2014\"";
    let fine = [("2067-05-03", "DATE"), ("O'Naïve", "DOCTOR"), ("St. Elsewhere", "HOSPITAL")];
    assert_eq!(marked(&read(toml)[0]), expected(&fine));
    let mapped = read(&format!("{toml}\nmap = {{ NAME = \"N\", LOCATION = \"L\", HOSPITAL = \"H\" }}"));
    assert_eq!(marked(&mapped[0]), expected(&[("O'Naïve", "N"), ("St. Elsewhere", "H")]).as_slice());
}

#[test]
fn n2c2_2018_drugs() {
    let toml = "format = \"n2c2-2018\"\npath = \"n2c2-2018\"\nsplit = \"training\"";
    let expected = [
        "5 mg/Strength Strength-Drug Zyx/Drug",
        "daily/Frequency Frequency-Drug Zyx/Drug",
        "fever/Reason Reason-Drug Zyx/Drug",
    ];
    assert_eq!(related(&relations(toml)[0]), expected);
    assert_eq!(read(toml)[0].spans.len(), 4);
}

#[test]
fn mednli_pairs() {
    let found = sequences("format = \"mednli\"\npath = \".\"\nsplit = \"train\"");
    assert_eq!(said(&found[0]), ("Zyx was given.", "He took zyx.", "entailment".to_owned()));
    assert_eq!((found.len(), found[1].id.as_str()), (2, "p1c"), "a pair without agreement is left out");
}

#[test]
fn a_format_holds_what_it_holds() {
    let error = set("format = \"pubmedqa\"\npath = \"x\"").read(&fixtures()).expect_err("no entities");
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(
        error.to_string().starts_with("format \"pubmedqa\" holds no entities, expected one of brat, conll, "),
        "{error}"
    );
    let error = set("format = \"conll\"\npath = \"x\"").read_relations(&fixtures()).expect_err("no relations");
    assert!(
        error.to_string().starts_with("format \"conll\" holds no relations, expected one of brat, pubtator, "),
        "{error}"
    );
    let error = set("format = \"brat\"\npath = \"x\"").read_sequences(&fixtures()).expect_err("no labels");
    assert!(
        error.to_string().starts_with("format \"brat\" holds no labelled texts, expected one of nli4ct, "),
        "{error}"
    );
    let several = "format = \"pubmedqa\"\npath = \"pubmedqa/ori_pqal.json\"\nmap = { yes = [\"a\", \"b\"] }";
    let error = set(several).read_sequences(&fixtures()).expect_err("two labels").to_string();
    assert!(error.ends_with("map gives 2 labels for one of the source, expected one"), "{error}");
    let misspelt = "format = \"phee\"\npath = \"phee/train.json\"\nrelations = { Adverse = \"x\" }";
    let error = set(misspelt).read_relations(&fixtures()).expect_err("no such label").to_string();
    assert!(error.ends_with("relations names the label \"Adverse\", which does not occur there"), "{error}");
}

/// A line that must not be read, and what the error must end with.
struct Broken {
    format: &'static str,
    file: &'static str,
    content: &'static [u8],
    error: &'static str,
}

const TEXT: &str = "Secret fever 😷 at night\n";

const BROKEN: &[Broken] = &[
    Broken {
        format: "brat",
        file: "d.ann",
        content: b"T1\tA 0 6\tSecret\nT2\tA 13 99\tnight\n",
        error: "d.ann:2: offsets 13..99 in a text of 24 characters",
    },
    Broken {
        format: "brat",
        file: "d.ann",
        content: b"T1\tA 7 x\tfever\n",
        error: "d.ann:1: an offset is not a number",
    },
    Broken {
        format: "brat",
        file: "d.ann",
        content: b"\nT1\tA 6 11\tfever\n",
        error: "d.ann:2: the stated text of 5 bytes is not what stands at the offsets",
    },
    Broken {
        format: "brat",
        file: "d.ann",
        content: b"T1\tA 7 12\n",
        error: "d.ann:1: 2 fields between tabs, expected id, label with offsets, text",
    },
    Broken { format: "brat", file: "d.ann", content: b"T1\tA\tfever\n", error: "d.ann:1: no offsets after the label" },
    Broken {
        format: "brat",
        file: "d.ann",
        content: b"Secret\n",
        error: "d.ann:1: the line starts with none of T E R A M * # N",
    },
    Broken { format: "brat", file: "d.ann", content: b"T1\tA 0 6\tSecret\nT2\t\xff\n", error: "d.ann:2: is not UTF-8" },
    Broken {
        format: "conll",
        file: "d.tsv",
        content: b"Secret\tO\nfever B-A\n",
        error: "d.tsv:2: no tab, expected a token, a tab and a tag",
    },
    Broken {
        format: "conll",
        file: "d.tsv",
        content: b"Secret\tO\n\nfever\tX-A\n",
        error: "d.tsv:3: unknown tag, expected O, or B-, I-, E- or S- and a label",
    },
    Broken { format: "conll", file: "d.tsv", content: b"\tO\n", error: "d.tsv:1: the token is empty" },
    Broken { format: "conll", file: "d.tsv", content: b"\n\n", error: "d.tsv: holds no documents" },
    Broken {
        format: "bio-json",
        file: "d.json",
        content: br#"[{"id":"a","text":"ok","entities":[]},{"id":"b","text":"Secret"}]"#,
        error: "d.json: record 2: expected nctid or id, text, and entities with start, end, text and type",
    },
    Broken {
        format: "bio-json",
        file: "d.json",
        content: br#"[{"id":"a","text":"Secret","entities":[{"start":0,"end":7,"text":"Secret","type":"A"}]}]"#,
        error: "d.json: record 1: entity 1: offsets 0..7 in a text of 6 characters",
    },
    Broken {
        format: "bio-json",
        file: "d.json",
        content: b"[{\"id\":\"a\",\n\"text\":\"Secret}]",
        error: "d.json:2: not a JSON array of records, column 16",
    },
    Broken {
        format: "pubtator",
        file: "d.txt",
        content: b"1|t|Secret\n1|a|Fever\n1\t7\t12\tSecret\tA\tD1\n",
        error: "d.txt:3: the stated text of 6 bytes is not what stands at the offsets",
    },
    Broken {
        format: "pubtator",
        file: "d.txt",
        content: b"1|t|Secret\n1|a|Fever\n2\t0\t6\tSecret\tA\tD1\n",
        error: "d.txt:3: the row belongs to no title above it",
    },
    Broken {
        format: "pubtator",
        file: "d.txt",
        content: b"1|t|Secret\n1|a|Fever\nSecret\n",
        error: "d.txt:3: neither title, abstract, mention nor relation",
    },
];

fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readers").join(name);
    let _ = fs::remove_dir_all(&folder); // from an earlier run
    fs::create_dir_all(&folder).expect("a scratch folder");
    folder
}

#[test]
fn broken_lines_are_named_and_not_quoted() {
    let mut wrong = Vec::new();
    for (number, case) in BROKEN.iter().enumerate() {
        let root = scratch(&number.to_string());
        let folder = if case.format == "brat" { root.join("set") } else { root.clone() };
        fs::create_dir_all(&folder).expect("a scratch folder");
        fs::write(folder.join(case.file), case.content).expect("a scratch file");
        let path = if case.format == "brat" { "set" } else { case.file };
        if case.format == "brat" {
            fs::write(folder.join("d.txt"), TEXT).expect("a scratch file");
        }
        let data = set(&format!("format = \"{}\"\npath = \"{path}\"", case.format));
        match data.read(&root) {
            Ok(_) => wrong.push(format!("case {number} ({}): was read", case.error)),
            Err(error) => {
                let message = error.to_string();
                if !message.ends_with(case.error) || message.contains("ecret") || error.kind() != ErrorKind::Data {
                    wrong.push(format!("case {number}: {message}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn known_broken_lines_can_be_passed_over() {
    let root = scratch("skip");
    fs::write(root.join("d.txt"), TEXT).expect("a scratch file");
    fs::write(root.join("d.ann"), "T1\tA 7 12\tfever\nT2\tA 0 5\tSecret\n").expect("a scratch file");
    assert!(set("format = \"brat\"\npath = \".\"").read(&root).is_err());
    let documents = set("format = \"brat\"\npath = \".\"\nskip = [\"d.ann:2\"]").read(&root).expect("skipped");
    assert_eq!(marked(&documents[0]), expected(&[("fever", "A")]));
}

#[test]
fn halves_of_a_brat_document_must_both_be_there() {
    let root = scratch("halves");
    fs::write(root.join("d.txt"), TEXT).expect("a scratch file");
    let error = set("format = \"brat\"\npath = \".\"").read(&root).expect_err("no .ann").to_string();
    assert!(error.ends_with("d.txt: has no .ann beside it"), "{error}");
    fs::write(root.join("e.ann"), "").expect("a scratch file");
    let error = set("format = \"brat\"\npath = \".\"").read(&root).expect_err("no .txt").to_string();
    assert!(error.ends_with("e.ann: has no .txt beside it"), "{error}");
    let error = set("format = \"brat\"\npath = \"absent\"").read(&root).expect_err("no folder");
    assert_eq!(error.kind(), ErrorKind::Io);
}

#[test]
fn broken_texts_are_named_and_not_quoted() {
    let root = scratch("texts");
    let cases: &[(&str, &[u8], &str)] = &[
        ("a.jsonl", b"{\"text\": \"ok\"}\n{\"text\": \"Secret\n", "a.jsonl:2: expected a JSON object with text"),
        ("a.csv", b"id,note\n1,\"Secret\n", "a.csv:2: a quoted cell does not end"),
        ("b.csv", b"id,note\n1,ok\n2,Secret,more\n", "b.csv:3: 3 cells, the header has 2"),
        ("c.csv", b"id,remark\n1,Secret\n", "c.csv: expected a column of [\"note\", \"section_text\", \"text\"]"),
        ("a.json", b"[{\"body\": \"Secret\"}]", "a.json: record 1: expected text"),
        ("a.txt", b"one\nSecret \xff", "a.txt:2: is not UTF-8"),
    ];
    for (name, content, expected) in cases {
        fs::write(root.join(name), content).expect("a scratch file");
        let error = read_texts(&root.join(name)).expect_err("broken").to_string();
        assert!(error.ends_with(expected) && !error.contains("ecret"), "{error}");
    }
}
