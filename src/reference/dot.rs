//! The inner product that the twins share.

/// Sum of `a[i] * b[i]`. Eight sums side by side, so that the compiler may use vector registers.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a_eights, b_eights) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a_eights.remainder().iter().zip(b_eights.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a_eights.zip(b_eights) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    rest + sums.iter().sum::<f32>()
}
