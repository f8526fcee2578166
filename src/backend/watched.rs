//! Sites that somebody asked an engine for, and what a forward pass last showed there.

use std::collections::{BTreeMap, BTreeSet};

use super::Site;

pub(super) struct Watched<T> {
    sites: BTreeSet<Site>,
    seen: BTreeMap<Site, T>,
}

impl<T> Default for Watched<T> {
    fn default() -> Self {
        Self { sites: BTreeSet::new(), seen: BTreeMap::new() }
    }
}

impl<T: Clone> Watched<T> {
    /// From here on these sites, and nothing seen yet.
    pub(super) fn ask(&mut self, sites: &[Site]) {
        *self = Self { sites: sites.iter().copied().collect(), seen: BTreeMap::new() };
    }

    pub(super) fn asks_for(&self, at: Site) -> bool {
        self.sites.contains(&at)
    }

    /// Keeps what is shown if it was asked for.
    pub(super) fn show(&mut self, at: Site, x: &T) {
        if self.asks_for(at) {
            self.seen.insert(at, x.clone());
        }
    }

    pub(super) fn take(&mut self, at: Site) -> Option<T> {
        self.seen.remove(&at)
    }
}
