//! What is said besides document and note.

use serde_json::Value;

use super::assertion::Named;
use super::fhir::{FhirOptions, Resource};
use super::node::{Node, Path, choice, input, string, truth};
use crate::error::Result;

/// What is said besides document and note.
#[derive(Clone, Default)]
pub struct Options {
    /// What the note is called, where the form has a place for it. May be empty.
    pub name: String,
    /// For [`super::Format::Fhir`].
    pub fhir: FhirOptions,
}

impl Options {
    /// Nothing but a name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// From a JSON object of `name`, `subject`, `withoutNote`, `recorded` and `resources` (label to [`Resource`]), each of
    /// which may be left out.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Input`] for JSON of another form, by the path of the field, and for any other field.
    pub fn read(json: &str) -> Result<Self> {
        const FIELDS: [&str; 5] = ["name", "subject", "withoutNote", "recorded", "resources"];
        let value: Value = serde_json::from_str(json).map_err(|_| input("options: expected a JSON object".into()))?;
        let node = Node { value: &value, path: &Path::Field(&Path::Root, "options") };
        let is_known = |value: &Value| value.as_object().is_none_or(|of| of.keys().all(|key| FIELDS.contains(&&**key)));
        if !is_known(&value) {
            return node.expected(format_args!("none but {}", FIELDS.join(", ")));
        }
        let fhir = FhirOptions {
            subject: node.optional("subject", string)?,
            without_note: node.optional("withoutNote", truth)?.unwrap_or_default(),
            recorded: node.optional("recorded", string)?,
            resources: node.optional("resources", resources)?.unwrap_or_default(),
        };
        Ok(Self { name: node.optional("name", string)?.unwrap_or_default(), fhir })
    }
}

fn resources(node: Node<'_>) -> Result<Vec<(String, Resource)>> {
    let Some(of) = node.value.as_object() else { return node.expected("an object of labels") };
    of.iter().map(|(label, value)| Ok((label.clone(), choice(Node { value, path: node.path })?))).collect()
}

/// `LABEL=Condition`, as a command line says it.
///
/// # Errors
/// [`crate::ErrorKind::Input`] for a resource of another name.
pub fn mapping(text: &str) -> Result<(String, Resource)> {
    let names = || Resource::ALL.iter().map(|resource| resource.name()).collect::<Vec<_>>().join(", ");
    let found = text.split_once('=').and_then(|(label, resource)| Some((label.into(), Resource::of(resource)?)));
    found.ok_or_else(|| input(format!("expected LABEL=RESOURCE with one of {}", names())))
}
