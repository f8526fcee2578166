//! By which way, and in which form: `PO`, `by mouth`, `per NG tube`, `IV drip`; `tablet`, `ointment`.

use super::super::tokens::{Token, any};

const ROUTES: &[&str] = &[
    "po",
    "oral",
    "orally",
    "perorally",
    "iv",
    "ivp",
    "ivpb",
    "intravenous",
    "intravenously",
    "im",
    "intramuscular",
    "intramuscularly",
    "sc",
    "sq",
    "subq",
    "subcut",
    "subcutaneous",
    "subcutaneously",
    "sl",
    "sublingual",
    "sublingually",
    "buccal",
    "pr",
    "rectal",
    "rectally",
    "pv",
    "vaginal",
    "vaginally",
    "inh",
    "inhaled",
    "inhalation",
    "neb",
    "nebs",
    "nebulized",
    "nebulised",
    "nebulizer",
    "nebuliser",
    "topical",
    "topically",
    "transdermal",
    "transdermally",
    "intranasal",
    "intranasally",
    "nasal",
    "nasally",
    "ophthalmic",
    "otic",
    "intrathecal",
    "intrathecally",
    "intravitreal",
    "intravitreally",
    "intraarterial",
    "intraperitoneal",
    "intraperitoneally",
    "intraarticular",
    "intradermal",
    "intradermally",
    "intraosseous",
    "epidural",
    "enteral",
    "enterally",
    "parenteral",
    "parenterally",
    "drip",
    "gtt",
    "infusion",
    "infusions",
    "injection",
    "injections",
    "bolus",
    "hypodermic",
];
/// Behind a first part, as one expression: `IV push`, `continuous infusion`.
const MANNERS: &[&str] =
    &["push", "drip", "gtt", "piggyback", "infusion", "infusions", "injection", "injections", "bolus"];
const TUBES: &[&str] =
    &["tube", "peg", "ngt", "ogt", "gt", "jt", "nebulizer", "nebuliser", "inhaler", "rectum", "os", "mouth"];
const FORMS: &[&str] = &[
    "tab",
    "tabs",
    "tablet",
    "tablets",
    "cap",
    "caps",
    "capsule",
    "capsules",
    "pill",
    "pills",
    "solution",
    "suspension",
    "syrup",
    "elixir",
    "emulsion",
    "ointment",
    "cream",
    "gel",
    "lotion",
    "foam",
    "patch",
    "patches",
    "spray",
    "inhaler",
    "inhalers",
    "mdi",
    "drops",
    "suppository",
    "suppositories",
    "lozenge",
    "powder",
    "paste",
    "shampoo",
    "enema",
    "chewable",
    "liquid",
];
const PARTS: &[&str] = &["sub", "trans", "intra"];

/// How many tokens a route has that starts here.
pub(super) fn route(tokens: &[Token<'_>]) -> Option<usize> {
    let first = &tokens[0];
    if first.among(ROUTES) {
        return Some(1 + usize::from(any(tokens.get(1), MANNERS)));
    }
    if first.is("continuous") && any(tokens.get(1), &["infusion", "infusions", "drip"]) {
        return Some(2);
    }
    // `sub-q`, `intra-arterially`
    if first.among(PARTS) && tokens.get(1)?.is_dash() {
        let rest = tokens.get(2)?;
        let known =
            ["q", "cutaneous", "cutaneously", "arterial", "arterially", "articular", "dermal", "venous", "venously"];
        return rest.among(&known).then_some(3);
    }
    if first.is("by") {
        return any(tokens.get(1), &["mouth", "rectum", "inhalation", "injection", "nebulizer"]).then_some(2);
    }
    if first.is("under") && any(tokens.get(1), &["the"]) {
        return any(tokens.get(2), &["tongue", "skin"]).then_some(3);
    }
    through(tokens)
}

/// `per NG tube`, `via G-tube`, `per os`, `via nebulizer`.
fn through(tokens: &[Token<'_>]) -> Option<usize> {
    if !tokens[0].among(&["per", "via", "through"]) {
        return None;
    }
    let tube = tokens.iter().take(6).skip(1).position(|token| token.among(TUBES))?;
    let between = &tokens[1..1 + tube];
    let name = |token: &Token<'_>| {
        token.is_dash()
            || token.among(&["the", "ng", "og", "g", "j", "peg", "nasogastric", "orogastric", "gastrostomy", "feeding"])
    };
    between.iter().all(name).then_some(2 + tube)
}

/// How many tokens a form has that starts here.
pub(super) fn form(tokens: &[Token<'_>]) -> Option<usize> {
    tokens[0].among(FORMS).then_some(1)
}
