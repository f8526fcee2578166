//! `25 mg`, `875-125 mg`, `1,000 units`, `1-2 tabs`, `0.5 mg/kg/day`, `one tablet`, `high-dose`.

use super::super::tokens::Token;

/// Of mass, volume, activity.
const UNITS: &[&str] = &[
    "mg",
    "mgs",
    "mcg",
    "mcgs",
    "ug",
    "µg",
    "μg",
    "ng",
    "g",
    "gm",
    "gms",
    "gram",
    "grams",
    "kg",
    "milligram",
    "milligrams",
    "microgram",
    "micrograms",
    "ml",
    "mls",
    "cc",
    "dl",
    "l",
    "liter",
    "liters",
    "litre",
    "litres",
    "milliliter",
    "milliliters",
    "unit",
    "units",
    "u",
    "iu",
    "ui",
    "miu",
    "meq",
    "mmol",
    "mci",
    "gy",
    "cgy",
];
/// What is counted; these may follow a number in words, too.
const PIECES: &[&str] = &[
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
    "puff",
    "puffs",
    "drop",
    "drops",
    "gtt",
    "gtts",
    "spray",
    "sprays",
    "patch",
    "patches",
    "amp",
    "ampule",
    "ampules",
    "ampoule",
    "ampoules",
    "vial",
    "vials",
    "tsp",
    "teaspoon",
    "teaspoons",
    "tbsp",
    "tablespoon",
    "tablespoons",
    "suppository",
    "suppositories",
    "packet",
    "packets",
    "lozenge",
    "lozenges",
    "inhalation",
    "inhalations",
    "flacon",
];
/// Behind a stroke.
const PER: &[&str] = &[
    "kg",
    "day",
    "d",
    "dy",
    "j",
    "hr",
    "h",
    "hour",
    "min",
    "minute",
    "week",
    "wk",
    "month",
    "dose",
    "ml",
    "dl",
    "l",
    "m",
    "g",
    "mg",
    "tab",
    "tablet",
    "puff",
    "actuation",
    "spray",
    "cm",
    "bw",
];
const SPELLED: &[&str] =
    &["half", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "a", "an"];

/// How many tokens a dose has that starts here.
pub(super) fn dose(tokens: &[Token<'_>]) -> Option<usize> {
    if tokens[0].among(&["high", "low", "full", "standard", "medium"]) {
        let dash = usize::from(tokens.get(1)?.is_dash());
        return tokens.get(1 + dash)?.among(&["dose", "doses", "dosage"]).then_some(2 + dash);
    }
    let (amount, counted) = amount(tokens)?;
    let dash = usize::from(tokens.get(amount).is_some_and(Token::is_dash));
    let unit = tokens.get(amount + dash)?;
    let measured = unit.text == "%" || unit.among(UNITS);
    (unit.among(PIECES) || counted && measured).then(|| per(tokens, amount + dash + 1))
}

/// The tokens of an amount, and whether it is more than an article.
pub(super) fn amount(tokens: &[Token<'_>]) -> Option<(usize, bool)> {
    let first = tokens.first()?;
    if first.among(SPELLED) {
        let more = tokens.get(1).is_some_and(|to| to.among(&["to", "or"]));
        let length = if more && tokens.get(2)?.among(SPELLED) { 3 } else { 1 };
        return Some((length, !first.among(&["a", "an"])));
    }
    if !first.is_number() {
        return None;
    }
    // `1/2`, `875-125`, `5/325`, `10 to 20`, `1 1/2`.
    let mut end = 1;
    while let [join, number, ..] = &tokens[end..]
        && number.is_number()
        && (join.is_dash() || join.text == "/" || join.is("to") || join.is("or"))
    {
        end += 2;
    }
    if tokens.get(end).is_some_and(|token| token.among(&["million", "thousand", "mill"])) {
        end += 1;
    }
    Some((end, true))
}

/// The end of `/kg/day` behind a unit, from where the unit ends.
fn per(tokens: &[Token<'_>], mut end: usize) -> usize {
    while let [stroke, unit, ..] = &tokens[end..]
        && stroke.text == "/"
        && (unit.among(PER) || unit.is_number() && tokens.get(end + 2).is_some_and(|unit| unit.among(PER)))
    {
        end += if unit.is_number() { 3 } else { 2 };
        let square = |token: &Token<'_>| token.glued && matches!(token.text, "2" | "²");
        if unit.is("m") && tokens.get(end).is_some_and(square) {
            end += 1;
        }
    }
    end
}
