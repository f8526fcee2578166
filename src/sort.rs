//! Sorting what is not hot. The standard library compiles its sort anew for each type and order, four to eight kilobytes of
//! what a page downloads; here numbers of elements are sorted, and one copy serves all.

use std::cmp::Ordering;

/// Sorts as [`slice::sort_by`] does: equal elements keep their order.
pub(crate) fn by<T>(elements: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let mut order: Vec<u64> = (0..elements.len() as u64).collect();
    sort(&mut order, &|a, b| compare(&elements[a as usize], &elements[b as usize]));
    arrange(&mut order, &mut |a, b| elements.swap(a, b));
}

/// Swaps what stands at two places until the element that `order` names at each place is there: along each cycle of the
/// permutation.
fn arrange(order: &mut [u64], swap: &mut dyn FnMut(usize, usize)) {
    for first in 0..order.len() {
        let mut at = first;
        while order[at] != first as u64 {
            let from = std::mem::replace(&mut order[at], at as u64) as usize;
            swap(at, from);
            at = from;
        }
        order[at] = at as u64;
    }
}

/// Sorts numbers, the least first.
pub(crate) fn numbers(numbers: &mut [u64]) {
    sort(numbers, &|a, b| a.cmp(&b));
}

#[inline(never)]
fn sort(order: &mut [u64], compare: &dyn Fn(u64, u64) -> Ordering) {
    order.sort_unstable_by(|&a, &b| compare(a, b).then(a.cmp(&b)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_as_the_standard_library_does() {
        let mut state = 7_u64;
        for length in (0..70).chain([1000]) {
            for different in [1, 3, 10, 1 << 20] {
                let mut draw = || {
                    state = state * 48_271 % 2_147_483_647; // Lehmer
                    state % different
                };
                let mut found: Vec<(u64, usize)> = (0..length).map(|at| (draw(), at)).collect();
                let mut expected = found.clone();
                expected.sort_by_key(|one| one.0);
                by(&mut found, |a, b| a.0.cmp(&b.0));
                assert_eq!(found, expected);
                by(&mut found, |a, b| b.0.cmp(&a.0));
                expected.sort_by_key(|one| std::cmp::Reverse(one.0));
                assert_eq!(found, expected);
                let mut places: Vec<u64> = found.iter().map(|&(_, at)| at as u64).collect();
                numbers(&mut places);
                assert!(places.into_iter().eq(0..length as u64));
            }
        }
    }
}
