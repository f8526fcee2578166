//! WordPiece: Wu et al., "Google's Neural Machine Translation System", 2016, as BERT uses it.
//!
//! A note is normalised, cut into words at white space and around punctuation, and each word into the longest pieces
//! of the vocabulary from the left; a word that cannot be cut so, or of more than 100 characters, is one `[UNK]`.
//! Ids and offsets are those of the `tokenizers` crate (docs/decisions/0002-wordpiece.md) with two differences, both on
//! purpose:
//!
//! - Text never becomes a special token: `[SEP]` in a note is the words `[`, `sep` and `]`. A note could otherwise end
//!   the sequence that it stands in.
//! - A nonspacing mark that is stripped belongs to the piece before it, so that a span of decomposed text holds whole
//!   letters: `é` and not `e` without its accent.

use std::fmt;
use std::ops::Range;

use super::normalize::{Normalization, Place};
use super::tokenizer_json::{self, Parts};
use super::vocabulary::{Hash, Vocabulary};
use crate::error::{Error, ErrorKind, Result};
use crate::unicode;

/// A whole note as pieces, without special tokens and never truncated.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Encoding {
    /// One id a piece.
    pub input_ids: Vec<u32>,
    /// Bytes of the note that each piece came from; starts and ends never run backwards.
    pub offsets: Vec<Range<usize>>,
    /// The pieces of each word, in order and without gaps: a word is what stands between white space and punctuation,
    /// or one punctuation mark.
    pub words: Vec<Range<usize>>,
    /// The pieces that stand for a part of the note that is not to be read, each a word of its own, in order:
    /// [`Tokenizer::encode_around`].
    pub neutral: Vec<usize>,
}

impl Encoding {
    /// Pieces.
    pub fn len(&self) -> usize {
        self.input_ids.len()
    }

    /// Whether the note holds no word.
    pub fn is_empty(&self) -> bool {
        self.input_ids.is_empty()
    }
}

/// Ids and offsets can be turned back into the note.
impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoding({} pieces, {} words)", self.input_ids.len(), self.words.len())
    }
}

/// The names of the special tokens of a model that states none.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/// BERT's bound on the characters of a word; see [`MOST_CHARS_PER_WORD`] for ours on the bound.
const CHARS_PER_WORD: usize = 100;
/// A file may ask for more than BERT's 100 characters a word, but not for a time quadratic in the note.
const MOST_CHARS_PER_WORD: usize = 1000;

/// A BERT WordPiece tokenizer.
pub struct Tokenizer {
    normalization: Normalization,
    vocabulary: Vocabulary,
    max_input_chars_per_word: usize,
    unk_id: u32,
    cls_id: u32,
    sep_id: u32,
}

impl Tokenizer {
    /// Reads `tokenizer.json`. Its `truncation` and `padding` are ignored: a note is never cut off.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when the file is malformed or lacks what it needs, [`ErrorKind::Unsupported`] when it is
    /// another kind of tokenizer than BERT's.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        Self::from_parts(tokenizer_json::read(json)?).map_err(|e| e.at("tokenizer.json"))
    }

    /// Reads `vocab.txt`: one piece a line, its id the number of the line from 0.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when the file is not UTF-8 or lacks `[UNK]`, `[CLS]` or `[SEP]`.
    pub fn from_vocab(vocab: &[u8], normalization: Normalization) -> Result<Self> {
        let refuse = |message: String| Error::new(ErrorKind::Format, message).at("vocab.txt");
        let text = std::str::from_utf8(vocab).map_err(|e| refuse(e.to_string()))?;
        let mut vocabulary = Vocabulary::default();
        for (line, id) in text.lines().zip(0..) {
            vocabulary.push(line.trim_end(), id).map_err(|e| e.at("vocab.txt"))?;
        }
        let special = SPECIAL.iter().filter_map(|name| Some((name.to_string(), vocabulary.id_of(name)?))).collect();
        let unk_token = SPECIAL[1].to_string();
        let parts = Parts { normalization, vocabulary, unk_token, max_input_chars_per_word: CHARS_PER_WORD, special };
        Self::from_parts(parts).map_err(|e| e.at("vocab.txt"))
    }

    fn from_parts(parts: Parts) -> Result<Self> {
        let Parts { normalization, mut vocabulary, unk_token, max_input_chars_per_word, special } = parts;
        let refuse = |message: String| Error::new(ErrorKind::Format, message);
        if max_input_chars_per_word > MOST_CHARS_PER_WORD {
            let found = max_input_chars_per_word;
            return Err(refuse(format!(
                "max_input_chars_per_word: expected at most {MOST_CHARS_PER_WORD}, found {found}"
            )));
        }
        let id_of = |name: &str| {
            let added = special.iter().find(|(content, _)| content == name).map(|&(_, id)| id);
            added.or_else(|| vocabulary.id_of(name)).ok_or_else(|| refuse(format!("the vocabulary has no {name:?}")))
        };
        let (cls_id, sep_id) = (id_of("[CLS]")?, id_of("[SEP]")?);
        let unk_id =
            vocabulary.id_of(&unk_token).ok_or_else(|| refuse(format!("the vocabulary has no {unk_token:?}")))?;
        vocabulary.index(&special)?;
        Ok(Self { normalization, vocabulary, max_input_chars_per_word, unk_id, cls_id, sep_id })
    }

    /// Cuts a note into pieces, all of it.
    pub fn encode(&self, text: &str) -> Encoding {
        self.encode_around(text, &[])
    }

    /// Cuts a note into pieces, where each of some ranges is one word of one piece, `[UNK]`, whatever stands in it.
    ///
    /// `[UNK]` and not `[MASK]` or an unused piece: every vocabulary has it, and a model has seen it in training where a
    /// word stood that could not be read, which is what a placeholder is.
    ///
    /// `neutral` holds ranges of bytes that are not empty, in order, apart from each other and on borders of
    /// characters; what is not so is left out.
    pub fn encode_around(&self, text: &str, neutral: &[Range<usize>]) -> Encoding {
        let mut encoding = Encoding::default();
        let mut at = 0;
        for range in neutral {
            let Some(before) = text.get(at..range.start) else { continue };
            if range.is_empty() || !text.is_char_boundary(range.end) {
                continue;
            }
            self.encode_part(before, at, &mut encoding);
            let piece = encoding.len();
            encoding.input_ids.push(self.unk_id);
            encoding.offsets.push(range.clone());
            encoding.words.push(piece..piece + 1);
            encoding.neutral.push(piece);
            at = range.end;
        }
        self.encode_part(&text[at..], at, &mut encoding);
        encoding
    }

    /// Appends the pieces of a part of a note that begins at a byte of it.
    fn encode_part(&self, part: &str, start: usize, encoding: &mut Encoding) {
        let from = encoding.len();
        let mut cutter = Cutter::new(self, std::mem::take(encoding));
        self.normalization.each(part, |c, place| cutter.push(c, place));
        cutter.cut();
        *encoding = cutter.encoding;
        if self.normalization.strips() {
            take_marks(part, &mut encoding.offsets[from..]);
        }
        encoding.offsets[from..].iter_mut().for_each(|place| *place = place.start + start..place.end + start);
    }

    /// `[CLS]`, which begins every sequence.
    pub fn cls_id(&self) -> u32 {
        self.cls_id
    }

    /// `[SEP]`, which ends every sequence.
    pub fn sep_id(&self) -> u32 {
        self.sep_id
    }

    /// `[UNK]`, for the words that the vocabulary cannot spell.
    pub fn unk_id(&self) -> u32 {
        self.unk_id
    }

    /// What is done to a text before it is cut into words.
    pub fn normalization(&self) -> Normalization {
        self.normalization
    }

    /// One more than the highest id: the rows that an embedding table must have.
    pub fn vocab_size(&self) -> usize {
        let highest = self.pieces().map(|(_, id)| id).chain([self.cls_id, self.sep_id]).max();
        highest.map_or(0, |id| id as usize + 1)
    }

    /// All pieces as the file writes them (`##` in front of those that continue a word) with their ids.
    pub fn pieces(&self) -> impl Iterator<Item = (&str, u32)> {
        self.vocabulary.pieces()
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokenizer({} pieces, {:?})", self.vocabulary.len(), self.normalization)
    }
}

/// Collects the characters of one word at a time and cuts it.
struct Cutter<'a> {
    tokenizer: &'a Tokenizer,
    encoding: Encoding,
    /// The word so far, normalised.
    word: String,
    /// Where each character of `word` ends in `word` and where it came from.
    chars: Vec<(usize, Place)>,
    prefixes: Vec<(usize, Hash)>,
}

impl<'a> Cutter<'a> {
    fn new(tokenizer: &'a Tokenizer, encoding: Encoding) -> Self {
        let (word, chars, prefixes) = (String::new(), Vec::new(), Vec::new());
        Self { tokenizer, encoding, word, chars, prefixes }
    }

    fn push(&mut self, c: char, place: Place) {
        if c.is_whitespace() {
            return self.cut();
        }
        let alone = unicode::is_punctuation(c);
        if alone {
            self.cut();
        }
        // Of a word that will be unknown only the place matters.
        if self.chars.len() > self.tokenizer.max_input_chars_per_word {
            self.chars.pop();
        } else {
            self.word.push(c);
        }
        self.chars.push((self.word.len(), place));
        if alone {
            self.cut();
        }
    }

    /// Ends the word.
    fn cut(&mut self) {
        let (Some(first), Some(last)) = (self.chars.first(), self.chars.last()) else { return };
        let whole = first.1.start..last.1.end;
        let from = self.encoding.len();
        if !self.greedy() {
            self.encoding.input_ids.truncate(from);
            self.encoding.offsets.truncate(from);
            self.encoding.input_ids.push(self.tokenizer.unk_id);
            self.encoding.offsets.push(whole);
        }
        self.encoding.words.push(from..self.encoding.len());
        self.word.clear();
        self.chars.clear();
    }

    /// Longest pieces from the left; false when the word cannot be cut so.
    fn greedy(&mut self) -> bool {
        if self.chars.len() > self.tokenizer.max_input_chars_per_word {
            return false;
        }
        let (mut at, mut first) = (0, 0);
        while at < self.word.len() {
            let rest = &self.word[at..];
            let found = self.tokenizer.vocabulary.longest_match(at > 0, rest, &mut self.prefixes);
            let Some((id, length)) = found else { return false };
            at += length;
            let start = self.chars[first].1.start;
            while self.chars[first].0 < at {
                first += 1;
            }
            self.encoding.input_ids.push(id);
            self.encoding.offsets.push(start..self.chars[first].1.end);
            first += 1;
        }
        true
    }
}

/// Stripped marks that follow a piece become part of it.
fn take_marks(text: &str, offsets: &mut [Range<usize>]) {
    for piece in 0..offsets.len() {
        let limit = offsets.get(piece + 1).map_or(text.len(), |next| next.start);
        let mut end = offsets[piece].end;
        while end < limit
            && let Some(c) = text[end..].chars().next()
            && unicode::is_mark(c)
        {
            end += c.len_utf8();
        }
        offsets[piece].end = end;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const VOCAB: &str =
        "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\npne\n##um\n##onia\nfever\n,\n[\n]\nsep\nSEP\ncafe\n##s\ne\n°\n中\n";

    fn tokenizer() -> Tokenizer {
        Tokenizer::from_vocab(VOCAB.as_bytes(), Normalization::uncased()).unwrap()
    }

    fn file() -> Value {
        let vocab: serde_json::Map<_, _> =
            VOCAB.lines().zip(0..).map(|(piece, id)| (piece.into(), id.into())).collect();
        json!({
            "truncation": {"max_length": 4}, "padding": {"strategy": {"Fixed": 128}}, "unknown": [[{}]],
            "added_tokens": [{"id": 3, "special": true, "content": "[SEP]", "normalized": false}],
            "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "TemplateProcessing", "single": []},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": vocab}
        })
    }

    #[test]
    fn notes_become_pieces_with_places() {
        struct Case {
            name: &'static str,
            text: &'static str,
            ids: &'static [u32],
            slices: &'static [&'static str],
            words: usize,
        }
        let cases = [
            Case { name: "empty", text: "", ids: &[], slices: &[], words: 0 },
            Case { name: "white space", text: " \t\r\n\u{A0}", ids: &[], slices: &[], words: 0 },
            Case { name: "pieces", text: "Pneumonia", ids: &[5, 6, 7], slices: &["Pne", "um", "onia"], words: 1 },
            Case {
                name: "unknown",
                text: "feverish, fever",
                ids: &[1, 9, 8],
                slices: &["feverish", ",", "fever"],
                words: 3,
            },
            Case { name: "special", text: "[SEP]", ids: &[10, 12, 11], slices: &["[", "SEP", "]"], words: 3 },
            Case { name: "accent", text: "CAFÉS", ids: &[14, 15], slices: &["CAFÉ", "S"], words: 1 },
            Case { name: "mark", text: "cafe\u{301}s", ids: &[14, 15], slices: &["cafe\u{301}", "s"], words: 1 },
            Case { name: "mark at the end", text: "cafe\u{301} ", ids: &[14], slices: &["cafe\u{301}"], words: 1 },
            Case { name: "chinese", text: "fever中°", ids: &[8, 18, 17], slices: &["fever", "中", "°"], words: 3 },
            Case { name: "control", text: "fe\u{200B}ver\u{0}", ids: &[8], slices: &["fe\u{200B}ver"], words: 1 },
        ];
        let tokenizer = tokenizer();
        let mut failed = Vec::new();
        for Case { name, text, ids, slices, words } in cases {
            let found = tokenizer.encode(text);
            let places: Vec<_> = found.offsets.iter().map(|place| &text[place.clone()]).collect();
            if found.input_ids != ids || places != slices || found.words.len() != words {
                failed.push(format!("{name}: {:?} {places:?} {:?}", found.input_ids, found.words));
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn neutral_ranges_are_one_unknown_word_each() {
        let (tokenizer, text) = (tokenizer(), "Fever ___\u{301}pneumonia, [**fever**][**x**] cafe\u{301}s");
        let neutral = [6..9, 22..33, 33..40];
        let found = tokenizer.encode_around(text, &neutral);
        let places: Vec<_> = found.offsets.iter().map(|place| &text[place.clone()]).collect();
        let expected = ["Fever", "___", "pne", "um", "onia", ",", "[**fever**]", "[**x**]", "cafe\u{301}", "s"];
        assert_eq!(places, expected);
        assert_eq!(found.input_ids, [8, 1, 5, 6, 7, 9, 1, 1, 14, 15]);
        assert_eq!((found.neutral, found.words.len()), (vec![1, 6, 7], 7));
        // Ranges that are empty, cut a character, overlap or lie outside are left out.
        let broken = tokenizer.encode_around("é fever", &[0..0, 1..2, 0..1, 3..8, 4..6, 3..5, 90..99]);
        assert_eq!((broken.neutral, broken.offsets), (vec![1], vec![0..2, 3..8]));
    }

    #[test]
    fn a_cased_model_keeps_capitals_and_accents() {
        let tokenizer = Tokenizer::from_vocab(VOCAB.as_bytes(), Normalization::cased()).unwrap();
        assert_eq!(tokenizer.encode("SEP sep Sep café").input_ids, [13, 12, 1, 1]);
    }

    #[test]
    fn both_files_make_the_same_tokenizer() {
        let text = "Pneumonia, [SEP] cafe\u{301}s °中 x";
        let json = Tokenizer::from_json(file().to_string().as_bytes()).unwrap();
        assert_eq!(json.encode(text), tokenizer().encode(text));
        assert_eq!((json.cls_id(), json.sep_id(), json.unk_id(), json.vocab_size()), (2, 3, 1, 19));
        assert_eq!(json.pieces().find(|&(piece, _)| piece == "##onia"), Some(("##onia", 7)));
    }

    #[test]
    fn text_never_becomes_a_special_token() {
        let mut file = file();
        file["model"]["vocab"]["note"] = 19.into();
        file["added_tokens"] = json!([{"id": 19, "special": true, "content": "note"}]);
        let tokenizer = Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
        assert_eq!(tokenizer.encode("note").input_ids, [1]);
    }

    #[test]
    fn other_kinds_of_tokenizer_are_refused_by_name() {
        let cases = [
            ("/model/type", json!("BPE"), "BPE"),
            ("/model/vocab", json!([["a", -1.5]]), "model.vocab: expected an object"),
            ("/model/continuing_subword_prefix", json!("@@"), "@@"),
            ("/model/continuing_subword_prefix", Value::Null, "none"),
            ("/model/unk_token", json!("<unk>"), "<unk>"),
            ("/model/unk_token", Value::Null, "unk_token"),
            ("/model/max_input_chars_per_word", json!(100_000_000), "100000000"),
            ("/model/max_input_chars_per_word", json!(-1), "tokenizer.json"),
            ("/model/vocab/fever", json!(-1), "tokenizer.json"),
            ("/model/vocab/fever", json!(4_294_967_296_u64), "tokenizer.json"),
            ("/model/vocab", Value::Null, "vocab"),
            ("/model", Value::Null, "tokenizer.json"),
            ("/normalizer", Value::Null, "normalizer"),
            ("/normalizer/type", json!("Sequence"), "Sequence"),
            ("/normalizer/lowercase", Value::Null, "lowercase"),
            ("/pre_tokenizer/type", json!("Whitespace"), "Whitespace"),
            ("/pre_tokenizer", Value::Null, "pre_tokenizer"),
            ("/post_processor/type", json!("RobertaProcessing"), "RobertaProcessing"),
            ("/added_tokens/0/special", json!(false), "[SEP]"),
            ("/added_tokens/0/id", json!("x"), "tokenizer.json"),
        ];
        let mut failed = Vec::new();
        for (pointer, value, expected) in cases {
            let mut file = file();
            *file.pointer_mut(pointer).unwrap() = value;
            match Tokenizer::from_json(file.to_string().as_bytes()) {
                Err(e) if e.to_string().contains(expected) && e.to_string().starts_with("tokenizer.json") => {}
                other => failed.push(format!("{pointer}: {other:?}")),
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn damaged_files_are_refused_and_never_panic() {
        let json = file().to_string().into_bytes();
        for end in 0..json.len() {
            Tokenizer::from_json(&json[..end]).expect_err("truncated");
        }
        for at in 0..json.len() {
            for byte in [0, b'"', b'{', b'9', 0xFF] {
                let mut damaged = json.clone();
                damaged[at] = byte;
                if let Ok(tokenizer) = Tokenizer::from_json(&damaged) {
                    tokenizer.encode("pneumonia [SEP] \u{301}");
                }
            }
        }
        let deep = [b"{\"model\":".repeat(5000), b"[".repeat(5000)].concat();
        Tokenizer::from_json(&deep).expect_err("deep");
        for vocab in [&b""[..], b"[UNK]\n[CLS]", b"\xFF", b"\n\n\n", b"##\n####"] {
            let error = Tokenizer::from_vocab(vocab, Normalization::uncased()).expect_err("vocab");
            assert_eq!(error.kind(), ErrorKind::Format);
        }
    }

    /// Later twins win and empty lines count, as in `tokenizers`.
    #[test]
    fn a_vocabulary_with_twins_and_gaps() {
        let vocab = "[UNK]\r\n[CLS]\n[SEP]\n\nfever\n##\nfever \n";
        let tokenizer = Tokenizer::from_vocab(vocab.as_bytes(), Normalization::uncased()).unwrap();
        assert_eq!(tokenizer.encode("fever").input_ids, [6]);
    }

    /// Ten million characters of each kind that could be slow: seconds even without optimisation.
    #[test]
    fn time_is_linear_in_the_note() {
        let tokenizer = tokenizer();
        let million = [
            "a".repeat(1_000_000),
            "pneum".repeat(200_000),
            format!("{} ", "pne".to_string() + &"um".repeat(48)).repeat(10_000),
            "\u{301}".repeat(500_000),
            "e\u{301}\u{323}".repeat(200_000),
            "中".repeat(330_000),
            ",".repeat(1_000_000),
            "\0".repeat(1_000_000),
        ];
        for text in &million {
            let start = std::time::Instant::now();
            let encoding = tokenizer.encode(text);
            assert!(encoding.offsets.iter().all(|place| place.end <= text.len()));
            assert!(start.elapsed().as_secs() < 10, "{:?} took {:?}", text.chars().next(), start.elapsed());
        }
    }

    #[test]
    fn debug_shows_no_text() {
        let encoding = tokenizer().encode("fever");
        assert_eq!(format!("{encoding:?} {:?}", tokenizer()).matches("fever").count(), 0);
    }
}
