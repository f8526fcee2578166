//! Tables as differences: neighbours are alike, so that they are half as long in what a page downloads.

/// Pairs of numbers, ascending by the first.
pub(super) type Table = Vec<(u32, u32)>;

/// A table as it is stored: each column as the differences of its numbers, zigzag, in LEB128.
pub(super) struct Packed {
    pub(super) first: &'static [u8],
    pub(super) second: &'static [u8],
}

impl Packed {
    pub(super) fn unpack(&self) -> Table {
        sums(self.first).into_iter().zip(sums(self.second)).collect()
    }
}

fn sums(differences: &[u8]) -> Vec<u32> {
    let (mut numbers, mut sum, mut folded, mut shift) = (Vec::new(), 0_u32, 0, 0);
    for byte in differences {
        folded |= u32::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            sum = sum.wrapping_add(folded >> 1 ^ (folded & 1).wrapping_neg());
            numbers.push(sum);
            (folded, shift) = (0, 0);
        }
    }
    numbers
}

/// What [`sums`] reads.
#[cfg(test)]
pub(super) fn differences(numbers: &[u32]) -> Vec<u8> {
    let (mut bytes, mut before) = (Vec::new(), 0);
    for &number in numbers {
        let difference = number.wrapping_sub(before) as i32;
        let mut folded = (difference << 1 ^ difference >> 31) as u32;
        while folded > 0x7F {
            bytes.push(folded as u8 | 0x80);
            folded >>= 7;
        }
        bytes.push(folded as u8);
        before = number;
    }
    bytes
}
