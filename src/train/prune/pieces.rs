//! Which pieces stay.

use std::collections::{BTreeMap, BTreeSet};

use super::Options;
use crate::error::{Error, ErrorKind, Result};
use crate::text::Tokenizer;
use crate::train::readers::Document;

/// What before a piece says that it continues a word.
const PREFIX: &str = "##";

/// How often each piece occurs.
pub(super) struct Counts {
    by_id: BTreeMap<u32, u64>,
    pub(super) words: usize,
    pub(super) pieces: usize,
    pub(super) unknown: usize,
}

impl Counts {
    pub(super) fn of(tokenizer: &Tokenizer, texts: &[Document]) -> Self {
        let mut counts = Self { by_id: BTreeMap::new(), words: 0, pieces: 0, unknown: 0 };
        for document in texts {
            let encoding = tokenizer.encode(&document.text);
            counts.words += encoding.words.len();
            counts.pieces += encoding.len();
            for &id in &encoding.input_ids {
                *counts.by_id.entry(id).or_default() += 1;
            }
        }
        counts.unknown = usize::try_from(counts.get(tokenizer.unk_id())).unwrap_or(usize::MAX);
        counts
    }

    fn get(&self, id: u32) -> u64 {
        self.by_id.get(&id).copied().unwrap_or(0)
    }
}

/// The ids of the pieces that stay:
///
/// * special tokens, and what the caller wants to keep;
/// * pieces that occur often enough;
/// * single characters, as the beginning and as the rest of a word: all of [`spelled`], and those that occur;
/// * of [`spelled`] characters every piece that the single characters cannot spell, because the vocabulary lacks one.
///
/// So a word of Latin script whose characters the vocabulary has one by one is never `[UNK]`.
pub(super) fn kept(
    tokenizer: &Tokenizer,
    counts: &Counts,
    special: &BTreeSet<u32>,
    options: &Options,
) -> Result<Vec<u32>> {
    let pieces: BTreeMap<&str, u32> = tokenizer.pieces().collect();
    if let Some(missing) = options.keep.iter().find(|piece| !pieces.contains_key(piece.as_str())) {
        return Err(Error::new(ErrorKind::Input, format!("the vocabulary has no piece {missing:?} to keep")));
    }
    let occurring = pieces.iter().filter(|(_, id)| counts.get(**id) > 0).flat_map(|(piece, _)| text(piece).chars());
    let characters: BTreeSet<char> =
        occurring.chain((0..=char::MAX as u32).filter_map(char::from_u32).filter(|&c| spelled(c))).collect();
    let single = |piece: &str| {
        let mut rest = text(piece).chars();
        rest.next().is_some_and(|c| rest.next().is_none() && characters.contains(&c))
    };
    let spellable = |piece: &str| {
        let begins = usize::from(!piece.starts_with(PREFIX));
        let mut text = text(piece).char_indices();
        let first = text.by_ref().take(begins).all(|(_, c)| pieces.contains_key(c.to_string().as_str()));
        first && text.all(|(_, c)| pieces.contains_key(format!("{PREFIX}{c}").as_str()))
    };
    let stays = |piece: &str, id: u32| {
        special.contains(&id)
            || options.keep.iter().any(|kept| kept == piece)
            || counts.get(id) >= options.min_count.max(1)
            || single(piece)
            || (text(piece).chars().all(spelled) && !is_unused(piece) && !spellable(piece))
    };
    let mut ids: Vec<u32> = pieces.iter().filter(|(piece, id)| stays(piece, **id)).map(|(_, &id)| id).collect();
    ids.extend(special);
    Ok(ids)
}

/// A piece without the mark of its place in the word.
fn text(piece: &str) -> &str {
    piece.strip_prefix(PREFIX).filter(|rest| !rest.is_empty()).unwrap_or(piece)
}

/// BERT's places for words to come: no text has them.
fn is_unused(piece: &str) -> bool {
    piece.starts_with("[unused") && piece.ends_with(']')
}

/// Characters that any text of Latin script may have: Latin with its accents, the Greek letters of medicine,
/// punctuation, superscripts, currencies, arrows and mathematical signs.
fn spelled(c: char) -> bool {
    matches!(c, '!'..='\u{24f}' | '\u{300}'..='\u{3ff}' | '\u{1e00}'..='\u{1eff}' | '\u{2010}'..='\u{22ff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Normalization;

    fn keeps(vocabulary: &[&str], note: &str, min_count: u64) -> Vec<String> {
        let all: Vec<&str> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].iter().chain(vocabulary).copied().collect();
        let tokenizer =
            Tokenizer::from_vocab(all.join("\n").as_bytes(), Normalization::uncased()).expect("a vocabulary");
        let texts = [Document { id: String::new(), text: note.into(), spans: Vec::new() }];
        let counts = Counts::of(&tokenizer, &texts);
        let options = Options { min_count, keep: vec!["spare".into()] };
        let ids = kept(&tokenizer, &counts, &BTreeSet::from([0, 1, 2, 3, 4]), &options).expect("pieces");
        let ids: BTreeSet<u32> = ids.into_iter().collect();
        tokenizer.pieces().filter(|(_, id)| *id > 4 && ids.contains(id)).map(|(piece, _)| piece.to_owned()).collect()
    }

    #[test]
    fn what_stays() {
        let vocabulary = [
            "[unused1]",
            "spare",
            "fever",
            "cough",
            "##er",
            "a",
            "##a",
            "c",
            "ж",
            "##ж",
            "щ",
            "жж",
            "aß",
            "aa",
            "##aa",
            "ca",
            "cb",
            "µ",
        ];
        let stays = keeps(&vocabulary, "Fever, fever; cough. ж", 2);
        // once is too rare for "cough", whose "o" cannot be spelt alone; "щ" does not occur and is not Latin; "aß" and
        // "cb" cannot be spelt, "aa", "##aa" and "ca" can
        assert_eq!(stays, ["spare", "fever", "cough", "##er", "a", "##a", "c", "ж", "##ж", "aß", "cb", "µ"]);
    }

    #[test]
    fn a_piece_to_keep_must_be_there() {
        let vocabulary = "[UNK]\n[CLS]\n[SEP]\na";
        let tokenizer = Tokenizer::from_vocab(vocabulary.as_bytes(), Normalization::uncased()).expect("a vocabulary");
        let options = Options { min_count: 1, keep: vec!["b".into()] };
        let error = kept(&tokenizer, &Counts::of(&tokenizer, &[]), &BTreeSet::new(), &options).expect_err("missing");
        assert_eq!(error.to_string(), "the vocabulary has no piece \"b\" to keep");
    }
}
