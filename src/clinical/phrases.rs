//! Phrases as an automaton over words: a trie whose edges are numbers of words.
//!
//! Reading costs one look-up of each word and, where a phrase begins, one step a word of it: the time does not depend on
//! how many phrases there are.

use std::collections::BTreeMap;

use super::words;

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
    pub(super) fn new<'a>(phrases: impl IntoIterator<Item = (&'a str, u32)>) -> Self {
        let mut numbers = BTreeMap::<Box<str>, u32>::new();
        let cut = |(text, value): (&str, u32)| {
            let mut phrase = Vec::<Box<str>>::new();
            words::each(text, &mut |word, _| {
                phrase.push(word.into());
                true
            });
            (phrase, value)
        };
        let phrases: Vec<_> = phrases.into_iter().map(cut).collect();
        numbers.extend(phrases.iter().flat_map(|(phrase, _)| phrase).map(|word| (word.clone(), 0)));
        numbers.values_mut().zip(0..).for_each(|(number, at)| *number = at);
        let mut nodes = vec![Node::default()];
        for (phrase, value) in phrases.iter().filter(|(phrase, _)| !phrase.is_empty()) {
            let mut node = 0;
            for word in phrase {
                let number = numbers[word];
                node = match nodes[node].edges.binary_search_by_key(&number, |edge| edge.0) {
                    Ok(edge) => nodes[node].edges[edge].1 as usize,
                    Err(edge) => {
                        let next = nodes.len();
                        nodes[node].edges.insert(edge, (number, next as u32));
                        nodes.push(Node::default());
                        next
                    }
                };
            }
            nodes[node].value = Some(*value);
        }
        let words: Vec<Box<str>> = numbers.into_keys().collect();
        Self { heads: words.iter().map(|word| head(word)).collect(), words, nodes }
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
        let phrases = Phrases::new([("no", 1), ("no change", 2), ("no change in the", 3), ("r/o", 4), ("NO", 5)]);
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
