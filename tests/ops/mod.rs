//! One module per op, same name: shapes and formats against the CPU twin, in every variant of the device.

mod add_rms_norm;
mod argmax;
mod attend_dense;
mod attend_sparse;
mod compress_keys;
mod copy;
mod embed;
mod log_probs;
mod matmul;
mod matvec;
mod matvec_add;
mod matvec_normed;
mod matvec_rope_and_store;
mod matvec_swiglu;
mod quantize_row;
mod rms_norm;
mod rope_and_store;
mod score_blocks;
mod select_blocks;
mod sparse_chain; // the four sparse ops together: chunked = one shot = decode = twins
mod sparse_golden; // outputs of the official kernels, vectors of a float64 reference
mod swiglu;
mod tile_cache;
mod top_logits;

use foveal::weights::{Format, PackedMatrix};

use crate::harness::Random;

/// Every format that the packed layout knows and that rows of `cols` may have.
pub(crate) fn formats(cols: usize) -> Vec<Format> {
    let affine = [4, 8].into_iter().flat_map(|bits| [16, 32, 64, 128].map(|group| Format::Affine { bits, group }));
    [Format::F16].into_iter().chain(affine).filter(|format| format.check("w", cols).is_ok()).collect()
}

pub(crate) fn random_matrix(random: &mut Random, rows: usize, cols: usize, format: Format) -> PackedMatrix {
    foveal::selfcheck::random_matrix(random, rows, cols, format).unwrap()
}
