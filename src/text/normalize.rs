//! BERT's normaliser, one character at a time, with the place in the note that each character came from.
//!
//! The order is that of `BertNormalizer`: drop control characters and turn white space into blanks, set Chinese
//! characters apart, decompose and strip nonspacing marks, lower-case.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::json::{Json, Node, truth};
use crate::sort;
use crate::unicode;

/// What BERT does to a text before it is cut into words: the fields of `BertNormalizer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Normalization {
    /// Drop control characters, turn every white space into a blank.
    pub clean_text: bool,
    /// Make every Chinese character a word.
    pub handle_chinese_chars: bool,
    /// Strip accents; `None` follows `lowercase`.
    pub strip_accents: Option<bool>,
    /// Lower-case.
    pub lowercase: bool,
}

impl Normalization {
    /// `bert-base-uncased`.
    pub fn uncased() -> Self {
        Self { clean_text: true, handle_chinese_chars: true, strip_accents: None, lowercase: true }
    }

    /// `bert-base-cased`.
    pub fn cased() -> Self {
        Self { lowercase: false, ..Self::uncased() }
    }

    /// Reads `tokenizer_config.json`; what it does not say is as Hugging Face's `BertTokenizer` has it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Format`] when the bytes are not JSON or a setting is of another type.
    pub fn from_tokenizer_config(json: &[u8]) -> Result<Self> {
        let read = |json: Node<'_>| {
            Ok(Self {
                clean_text: true,
                handle_chinese_chars: json.field_or("tokenize_chinese_chars", true, truth)?,
                strip_accents: json.optional("strip_accents", truth)?,
                lowercase: json.field_or("do_lower_case", true, truth)?,
            })
        };
        Json::parse(json).and_then(|json| read(json.root())).map_err(|e| e.at("tokenizer_config.json"))
    }

    /// Whether nonspacing marks are stripped.
    pub(super) fn strips(&self) -> bool {
        self.strip_accents.unwrap_or(self.lowercase)
    }

    /// Calls `sink` with each character of the normalised text and the bytes of `text` that it came from.
    pub(super) fn each(&self, text: &str, sink: impl FnMut(char, Place)) {
        let mut stage =
            Stage { rules: *self, strips: self.strips(), sink, run: Vec::new(), slots: Vec::new(), last: None };
        for (start, c) in text.char_indices() {
            stage.push(c, Place { start, end: start + c.len_utf8() });
        }
        stage.settle();
    }
}

/// Bytes of the note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: usize,
    pub(super) end: usize,
}

struct Stage<F> {
    rules: Normalization,
    strips: bool,
    sink: F,
    /// Combining characters since the last starter, waiting to be put in canonical order: class, character, and
    /// whether it is the first of its source.
    run: Vec<(u8, char, bool)>,
    /// The places of the sources of `run`, in the order of the note. After sorting they are dealt out in this order,
    /// as `tokenizers` does: so places never run backwards, whatever the order of the marks was.
    slots: Vec<Place>,
    /// The place dealt out last: that of the starter before the run, whose own marks share it.
    last: Option<Place>,
}

impl<F: FnMut(char, Place)> Stage<F> {
    fn push(&mut self, c: char, place: Place) {
        if self.rules.clean_text {
            if unicode::is_dropped(c) {
                return;
            }
            if c.is_whitespace() {
                return self.strip(' ', place);
            }
        }
        if self.rules.handle_chinese_chars && unicode::is_chinese(c) {
            self.strip(' ', place);
            self.strip(c, place);
            return self.strip(' ', place);
        }
        self.strip(c, place);
    }

    fn strip(&mut self, c: char, place: Place) {
        if !self.strips {
            return self.lower(c, place);
        }
        if c.is_ascii() {
            self.settle();
            self.last = Some(place);
            return self.lower(c, place);
        }
        let mut first = true;
        unicode::decompose(c, |part| {
            let class = unicode::class(part);
            if class == 0 {
                self.settle();
                self.last = Some(place);
                self.keep(part, place);
            } else {
                self.run.push((class, part, first));
                if first {
                    self.slots.push(place);
                }
            }
            first = false;
        });
    }

    /// Emits the run in canonical order: a starter or the end of the text has come.
    fn settle(&mut self) {
        if self.run.is_empty() {
            return;
        }
        let mut run = std::mem::take(&mut self.run);
        let slots = std::mem::take(&mut self.slots);
        sort::by(&mut run, |a, b| a.0.cmp(&b.0));
        let mut dealt = slots.iter();
        for &(_, c, first) in &run {
            if first || self.last.is_none() {
                self.last = dealt.next().copied().or(self.last);
            }
            if let Some(place) = self.last {
                self.keep(c, place);
            }
        }
        // The buffers go back: a text of accents would otherwise allocate for each.
        run.clear();
        self.run = run;
        self.slots = slots;
        self.slots.clear();
    }

    fn keep(&mut self, c: char, place: Place) {
        if !unicode::is_mark(c) {
            self.lower(c, place);
        }
    }

    fn lower(&mut self, c: char, place: Place) {
        if !self.rules.lowercase {
            (self.sink)(c, place);
        } else {
            unicode::lowercase(c).for_each(|lower| (self.sink)(lower, place));
        }
    }
}
