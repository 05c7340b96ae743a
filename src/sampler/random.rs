//! Random numbers that are the same on every machine: PCG-XSH-RR 64/32 (M. O'Neill, "PCG: A Family of Simple Fast
//! Space-Efficient Statistically Good Algorithms for Random Number Generation", 2014).

/// A generator with 64 bits of state.
#[derive(Debug, Clone)]
pub(crate) struct Pcg32 {
    state: u64,
}

const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
/// Chooses one of the family's sequences; must be odd.
const INCREMENT: u64 = (54 << 1) | 1;

impl Pcg32 {
    pub(crate) fn new(seed: u64) -> Self {
        let mut generator = Self { state: INCREMENT.wrapping_add(seed) };
        generator.step();
        generator
    }

    fn step(&mut self) {
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
    }

    fn next(&mut self) -> u32 {
        let old = self.state;
        self.step();
        // The truncation keeps the well-mixed bits; the highest five choose the rotation.
        let mixed = (((old >> 18) ^ old) >> 27) as u32;
        mixed.rotate_right((old >> 59) as u32)
    }

    /// Evenly spread in [0, 1), with 53 random bits.
    pub(crate) fn unit(&mut self) -> f64 {
        let (high, low) = (u64::from(self.next()), u64::from(self.next()));
        ((high << 21) ^ (low >> 11)) as f64 / (1u64 << 53) as f64
    }

    /// Evenly spread in 0..count; 0 if there is nothing to choose from.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        ((self.unit() * count as f64) as usize).min(count.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::Pcg32;

    /// The first outputs that the author's demonstration program prints for seed 42, sequence 54.
    #[test]
    fn is_the_published_generator() {
        let mut generator = Pcg32::new(42);
        let outputs = [0; 6].map(|_: u32| generator.next());
        assert_eq!(outputs, [0xa15c_02b7, 0x7b47_f409, 0xba1d_3330, 0x83d2_f293, 0xbfa4_784b, 0xcbed_606e]);
    }
}
