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
            words::each(text, |word, _| phrase.push(word.into()));
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
        Self { words: numbers.into_keys().collect(), nodes }
    }

    /// The number of a word in its normal form, if some phrase has it.
    pub(super) fn id(&self, word: &str) -> Option<u32> {
        self.words.binary_search_by(|known| (**known).cmp(word)).ok().map(|at| at as u32)
    }

    /// The longest phrase with which these words begin: how many words it has, and its value.
    pub(super) fn longest(&self, ids: &[u32]) -> Option<(usize, u32)> {
        let mut node = self.nodes.first()?;
        let mut best = None;
        for (length, id) in (1..).zip(ids) {
            let Ok(edge) = node.edges.binary_search_by_key(id, |edge| edge.0) else { break };
            node = &self.nodes[node.edges[edge].1 as usize];
            best = node.value.map(|value| (length, value)).or(best);
        }
        best
    }
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
