//! Phrases as an automaton over words: a trie whose edges are numbers of words.
//!
//! Reading costs one look-up of each word and, where a phrase begins, one step a word of it: the time does not depend on
//! how many phrases there are.

use super::words;
use crate::sort;

/// Phrases, each with a number.
#[derive(Default)]
pub(super) struct Phrases {
    /// Sorted; the place is the number of the word.
    words: Vec<Box<str>>,
    /// The first bytes of each word as a number, in the same order: most words of a note are told apart by them alone.
    heads: Vec<u64>,
    /// The root first.
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    /// Sorted by word: the word and the node that it leads to.
    edges: Vec<(u32, u32)>,
    /// Of the phrase that ends here.
    value: Option<u32>,
}

impl Phrases {
    /// Of texts with their values; of two equal phrases the later counts.
    pub(super) fn new<T: AsRef<str>>(phrases: &[(T, u32)]) -> Self {
        let mut words = Vec::<Box<str>>::new();
        for (text, _) in phrases {
            words::each(text.as_ref(), &mut |word, _| {
                words.push(word.into());
                true
            });
        }
        sort::by(&mut words, Ord::cmp);
        words.dedup();
        let heads = words.iter().map(|word| head(word)).collect();
        let mut found = Self { words, heads, nodes: vec![Node::default()] };
        phrases.iter().for_each(|(text, value)| found.add(text.as_ref(), *value));
        found
    }

    /// Adds a phrase whose words are known.
    fn add(&mut self, text: &str, value: u32) {
        let mut node = 0;
        words::each(text, &mut |word, _| {
            let Some(id) = self.id(word) else { return false };
            node = match self.nodes[node].edges.binary_search_by_key(&id, |edge| edge.0) {
                Ok(edge) => self.nodes[node].edges[edge].1 as usize,
                Err(edge) => {
                    let next = self.nodes.len();
                    self.nodes[node].edges.insert(edge, (id, next as u32));
                    self.nodes.push(Node::default());
                    next
                }
            };
            true
        });
        if node > 0 {
            self.nodes[node].value = Some(value);
        }
    }

    /// The number of a word in its normal form, if some phrase has it.
    pub(super) fn id(&self, word: &str) -> Option<u32> {
        let head = head(word);
        let first = self.heads.partition_point(|known| *known < head);
        let alike = &self.words[first..first + self.heads[first..].partition_point(|known| *known == head)];
        alike.binary_search_by(|known| (**known).cmp(word)).ok().map(|at| (first + at) as u32)
    }

    /// The longest phrase with which these words begin: how many words it has, and its value.
    pub(super) fn longest(&self, ids: &[u32]) -> Option<(usize, u32)> {
        let mut walk = self.walk();
        for &id in ids {
            if !walk.step(id) {
                break;
            }
        }
        walk.best
    }

    /// A walk from the beginning of phrases, for words that are cut one by one.
    pub(super) fn walk(&self) -> Walk<'_> {
        Walk { nodes: &self.nodes, node: 0, length: 0, best: None }
    }
}

/// Where words have led so far.
pub(super) struct Walk<'a> {
    nodes: &'a [Node],
    node: usize,
    length: usize,
    best: Option<(usize, u32)>,
}

impl Walk<'_> {
    /// Goes on with a word, if a phrase does.
    pub(super) fn step(&mut self, id: u32) -> bool {
        let edges = self.nodes.get(self.node).map_or(&[][..], |node| &node.edges);
        let Ok(edge) = edges.binary_search_by_key(&id, |edge| edge.0) else { return false };
        self.node = edges[edge].1 as usize;
        self.length += 1;
        self.best = self.nodes[self.node].value.map(|value| (self.length, value)).or(self.best);
        true
    }

    /// The longest phrase on the way: how many words it has, and its value.
    pub(super) fn best(&self) -> Option<(usize, u32)> {
        self.best
    }
}

/// A phrase as its words with blanks between, so that equal phrases are equal texts.
pub(super) fn normal(phrase: &str) -> String {
    let mut text = String::new();
    words::each(phrase, &mut |word, _| {
        text.extend([" ", word]);
        true
    });
    text.trim_start().to_owned()
}

/// Sorts phrases as texts; of two equal ones the later stays.
pub(super) fn keep_latest(phrases: &mut Vec<(String, u32)>) {
    sort::by(phrases, |a, b| a.0.cmp(&b.0));
    phrases.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 = later.1;
        }
        same
    });
}

/// The first eight bytes; orders words as their letters do.
fn head(word: &str) -> u64 {
    let mut head = [0; 8];
    let length = word.len().min(8);
    head[..length].copy_from_slice(&word.as_bytes()[..length]);
    u64::from_be_bytes(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clinical::words::Words;

    #[test]
    fn the_longest_phrase_wins() {
        let phrases = Phrases::new(&[("no", 1), ("no change", 2), ("no change in the", 3), ("r/o", 4), ("NO", 5)]);
        let cases = [
            ("No fever", Some((1, 5))),
            ("no\n CHANGE in mass", Some((2, 2))),
            ("no change in the mass", Some((4, 3))),
            ("r/o", Some((3, 4))),
            ("r / o", Some((3, 4))),
            ("r", None),
            ("unknown", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(phrases.longest(&Words::of(text, &[], &phrases).ids), expected, "{text:?}");
        }
        assert_eq!(Phrases::default().longest(&[0, 1]), None);
    }
}
