//! The models whose numbers are compared.

use std::collections::BTreeMap;

use clinlite::models::Model;
use clinlite::weights::pack::{About, Says, pack};

use crate::support::fixture;

/// Every architecture with every head.
pub(crate) const FIXTURES: [&str; 16] = [
    "bert-bio",
    "bert-head26",
    "bert-token",
    "bert-sequence",
    "bert-mlm",
    "bert-mlm-untied",
    "distilbert-token",
    "distilbert-sequence",
    "distilbert-mlm",
    "mobilebert-token",
    "mobilebert-sequence",
    "mobilebert-sequence-plain",
    "mobilebert-mlm",
    "minialbert-token",
    "minialbert-sequence",
    "minialbert-mlm",
];

/// The packed folder of a fixture.
pub(crate) fn packed(name: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = fixture(name);
    let about = About { name: Some(name.into()), ..About::default() };
    let packed =
        pack(&folder, about, Says::default(), None, |backend, root| Model::load(backend, root, &folder).map(drop));
    packed.expect("packs").files
}
