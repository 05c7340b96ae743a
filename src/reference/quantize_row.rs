//! CPU twin of `shaders/quantize_row.wgsl`.

/// A row as 8-bit integers with a step for each chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedRow {
    /// In the order of the columns.
    pub integers: Vec<i8>,
    /// One for each chunk.
    pub steps: Vec<f32>,
}

/// `step = max |x| / 127` over each `chunk` neighbours, `integer = round(x / step)`
pub fn quantize_row(x: &[f32], chunk: usize) -> QuantizedRow {
    let mut row = QuantizedRow { integers: Vec::with_capacity(x.len()), steps: Vec::new() };
    for values in x.chunks(chunk.max(1)) {
        // By their bits, so that what is no number is the largest and spoils the step.
        let most = f32::from_bits(values.iter().map(|value| value.abs().to_bits()).max().unwrap_or(0));
        let per_step = if most > 0.0 { 127.0 / most } else { 0.0 };
        row.integers.extend(values.iter().map(|value| (value * per_step).round_ties_even() as i8));
        row.steps.push(most / 127.0);
    }
    row
}

impl QuantizedRow {
    /// The numbers that the integers stand for.
    pub fn values(&self) -> Vec<f32> {
        let chunk = self.integers.len() / self.steps.len().max(1);
        let chunks = self.integers.chunks(chunk.max(1)).zip(&self.steps);
        chunks.flat_map(|(integers, step)| integers.iter().map(move |integer| f32::from(*integer) * step)).collect()
    }
}
