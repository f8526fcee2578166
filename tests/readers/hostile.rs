//! What readers must refuse: with the place, without the text, without a panic and without much memory.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use clinlite::ErrorKind;
use clinlite::train::readers::{DataSet, Holds};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::fixtures;
use crate::support::Scratch;

/// Reads all that the format holds; the first error.
fn read(set: &DataSet, root: &Path) -> clinlite::Result<()> {
    if set.format.holds(Holds::Spans) {
        set.read(root)?;
    }
    if set.format.holds(Holds::Relations) {
        set.read_relations(root)?;
    }
    if set.format.holds(Holds::Sequences) {
        set.read_sequences(root)?;
    }
    Ok(())
}

/// Files of a set, and what the error must say.
struct Case {
    set: &'static str,
    files: &'static [(&'static str, &'static str)],
    error: &'static str,
}

/// A note of i2b2 2010.
const NOTE: (&str, &str) = ("n.txt", "Secret fever .\nSecret cough .\n");
const CONCEPTS: (&str, &str) = ("n.con", "c=\"fever\" 1:1 1:1||t=\"problem\"\nc=\"cough\" 2:1 2:1||t=\"problem\"\n");

const CASES: &[Case] = &[
    Case {
        set: "brat:.",
        files: &[("d.txt", "Secret fever"), ("d.ann", "T1\tA 7 12\tfever\nR1\tX Arg1:T1 Arg2:T9\n")],
        error: "d.ann:2: the relation names an entity that the file does not have",
    },
    Case {
        set: "n2c2-2018:.",
        files: &[("d.txt", "Secret fever"), ("d.ann", "T1\tA 7 12\tfever\nR1\tSecret T1 T1\n")],
        error: "d.ann:2: expected R, a number, a tab, a label and two arguments",
    },
    Case {
        set: "pubtator:d.txt",
        files: &[("d.txt", "1|t|Secret\n1|a|fever\n1\t7\t12\tfever\tA\tD1\n1\tCID\tD1\tD2\n")],
        error: "d.txt:4: the relation names a concept that no mention above it has",
    },
    Case {
        set: "pubtator:d.txt",
        files: &[("d.txt", "1|t|Secret\n1|a|fever\n1|a|Secret\n")],
        error: "d.txt:3: a second abstract",
    },
    Case {
        set: "phee:d.json",
        files: &[("d.json", "{\"id\":\"1\",\"context\":\"Secret\",\"annotations\":[]}\n{\"context\":\"Secret\"}\n")],
        error: "d.json:2: expected an object with id, context, and annotations with events",
    },
    Case {
        set: "phee:d.json",
        files: &[(
            "d.json",
            r#"{"id":"1","context":"Secret","annotations":[{"events":[{"event_type":"A","Effect":{"text":[["Secret"]],"start":[[1]],"entity_id":["T1"]}}]}]}"#,
        )],
        error: "d.json:1: offsets 1..7 in a text of 6 characters",
    },
    Case {
        set: "phee:d.json",
        files: &[(
            "d.json",
            r#"{"id":"1","context":"Secret","annotations":[{"events":[{"event_type":"A","Effect":{"text":[["Secret"]],"start":[],"entity_id":["T1"]}}]}]}"#,
        )],
        error: "d.json:1: an argument with lists of different lengths: text, start, entity_id",
    },
    Case {
        set: "phee:d.json",
        files: &[(
            "d.json",
            r#"{"id":"1","context":"Secret","annotations":[{"events":[{"event_type":"A","Effect":{"text":[["Secret"]],"start":[[18446744073709551615]],"entity_id":["T1"]}}]}]}"#,
        )],
        error: "d.json:1: offsets 18446744073709551615..18446744073709551615 in a text of 6 characters",
    },
    Case {
        set: "nli4ct:d.json",
        files: &[(
            "d.json",
            r#"{"u":{"Type":"Single","Section_id":"R","Primary_id":"../Secret","Statement":"Secret","Label":"E","Primary_evidence_index":[0]}}"#,
        )],
        error: "d.json: record 1: the id of a trial is not letters and digits",
    },
    Case {
        set: "nli4ct:d.json",
        files: &[
            (
                "d.json",
                r#"{"u":{"Type":"Single","Section_id":"R","Primary_id":"N1","Statement":"Secret","Label":"E","Primary_evidence_index":[3]}}"#,
            ),
            ("ct_json/N1.json", r#"{"R":["Secret"]}"#),
        ],
        error: "d.json: record 1: evidence line 3 of 1 lines",
    },
    Case {
        set: "nli4ct-section:d.json",
        files: &[
            (
                "d.json",
                r#"{"u":{"Type":"Comparison","Section_id":"R","Primary_id":"N1","Statement":"Secret","Label":"E"}}"#,
            ),
            ("ct_json/N1.json", r#"{"R":["Secret"]}"#),
        ],
        error: "d.json: record 1: a comparison without Secondary_id",
    },
    Case {
        set: "nli4ct-section:d.json",
        files: &[
            (
                "d.json",
                r#"{"u":{"Type":"Single","Section_id":"X","Primary_id":"N1","Statement":"Secret","Label":"E"}}"#,
            ),
            ("ct_json/N1.json", r#"{"R":["Secret"]}"#),
        ],
        error: "d.json: record 1: the trial has no such section",
    },
    Case {
        set: "nli4ct:d.json",
        files: &[("d.json", "[\"Secret\"]")],
        error: "d.json:1: not a JSON object of records, column 0",
    },
    Case {
        set: "pubmedqa:d.json",
        files: &[("d.json", r#"{"1":{"QUESTION":"Secret","CONTEXTS":["Secret"],"final_decision":"yes"},"2":{}}"#)],
        error: "d.json: record 2: expected QUESTION, CONTEXTS and final_decision",
    },
    Case {
        set: "mts-dialog:d.csv",
        files: &[("d.csv", "ID,text,label\n1,Secret,A\n")],
        error: "d.csv:1: the header has no column \"section_text\"",
    },
    Case {
        set: "csv:d.csv",
        files: &[("d.csv", "text,label\n\"Secret\nnote\",A\nSecret,A,B\n")],
        error: "d.csv:4: 3 cells, the header has 2",
    },
    Case {
        set: "csv:d.csv",
        files: &[("d.csv", "text,label\nSecret,A\n\"Secret,B\n")],
        error: "d.csv:3: a quoted cell does not end",
    },
    Case { set: "tsv:d.tsv", files: &[("d.tsv", "text\tlabel\nSecret\t \n")], error: "d.tsv:2: the label is empty" },
    Case {
        set: "jsonl:d.jsonl",
        files: &[("d.jsonl", "{\"text\":\"Secret\",\"label\":\"A\",\"labels\":[]}\n")],
        error: "d.jsonl:1: expected an object with text, perhaps text_pair, and either label or labels",
    },
    Case {
        set: "mednli:d.jsonl",
        files: &[("d.jsonl", "{\"sentence1\":\"Secret\"}\n")],
        error: "d.jsonl:1: expected an object with pairID, sentence1, sentence2 and gold_label",
    },
    Case {
        set: "isaric-icn:d.xlsx",
        files: &[("d.xlsx", "Secret")],
        error: "d.xlsx: not a zip archive, expected xlsx",
    },
    Case { set: "i2b2-2010:.", files: &[NOTE], error: "n.txt: has no .con of its name below the folder" },
    Case {
        set: "i2b2-2010:.",
        files: &[NOTE, ("a/n.txt", "Secret"), CONCEPTS],
        error: "n.txt: a second file of this name below the folder",
    },
    Case {
        set: "i2b2-2010:.",
        files: &[NOTE, ("n.con", "c=\"fever\" 1:1 1:9||t=\"problem\"\n")],
        error: "n.con:1: the note has no such line or token",
    },
    Case {
        set: "i2b2-2010:.",
        files: &[NOTE, ("n.con", "\nc=\"Secret\" 1:1 1:1||t=\"problem\"\n")],
        error: "n.con:2: the stated text of 6 bytes is not what stands there",
    },
    Case {
        set: "i2b2-2010:.",
        files: &[NOTE, ("n.con", "c=\"fever\" 0:1 1:1||t=\"problem\"\n")],
        error: "n.con:1: expected c=\"text\" line:token line:token||t=\"label\"",
    },
    Case {
        set: "i2b2-2010:.",
        files: &[NOTE, CONCEPTS, ("n.rel", "c=\"fever\" 1:1 1:1||r=\"PIP\"||c=\"Secret\" 1:0 1:0\n")],
        error: "n.rel:1: the .con names no concept on one line at this place",
    },
    Case {
        set: "i2b2-2010:.",
        files: &[NOTE, CONCEPTS, ("n.rel", "c=\"fever\" 1:1 1:1||r=\"PIP\"||c=\"cough\" 2:1 2:1\n")],
        error: "n.rel:1: a relation between two lines",
    },
    Case {
        set: "i2b2-2010-assertion:.",
        files: &[NOTE, ("n.ast", "c=\"fever\" 1:1 1:1||t=\"problem\"\n")],
        error: "n.ast:1: expected c=\"text\" line:token line:token||t=\"label\"||a=\"assertion\"",
    },
    Case {
        set: "i2b2-2014:.",
        files: &[("d.xml", "<!DOCTYPE x [<!ENTITY a \"Secret\">]>\n<x><TEXT>&a;</TEXT><TAGS/></x>")],
        error: "d.xml:1: a document type is not read",
    },
    Case { set: "i2b2-2014:.", files: &[("d.xml", "<x>\n<TEXT>Secret")], error: "d.xml:2: 2 elements are not closed" },
    Case {
        set: "i2b2-2014:.",
        files: &[("d.xml", "<x><TEXT>Secret</TEXT>\n</Secret>")],
        error: "d.xml:2: not well-formed XML",
    },
    Case {
        set: "i2b2-2014:.",
        files: &[("d.xml", "<x><TAGS></TAGS></x>")],
        error: "d.xml: 0 elements TEXT, expected one",
    },
    Case {
        set: "i2b2-2014:.",
        files: &[("d.xml", "<a><a><a><a><a><a><a><a>\n<a/></a></a></a></a></a></a></a></a>")],
        error: "d.xml:2: elements deeper than 8",
    },
    Case {
        set: "i2b2-2014:.",
        files: &[(
            "d.xml",
            "<x><TEXT>Secret</TEXT><TAGS>\n<NAME id=\"P0\" start=\"0\" end=\"6\" text=\"Secret\" TYPE=\"PATIENT\"/>\n\
             <NAME id=\"P1\" start=\"0\" end=\"3\" text=\"Secret\" TYPE=\"PATIENT\"/></TAGS></x>",
        )],
        error: "d.xml:3: the stated text of 6 bytes is not what stands at the offsets",
    },
    Case {
        set: "i2b2-2014:.",
        files: &[(
            "d.xml",
            "<x><TEXT>Secret</TEXT><TAGS>\n<NAME id=\"P0\" start=\"0\" end=\"6\" text=\"Secret\"/></TAGS></x>",
        )],
        error: "d.xml:2: a tag without \"TYPE\"",
    },
    Case {
        set: "i2b2-2012:.",
        files: &[(
            "d.xml",
            "<x><TEXT>Secret</TEXT><TAGS>\n<EVENT id=\"E0\" start=\"0\" end=\"6\" text=\"Secret\" type=\"TEST\"/>\n\
             <TLINK id=\"L0\" fromID=\"E0\" toID=\"Secret\" type=\"AFTER\"/></TAGS></x>",
        )],
        error: "d.xml:3: the relation names an entity that the file does not have",
    },
];

#[test]
fn broken_sets_are_named_and_not_quoted() {
    let mut wrong = Vec::new();
    for (number, case) in CASES.iter().enumerate() {
        let scratch = Scratch::new();
        case.files.iter().for_each(|(name, content)| drop(scratch.file(name, content)));
        match read(&case.set.parse().expect("a set"), scratch.path()) {
            Ok(()) => wrong.push(format!("case {number} ({}): was read", case.error)),
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

/// 300 mentions of two concepts would be 22,500 relations.
#[test]
fn mentions_do_not_multiply_without_end() {
    let text = "a ".repeat(300);
    let mut lines = format!("1|t|{}\n1|a|b\n", text.trim_end());
    (0..300).for_each(|i| lines += &format!("1\t{}\t{}\ta\tA\tD{}\n", 2 * i, 2 * i + 1, i % 2));
    let scratch = Scratch::new();
    scratch.file("d.txt", lines + "1\tCID\tD0\tD1\n");
    let set: DataSet = "pubtator:d.txt".parse().expect("a set");
    let error = set.read_relations(scratch.path()).expect_err("too many").to_string();
    assert!(error.ends_with("d.txt:303: more than 10000 relations in one document"), "{error}");
}

fn archive(parts: &[(String, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        writer.start_file(name.as_str(), SimpleFileOptions::default().compression_method(method)).expect("an entry");
        writer.write_all(bytes).expect("memory");
    }
    writer.finish().expect("an archive").into_inner()
}

/// What a small file unpacks to is measured before it is read.
#[test]
fn sheets_that_unpack_without_end() {
    let scratch = Scratch::new();
    let part = |name: &str, size: usize| (name.to_owned(), vec![b' '; size]);
    let many: Vec<_> = (0..300).map(|i| part(&format!("p{i}"), 1)).collect();
    let large: Vec<_> = (0..9).map(|i| part(&format!("p{i}"), 8 << 20)).collect();
    let mut random = Random(7);
    let mut mixed: Vec<u8> = (0..1_000_000).map(|_| random.below(256) as u8).collect();
    mixed.resize(60 << 20, b' ');
    let large_but_thin: Vec<_> = (0..2).map(|i| (format!("p{i}"), mixed.clone())).collect();
    let mut lies = archive(&[part("p", 40 << 20)], CompressionMethod::Deflated);
    // the sizes of an entry are stated in its header and in the directory: both say 16 bytes
    for (magic, at) in [(b"PK\x03\x04", 22), (b"PK\x01\x02", 24)] {
        let start = lies.windows(4).position(|window| window == magic).expect("a header");
        lies[start + at..start + at + 4].copy_from_slice(&16_u32.to_le_bytes());
    }
    let cases = [
        (archive(&many, CompressionMethod::Stored), "300 entries in the archive, expected at most 256"),
        (
            archive(&large, CompressionMethod::Deflated),
            "entry 0 of the archive unpacks to more than 200 times its size",
        ),
        (archive(&large_but_thin, CompressionMethod::Deflated), "the archive unpacks to more than 64 MiB"),
        (lies, "entry 0 of the archive"),
        (archive(&[part("[Content_Types].xml", 3)], CompressionMethod::Stored), "not an xlsx workbook: no sheet"),
    ];
    for (bytes, expected) in cases {
        scratch.file("d.xlsx", bytes);
        let set: DataSet = "isaric-icn:d.xlsx".parse().expect("a set");
        let error = set.read_sequences(scratch.path()).expect_err(expected).to_string();
        assert!(error.contains("d.xlsx: ") && error.contains(expected), "{error}");
    }
}

/// One long string in every cell of a sheet, and a cell in the last row and column.
#[test]
fn sheets_whose_cells_multiply() {
    let mut parts = workbook();
    let string = "x".repeat(1 << 20);
    replace(&mut parts, "xl/sharedStrings.xml", |_| format!("<sst><si><t>{string}</t></si></sst>"));
    let cells: String = (1..=100).map(|i| format!("<row r=\"{i}\"><c r=\"A{i}\" t=\"s\"><v>0</v></c></row>")).collect();
    replace(&mut parts, "xl/worksheets/sheet1.xml", |_| {
        format!("<worksheet><sheetData>{cells}</sheetData></worksheet>")
    });
    let scratch = Scratch::new();
    let set: DataSet = "isaric-icn:d.xlsx".parse().expect("a set");
    scratch.file("d.xlsx", archive(&parts, CompressionMethod::Stored));
    let error = set.read_sequences(scratch.path()).expect_err("too much").to_string();
    assert!(error.ends_with("more than 1048576 cells, or more than 64 MiB in them"), "{error}");
    let mut parts = workbook();
    replace(&mut parts, "xl/worksheets/sheet1.xml", |xml| xml.replace("r=\"B6\"", "r=\"XFD1048576\""));
    scratch.file("d.xlsx", archive(&parts, CompressionMethod::Deflated));
    assert_eq!(set.read_sequences(scratch.path()).expect("a far cell is one cell").len(), 3);
}

/// The parts of the fixture.
fn workbook() -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(fixtures().join("terms.xlsx")).expect("the fixture");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).expect("an archive");
    let part = |i: usize| {
        let mut entry = archive.by_index(i).expect("an entry");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("its bytes");
        (entry.name().expect("its name").into_owned(), bytes)
    };
    (0..6).map(part).collect()
}

fn replace(parts: &mut [(String, Vec<u8>)], name: &str, change: impl Fn(String) -> String) {
    let part = parts.iter_mut().find(|part| part.0 == name).expect("a part");
    part.1 = change(String::from_utf8(std::mem::take(&mut part.1)).expect("UTF-8")).into_bytes();
}

/// SplitMix64: the same mutations on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) as u128 * bound as u128) >> 64) as usize
    }
}

/// What means something to one of the formats, or to none.
const TOKENS: &[&[u8]] = &[
    b"\t",
    b"\n",
    b"\r\n",
    b" ",
    b"\"",
    b"||",
    b":",
    b";",
    b",",
    b"|",
    b"-1",
    b"0",
    b"1",
    b"7",
    b"99999999999999999999",
    b"18446744073709551615",
    b"{",
    b"}",
    b"[",
    b"]",
    b"null",
    b"<",
    b">",
    b"&",
    b"&lt;",
    b"]]>",
    b"<![CDATA[",
    b"\0",
    b"\xff",
    "😷".as_bytes(),
    "\u{301}".as_bytes(),
    "\u{feff}".as_bytes(),
    b"T1",
    b"E1",
    b"O",
    b"B-",
    b"I-X",
    b"Arg1:",
];

/// One to four changes: a bit, a token in place of a byte or beside it, a stretch cut, doubled or moved.
fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(out.len() + 1);
        let end = (at + 1 + random.below(24)).min(out.len());
        let token = TOKENS[random.below(TOKENS.len())];
        match random.below(7) {
            0 if at < out.len() => out[at] ^= 1 << random.below(8),
            1 if at < out.len() => drop(out.splice(at..=at, token.iter().copied())),
            2 => drop(out.splice(at..at, token.iter().copied())),
            3 if at < end => drop(out.drain(at..end)),
            4 => out.truncate(at),
            5 | 6 if at < end => {
                let stretch = out[at..end].to_vec();
                let to = random.below(out.len() + 1);
                out.splice(to..to, stretch);
            }
            _ => {}
        }
    }
    out
}

/// Words of the notes of the fixtures. Names of labels and columns may stand in an error, these not.
const NOTE_TEXT: &[&str] = &["zyx", "fever", "rash", "cough", "renal", "lithium", "hands", "elsewhere"];

/// Nothing, or what is wrong with the way in which a reader took a file.
fn complaint(set: &DataSet, root: &Path) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| read(set, root))) {
        Err(_) => Some("a panic".into()),
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            let message = error.to_string();
            let lower = message.to_lowercase();
            let known = matches!(error.kind(), ErrorKind::Data | ErrorKind::Io);
            let quotes = NOTE_TEXT.iter().any(|word| lower.contains(word));
            (!known || quotes || !message.contains(&*root.to_string_lossy())).then_some(message)
        }
    }
}

/// A new file in place of the old one: some file systems flush one that is cut to nothing and written again.
fn overwrite(scratch: &Scratch, name: &str, bytes: Vec<u8>) {
    fs::remove_file(scratch.path().join(name)).expect("a file that is there");
    scratch.file(name, bytes);
}

/// A set of fixtures: its files below the fixtures, and how it is named.
const SETS: &[(&str, &[&str])] = &[
    (
        "brat:brat-set",
        &["brat-set/brat/a1.txt", "brat-set/brat/a1.ann", "brat-set/brat/b2.txt", "brat-set/brat/b2.ann"],
    ),
    ("conll:sentences.tsv", &["sentences.tsv"]),
    ("bio-json:records.json", &["records.json"]),
    ("pubtator:cid.PubTator.txt", &["cid.PubTator.txt"]),
    ("phee:phee/train.json", &["phee/train.json"]),
    ("nli4ct:nli4ct/dev.json", &["nli4ct/dev.json", "nli4ct/ct_json/NCT1.json", "nli4ct/ct_json/NCT2.json"]),
    ("pubmedqa:pubmedqa/ori_pqal.json", &["pubmedqa/ori_pqal.json"]),
    ("mts-dialog:mts/MTS-Dialog-ValidationSet.csv", &["mts/MTS-Dialog-ValidationSet.csv"]),
    ("isaric-icn:terms.xlsx", &["terms.xlsx"]),
    ("jsonl:labelled.jsonl", &["labelled.jsonl"]),
    ("csv:labelled.csv", &["labelled.csv"]),
    ("tsv:labelled.tsv", &["labelled.tsv"]),
    ("mednli:mli_train_v1.jsonl", &["mli_train_v1.jsonl"]),
    (
        "i2b2-2010:i2b2-2010/beth",
        &["i2b2-2010/beth/txt/record-1.txt", "i2b2-2010/beth/concept/record-1.con", "i2b2-2010/beth/rel/record-1.rel"],
    ),
    ("i2b2-2010-assertion:i2b2-2010/beth", &["i2b2-2010/beth/txt/record-1.txt", "i2b2-2010/beth/ast/record-1.ast"]),
    ("i2b2-2012:i2b2-2012", &["i2b2-2012/1.xml", "i2b2-2012/2.xml"]),
    ("i2b2-2014:i2b2-2014", &["i2b2-2014/Set1/220-01.xml"]),
    ("n2c2-2018:n2c2-2018/training", &["n2c2-2018/training/100035.txt", "n2c2-2018/training/100035.ann"]),
];

/// Mutations of each file.
const MUTATIONS: usize = 2_000;

#[test]
fn mutated_files() {
    let mut wrong = Vec::new();
    for (number, (name, files)) in SETS.iter().enumerate() {
        let scratch = Scratch::new();
        let set: DataSet = name.parse().expect("a set");
        let bytes = |file: &str| fs::read(fixtures().join(file)).expect("a fixture");
        files.iter().for_each(|file| drop(scratch.file(file, bytes(file))));
        read(&set, scratch.path()).expect("a good data set");
        for file in *files {
            let (good, mut random) = (bytes(file), Random(number as u64));
            for mutation in 0..MUTATIONS {
                overwrite(&scratch, file, mutate(&good, &mut random));
                let found = complaint(&set, scratch.path());
                wrong.extend(found.map(|message| format!("{file}, mutation {mutation}: {message}")));
            }
            scratch.file(file, good);
        }
    }
    assert!(wrong.is_empty(), "{} complaints\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}

/// A changed byte of an archive rarely gets past its checksums: here the parts are changed and packed again.
#[test]
fn mutated_parts_of_a_sheet() {
    let (scratch, parts) = (Scratch::new(), workbook());
    scratch.file("terms.xlsx", "");
    let set: DataSet = "isaric-icn:terms.xlsx".parse().expect("a set");
    let (mut random, mut wrong) = (Random(1), Vec::new());
    for mutation in 0..2 * MUTATIONS {
        let mut changed = parts.clone();
        let at = random.below(changed.len());
        changed[at].1 = mutate(&parts[at].1, &mut random);
        overwrite(&scratch, "terms.xlsx", archive(&changed, CompressionMethod::Stored));
        let found = complaint(&set, scratch.path());
        wrong.extend(found.map(|message| format!("{}, mutation {mutation}: {message}", parts[at].0)));
    }
    assert!(wrong.is_empty(), "{} complaints\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}
