//! WordPiece of our own beside the `tokenizers` crate, on generated and hard real strings.
//!
//! `CLINLITE_FUZZ=5000000 cargo test --release text::` runs more generated strings than the 100,000 of every run.
//! `CLINLITE_TOKENIZER=path/to/tokenizer.json` adds a vocabulary, `CLINLITE_TEXTS=folder` adds every line of its files.

use std::collections::HashMap;

use clinlite::text::offsets::from_bytes;
use clinlite::text::{Aggregation, Decoding, Encoding, Labels, Normalization, OffsetUnit, Tokenizer, decode};
use serde_json::Value;
use tokenizers::Normalizer;
use tokenizers::normalizers::BertNormalizer;

/// xorshift64*: the same strings on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn between(&mut self, first: u32, last: u32) -> char {
        loop {
            if let Some(c) = char::from_u32(first + self.below((last - first + 1) as usize) as u32) {
                return c;
            }
        }
    }
}

const HARD: [char; 56] = [
    '\u{0}',
    '\u{1}',
    '\t',
    '\n',
    '\r',
    '\u{B}',
    '\u{C}',
    '\u{1F}',
    '\u{7F}',
    '\u{85}',
    '\u{A0}',
    '\u{AD}',
    'µ',
    '°',
    '½',
    'ß',
    'ẞ',
    'İ',
    'ı',
    'I',
    'K',
    'Å',
    'ſ',
    'ﬁ',
    'Σ',
    'ς',
    'Ǆ',
    'ŉ',
    'ΐ',
    'é',
    'Ṩ',
    'ự',
    '≠',
    '≮',
    '\u{37E}',
    '\u{1FEF}',
    '…',
    '“',
    '—',
    '‿',
    '€',
    '\u{200B}',
    '\u{200D}',
    '\u{2028}',
    '\u{202E}',
    '\u{2060}',
    '\u{3000}',
    '\u{FEFF}',
    '\u{FFFC}',
    '\u{FFFD}',
    '\u{FE0F}',
    '\u{1F468}',
    '\u{1F3FD}',
    '\u{E000}',
    '\u{F8FF}',
    '\u{10FFFF}',
];

/// Characters whose decomposition or reordering is unusual.
const MARKS: [char; 24] = [
    '\u{300}',
    '\u{301}',
    '\u{323}',
    '\u{327}',
    '\u{344}',
    '\u{345}',
    '\u{F71}',
    '\u{F72}',
    '\u{F73}',
    '\u{F75}',
    '\u{F81}',
    '\u{1B44}',
    '\u{302E}',
    '\u{302F}',
    '\u{9CB}',
    '\u{9BE}',
    '\u{CC0}',
    '\u{CD5}',
    '\u{1D15E}',
    '\u{1D160}',
    '\u{1D165}',
    '\u{1D16D}',
    '\u{A9C0}',
    '\u{111C0}',
];

/// Chinese, compatibility ideographs that decompose, Hangul syllables.
const BLOCKS: [(u32, u32); 5] =
    [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F), (0xAC00, 0xD7A3)];

fn character(random: &mut Random) -> char {
    match random.below(16) {
        0..=5 => random.between(0x61, 0x7A),
        6 => random.between(0x20, 0x7E),
        7 => ' ',
        8 => random.of(&HARD),
        9 => random.of(&MARKS),
        10 => random.between(0xA0, 0x24F),
        11 => random.between(0x300, 0x36F),
        12 => {
            let (first, last) = random.of(&BLOCKS);
            random.between(first, last)
        }
        13 => random.between(0x2000, 0x2BFF),
        14 => random.between(0x250, 0x1FFF),
        _ => random.between(0, 0x10_FFFF),
    }
}

fn string(random: &mut Random) -> String {
    let length = match random.below(50) {
        0 => 90 + random.below(40),
        _ => random.below(24),
    };
    let mode = random.below(6);
    let special = ["[SEP]", "[CLS]", "[UNK]", "[PAD]", "[MASK]", "##ing", "\r\n", "CO\u{2082}"];
    let mut text = String::new();
    for _ in 0..length {
        match (mode, random.below(12)) {
            (0, _) => text.push(random.between(0x61, 0x66)),
            (1, 0..=8) => text.push(random.of(&MARKS)),
            (_, 0) => text.push_str(random.of(&special)),
            _ => text.push(character(random)),
        }
    }
    text
}

/// Words and stems of many scripts, so that long words are cut into several pieces and some cannot be cut.
fn vocabulary() -> Vec<String> {
    let mut pieces: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from).to_vec();
    let singles = ('!'..='~').chain("µ°½ßßıſς¨éíüçñαβγδεζηθικλμνξοπρστυφχψω中医院あアᄀ까ᅢᆨᆩ€…“”—≠™☃😀".chars());
    for c in singles {
        pieces.push(c.to_string());
        pieces.push(format!("##{c}"));
    }
    let mut random = Random(7);
    for _ in 0..1500 {
        let length = 2 + random.below(4);
        let stem: String = (0..length).map(|_| random.between(0x61, 0x69)).collect();
        pieces.push(if random.below(2) == 0 { stem } else { format!("##{stem}") });
    }
    for c in (0x300..0x3000).step_by(7).filter_map(char::from_u32) {
        pieces.push(format!("##{c}"));
        pieces.push(format!("{c}a"));
    }
    pieces.sort();
    pieces.dedup();
    pieces
}

struct Pair {
    ours: Tokenizer,
    theirs: tokenizers::Tokenizer,
    strips: bool,
}

impl Pair {
    /// Both read the same `tokenizer.json`; only ours is told the special tokens, which it must not make of text.
    fn new(pieces: &[String], rules: Normalization) -> Self {
        let Normalization { clean_text, handle_chinese_chars, strip_accents, lowercase } = rules;
        let ids: HashMap<&String, u32> = pieces.iter().zip(0..).collect();
        let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
        let added = special.map(|content| {
            serde_json::json!({"id": ids[&content.to_string()], "content": content, "special": true,
                "single_word": false, "lstrip": false, "rstrip": false, "normalized": false})
        });
        let mut json = serde_json::json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": [],
            "normalizer": {"type": "BertNormalizer", "clean_text": clean_text, "strip_accents": strip_accents,
                "handle_chinese_chars": handle_chinese_chars, "lowercase": lowercase},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": null,
            "decoder": null,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": ids},
        });
        let theirs = tokenizers::Tokenizer::from_bytes(json.to_string()).unwrap();
        json["added_tokens"] = added.into_iter().collect();
        // A length to cut to is nothing to us.
        json["truncation"] = serde_json::json!({"max_length": 4, "strategy": "LongestFirst", "stride": 0});
        let ours = Tokenizer::from_json(json.to_string().as_bytes()).unwrap();
        Self { ours, theirs, strips: strip_accents.unwrap_or(lowercase) }
    }

    /// `Err` says where the two part, without the text.
    fn compare(&self, text: &str) -> Result<(), String> {
        let ours = self.ours.encode(text);
        let theirs = self.theirs.encode(text, false).unwrap();
        if ours.input_ids != theirs.get_ids() {
            return Err(format!("ids: ours {:?}, theirs {:?}", ours.input_ids, theirs.get_ids()));
        }
        let offsets = theirs.get_offsets();
        for (piece, &(start, end)) in offsets.iter().enumerate() {
            let limit = offsets.get(piece + 1).map_or(text.len(), |next| next.0);
            let end = if self.strips { end + marks_after(&text[end..limit.max(end)]) } else { end };
            if ours.offsets[piece] != (start..end) {
                return Err(format!("offsets of piece {piece}: ours {:?}, theirs {start}..{end}", ours.offsets[piece]));
            }
        }
        if word_ids(&ours) != theirs.get_word_ids() {
            return Err("words".into());
        }
        Ok(())
    }
}

/// Bytes of the nonspacing marks that `text` begins with: what stripping, and nothing else, takes away whole.
fn marks_after(text: &str) -> usize {
    let strip = BertNormalizer::new(false, false, Some(true), false);
    let gone = |c: &char| {
        let mut alone = tokenizers::NormalizedString::from(c.to_string());
        strip.normalize(&mut alone).unwrap();
        alone.is_empty()
    };
    text.chars().take_while(gone).map(char::len_utf8).sum()
}

fn word_ids(encoding: &Encoding) -> Vec<Option<u32>> {
    encoding.words.iter().zip(0..).flat_map(|(word, id)| word.clone().map(move |_| Some(id))).collect()
}

fn all_rules() -> Vec<Normalization> {
    let mut all = Vec::new();
    for strip_accents in [None, Some(true), Some(false)] {
        for bits in 0..8 {
            let bit = |i: u32| bits >> i & 1 == 1;
            all.push(Normalization {
                clean_text: bit(0),
                handle_chinese_chars: bit(1),
                strip_accents,
                lowercase: bit(2),
            });
        }
    }
    all
}

fn report(failed: &[String]) {
    assert!(
        failed.is_empty(),
        "{} strings differ, the first:\n{}",
        failed.len(),
        failed[..failed.len().min(5)].join("\n")
    );
}

#[test]
fn generated_strings_encode_as_the_crate_does() {
    let count = std::env::var("CLINLITE_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let pieces = vocabulary();
    let mut failed = Vec::new();
    // The two rules that models use get half of the strings, all 24 combinations share the rest.
    let common = [Normalization::uncased(), Normalization::cased()];
    let rules: Vec<_> = common.into_iter().chain(all_rules()).collect();
    for (at, rules) in rules.iter().enumerate() {
        let share = if at < 2 { count / 4 } else { count / 48 };
        let pair = Pair::new(&pieces, *rules);
        let mut random = Random(0x9E37_79B9 + at as u64);
        for _ in 0..share {
            let text = string(&mut random);
            if let Err(why) = pair.compare(&text) {
                failed.push(format!("{} under {rules:?}: {why}", text.escape_debug()));
            }
        }
    }
    report(&failed);
}

#[test]
fn every_character_between_letters_encodes_as_the_crate_does() {
    let pieces = vocabulary();
    let characters: Vec<char> = (0..=0x10_FFFF).filter_map(char::from_u32).collect();
    let mut failed = Vec::new();
    for rules in [Normalization::uncased(), Normalization::cased()] {
        let pair = Pair::new(&pieces, rules);
        for block in characters.chunks(64) {
            let text: String = block.iter().map(|c| format!("a{c}b {c} ")).collect();
            if let Err(why) = pair.compare(&text) {
                failed.push(format!("block of U+{:04X} under {rules:?}: {why}", u32::from(block[0])));
            }
        }
    }
    report(&failed);
}

/// Notes as people write them, and what a clinical record system makes of them.
const NOTES: [&str; 14] = [
    "Pt c/o SOB x3d, T 38.5\u{B0}C, BP 120/80, SpO\u{2082} 94%;\r\n\r\n\tRx: 5\u{B5}g/kg q.d. (\u{BD} tab p.o.)\r\n",
    "[**Known lastname 123**] ___ *** <NAME> [NAME] {{name}} XXXX [SEP] [CLS] [UNK] [PAD] [MASK] ##s",
    "Fi\u{E8}vre, na\u{EF}ve \u{C9}tat; nai\u{308}ve fie\u{300}vre cafe\u{301}",
    "\u{130}stanbul I\u{15F}\u{131}k \u{131}\u{130}iI, Stra\u{DF}e STRASSE \u{1E9E}, \u{FB01}ne \u{FB03}",
    "\u{4E2D}\u{6587}\u{75C5}\u{5386}mixed\u{8A18}\u{9332}123 \u{65E5}\u{672C}\u{8A9E}\u{3067}\u{3059} \u{D55C}\u{AD6D}\u{C5B4} \u{1112}\u{1161}\u{11AB}",
    "\u{1F912}\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}\u{1F3FD}fever\u{2764}\u{FE0F} \u{1F1E9}\u{1F1EA}",
    "zero\u{200B}width\u{200D}joi\u{2060}ned\u{FEFF} soft\u{AD}hyphen\u{A0}nbsp\u{2003}em\u{3000}wide\u{85}nel\u{2028}ls",
    "\u{0}nul\u{1}\u{7F}\u{FFFD}\u{E000}\u{FFFE}\u{FFFF}\u{10FFFF}",
    "\u{301}leading mark, \u{301}\u{323} alone \u{301} , a\u{323}\u{301} a\u{301}\u{323}",
    "\u{939}\u{93F}\u{928}\u{94D}\u{926}\u{940} \u{995}\u{9CB}\u{9B2} \u{1B13}\u{1B44}\u{302E} \u{F40}\u{F73}\u{F71} \u{1D15E}\u{1D160}",
    "\u{645}\u{631}\u{62D}\u{628}\u{627}\u{64B} \u{5E9}\u{5C1}\u{5DC}\u{5D5}\u{5B9}\u{5DD} \u{E2A}\u{E27}\u{E31}\u{E2A}\u{E14}\u{E35}",
    "\u{201C}smart\u{201D} \u{2018}quotes\u{2019}\u{2014}dash\u{2026} a\u{2260}b <\u{338} \u{37E} \u{1FEF} \u{20AC}5 $5 ^ ` ~ | +",
    "http://a.b/c?d=e&f#g user@host.org 1e-3 10^9/L Na+ K+ HCO3- \u{3B2}-blocker \u{3B1}\u{3A3}\u{3C2} 2\u{D7}/day",
    "",
];

#[test]
fn real_strings_encode_as_the_crate_does() {
    let long = ["a".repeat(99), "b".repeat(100), "c".repeat(101), "\u{E9}".repeat(100), "e\u{301}".repeat(101)];
    let mut texts: Vec<String> = NOTES.iter().map(ToString::to_string).collect();
    texts.extend(long.iter().map(|word| format!("x {word} y")));
    texts.push(NOTES.join(" "));
    if let Some(folder) = std::env::var_os("CLINLITE_TEXTS") {
        lines(folder.as_ref(), &mut texts);
    }
    let pieces = match std::env::var_os("CLINLITE_TOKENIZER") {
        Some(path) => pieces_of(&std::fs::read(path).unwrap()),
        None => vocabulary(),
    };
    let mut failed = Vec::new();
    for rules in [Normalization::uncased(), Normalization::cased()].into_iter().chain(all_rules()) {
        let pair = Pair::new(&pieces, rules);
        // All 24 combinations see our own strings, the two common ones also the files.
        let common = rules == Normalization::uncased() || rules == Normalization::cased();
        for (at, text) in texts.iter().enumerate().take(if common { usize::MAX } else { NOTES.len() + 6 }) {
            if let Err(why) = pair.compare(text) {
                failed.push(format!("string {at} under {rules:?}: {why}"));
            }
        }
    }
    println!("{} strings", texts.len());
    report(&failed);
}

/// Every line of every readable file below a folder.
fn lines(folder: &std::path::Path, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            lines(&path, texts);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            texts.extend(text.lines().map(String::from));
        }
    }
}

/// The pieces of a `tokenizer.json` in the order of their ids.
fn pieces_of(json: &[u8]) -> Vec<String> {
    let tokenizer = Tokenizer::from_json(json).unwrap();
    let mut pieces: Vec<(u32, String)> = tokenizer.pieces().map(|(piece, id)| (id, piece.to_string())).collect();
    pieces.sort();
    pieces.into_iter().map(|(_, piece)| piece).collect()
}

/// Start, end (code points), name, score.
type Found = (usize, usize, String, f32);

/// `tests/fixtures/text/aggregation.json`, made by `aggregation.py` with Hugging Face's own pipeline.
#[test]
fn aggregation_is_that_of_the_pipeline() {
    let file: Value = serde_json::from_str(include_str!("fixtures/text/aggregation.json")).unwrap();
    let pieces: Vec<&str> = file["vocab"].as_array().unwrap().iter().map(|piece| piece.as_str().unwrap()).collect();
    let tokenizer = Tokenizer::from_vocab(pieces.join("\n").as_bytes(), Normalization::uncased()).unwrap();
    let mut failed = Vec::new();
    for (at, case) in file["cases"].as_array().unwrap().iter().enumerate() {
        for aggregation in Aggregation::ALL {
            let found = decoded(&tokenizer, case, aggregation);
            let expected = pipeline(case, aggregation);
            let close = |(one, two): (&Found, &Found)| {
                (one.0, one.1, &one.2) == (two.0, two.1, &two.2) && (one.3 - two.3).abs() < 2e-6
            };
            if found.len() != expected.len() || !found.iter().zip(&expected).all(close) {
                failed.push(format!("case {at} {aggregation:?}: found {found:?}, expected {expected:?}"));
            }
        }
    }
    report(&failed);
}

fn decoded(tokenizer: &Tokenizer, case: &Value, aggregation: Aggregation) -> Vec<Found> {
    let text = case["text"].as_str().unwrap();
    let names = case["labels"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_string());
    let labels = Labels::new(names.collect()).unwrap();
    let numbers = |value: &Value| value.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect::<Vec<_>>();
    let encoding = tokenizer.encode(text);
    let ids: Vec<f64> = encoding.input_ids.iter().map(|&id| f64::from(id)).collect();
    assert_eq!(ids, numbers(&case["input_ids"]), "{text:?}");
    let logits: Vec<f32> = numbers(&case["logits"]).into_iter().map(|logit| logit as f32).collect();
    let spans = decode(&labels, &logits, &encoding, aggregation, Decoding::Argmax).unwrap();
    let named = spans.iter().map(|span| {
        let name = match aggregation {
            Aggregation::None => &labels.names()[span.tag],
            _ => &labels.types()[span.label],
        };
        let places = from_bytes(text, &[span.start, span.end], OffsetUnit::CodePoint).unwrap();
        (places[0], places[1], name.clone(), span.score)
    });
    named.collect()
}

fn pipeline(case: &Value, aggregation: Aggregation) -> Vec<Found> {
    let spans = case["expected"][aggregation.name()].as_array().unwrap().iter();
    let place = |span: &Value, at: usize| span[at].as_u64().unwrap() as usize;
    let name = |span: &Value| span[2].as_str().unwrap().to_string();
    spans.map(|span| (place(span, 0), place(span, 1), name(span), span[3].as_f64().unwrap() as f32)).collect()
}
