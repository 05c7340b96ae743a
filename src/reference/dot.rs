//! The inner product and the weighted sum that the twins share, by the vector instructions that the processor has: they are
//! what a model on the processor spends its time with.

use pulp::{Arch, Simd, WithSimd};

/// Sum of `a[i] * b[i]`.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    Arch::new().dispatch(Dot { a, b })
}

/// Adds `weights[i] * rows(i)` for all i to `out`.
pub(super) fn add_weighted<'a>(out: &mut [f32], weights: &[f32], row: impl Fn(usize) -> &'a [f32]) {
    Arch::new().dispatch(AddWeighted { out, weights, row });
}

struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl WithSimd for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let ((a, a_rest), (b, b_rest)) = (S::as_simd_f32s(self.a), S::as_simd_f32s(self.b));
        let mut sum = simd.splat_f32s(0.0);
        for (a, b) in a.iter().zip(b) {
            sum = simd.mul_add_e_f32s(*a, *b, sum);
        }
        simd.reduce_sum_f32s(sum) + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
    }
}

struct AddWeighted<'w, 'o, F> {
    out: &'o mut [f32],
    weights: &'w [f32],
    row: F,
}

impl<'a, F: Fn(usize) -> &'a [f32]> WithSimd for AddWeighted<'_, '_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (out, out_rest) = S::as_mut_simd_f32s(self.out);
        for (index, weight) in self.weights.iter().enumerate() {
            let (row, row_rest) = S::as_simd_f32s((self.row)(index));
            let all = simd.splat_f32s(*weight);
            for (sum, value) in out.iter_mut().zip(row) {
                *sum = simd.mul_add_e_f32s(all, *value, *sum);
            }
            for (sum, value) in out_rest.iter_mut().zip(row_rest) {
                *sum += weight * value;
            }
        }
    }
}
