//! One module per op, same name: shapes and formats against the CPU twin, in every variant of the device.

mod add_rms_norm;
mod attend_sparse;
mod compress_keys;
mod rms_norm;
mod score_blocks;
mod select_blocks;
mod sparse_chain; // the four sparse ops together: chunked = one shot = decode = twins
mod sparse_golden; // outputs of the official kernels, vectors of a float64 reference
