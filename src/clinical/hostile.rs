//! Texts that scanners stumble over, for the tests of this room.

/// Pieces that are put together in every way: letters that change length with case, marks that combine, emoji, blanks that
/// are not ASCII, brackets without partners.
const PIECES: [&str; 40] = [
    "CHF",
    "congestive heart failure",
    "aspirin",
    "K",
    "81",
    "mg",
    "µg",
    "½",
    "²",
    "q6h",
    "b.i.d.",
    "p.o",
    "x",
    "7",
    "days",
    "(",
    ")",
    "[",
    "]",
    "-",
    "–",
    "<",
    "=",
    "/",
    ".",
    ",",
    ";",
    "\n",
    "\r\n",
    "\t",
    "\u{a0}",
    "\u{2009}",
    "e\u{301}",
    "İ",
    "ß",
    "😀",
    "\u{200d}",
    "٣",
    "\u{feff}",
    "3.5-5.0",
];

/// Texts of some pieces each, the same every time, and the places where their pieces start and end.
pub(super) fn texts(count: usize) -> impl Iterator<Item = (String, Vec<usize>)> {
    let mut state = 1u64;
    let mut below = move |limit: usize| {
        // Knuth's MMIX.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    (0..count).map(move |_| {
        let (mut text, mut borders) = (String::new(), vec![0]);
        for _ in 0..1 + below(16) {
            text.push_str(PIECES[below(PIECES.len())]);
            borders.push(text.len());
            if below(2) == 0 {
                text.push(' ');
            }
        }
        (text, borders)
    })
}
